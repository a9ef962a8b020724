"""Show the workers of a case who read its persons."""

from collections.abc import Sequence
from uuid import UUID

from services.intake.application.consents_ports import Read
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId, PersonId
from services.intake.domain.refusal import not_found


async def list_reads(
    work: IntakeWork, asker: Asker, case_id: CaseId, person_id: PersonId | None, after: UUID | None
) -> Sequence[Read]:
    """Newest first, at most 200, behind `after`. It names no person, so it is no reading of one itself."""
    found = await work.cases.approach(case_id, asker)
    _, seen = must_see(found.case, found.viewer)
    if seen is not Sight.FULL:
        raise not_found()
    return await work.consents.reads(case_id, person_id, after)
