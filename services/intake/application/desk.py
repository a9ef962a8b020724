"""What a worker's desk shows: the own agency, who works there, and the cases that they may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.intake.application.agencies_ports import Mark, RegisteredWorker
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, sight, status_word
from services.intake.domain.agencies import Agency, Asker
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId
from services.intake.domain.refusal import denied


@dataclass(frozen=True, slots=True)
class CaseLine:
    """`head_count` and `area` are empty for whoever sees only the status."""

    case_id: CaseId
    status: str
    opened_at: datetime
    confidential: bool
    head_count: int = 0
    area: str = ""


async def own_agency(work: IntakeWork, asker: Asker) -> Agency:
    viewer = await work.agencies.viewer(asker)
    if viewer.agency is None:
        raise denied("agency-unknown", "The caller's agency is not registered here.")
    return viewer.agency


async def list_workers(work: IntakeWork, asker: Asker, after: str, limit: int) -> Sequence[RegisteredWorker]:
    agency = await own_agency(work, asker)
    return await work.desk.workers(agency.agency_id, after, limit)


async def list_cases(work: IntakeWork, asker: Asker, after: Mark | None, limit: int) -> list[CaseLine]:
    """Newest first. No person is read; what the asker may not see neither shows nor shortens a page."""
    viewer = await work.agencies.viewer(asker)
    found = await work.desk.cases(viewer, after, limit)
    seen = [(case, sight(case, viewer)) for case in found]
    return [_line(case, how) for case, how in seen if how is not Sight.ABSENT]


def _line(case: Case, seen: Sight) -> CaseLine:
    status, facts = status_word(case, seen), case.facts
    if seen is Sight.STATUS:
        return CaseLine(case.case_id, status, case.opened_at, case.confidential)
    heads = facts.adults + facts.children + facts.infants
    return CaseLine(case.case_id, status, case.opened_at, case.confidential, heads, facts.area)
