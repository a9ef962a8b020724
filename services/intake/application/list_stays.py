"""The stays of a household, for whoever works with it."""

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId
from services.intake.domain.refusal import not_found
from services.intake.domain.stays import Stay


async def list_stays(work: IntakeWork, asker: Asker, case_id: CaseId) -> list[Stay]:
    """Oldest first. Whoever sees only the status sees no stay: where somebody sleeps is the most they have."""
    found = await work.cases.approach(case_id, asker)
    case, seen = must_see(found.case, found.viewer)
    if seen is not Sight.FULL:
        raise not_found()
    return await work.stays.of_case(case.case_id)
