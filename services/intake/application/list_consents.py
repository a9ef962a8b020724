"""Show the workers of a case what its household allowed."""

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.consents import Consent
from services.intake.domain.ids import CaseId
from services.intake.domain.refusal import not_found


async def list_consents(work: IntakeWork, asker: Asker, case_id: CaseId) -> list[Consent]:
    found = await work.cases.approach(case_id, asker)
    case, seen = must_see(found.case, found.viewer)
    if seen is not Sight.FULL:
        raise not_found()
    return await work.consents.of_case(case)
