"""Show a case as one caller may see it."""

from dataclasses import dataclass, field
from datetime import datetime

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, must_see, status_word
from services.intake.domain.agencies import Asker
from services.intake.domain.household import Person
from services.intake.domain.ids import CaseId
from services.intake.domain.outcomes import NeedOutcome


@dataclass(frozen=True, slots=True)
class CaseView:
    """`persons` and `needs` are empty for whoever sees only the status."""

    case_id: CaseId
    status: str
    opened_at: datetime
    confidential: bool
    persons: tuple[Person, ...] = field(default=(), repr=False)
    needs: tuple[NeedOutcome, ...] = ()


async def view_case(work: IntakeWork, asker: Asker, case_id: CaseId, why: str) -> CaseView:
    """The view. Each person that is shown is logged, in the transaction that read it, with who and why."""
    found = await work.cases.approach(case_id, asker)
    viewer = found.viewer
    case, seen = must_see(found.case, viewer)
    status = status_word(case, seen)
    if seen is Sight.STATUS:
        return CaseView(case.case_id, status, case.opened_at, case.confidential)
    known = await work.vault.persons(case)
    needs = await work.needs.outcomes(case_id)
    agency = "" if viewer.agency is None else str(viewer.agency.agency_id)
    work.access_log.read(viewer.worker, agency, case_id, [each.person_id for each in known], why)
    return CaseView(
        case.case_id,
        status,
        case.opened_at,
        case.confidential,
        tuple(each.person for each in known),
        tuple(needs),
    )
