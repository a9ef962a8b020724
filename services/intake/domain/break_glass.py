"""Breaking the glass: a confidential case is opened in an emergency by somebody who is not assigned to it."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from services.intake.domain.access import CASEWORK, of_its_agency
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, CaseId, GlassId, WorkerName
from services.intake.domain.refusal import invalid, not_found, refused

SHORTEST_REASON = 10
LONGEST_REASON = 1_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """Who opened which case, until when it is open to them, and why, in their own words."""

    glass_id: GlassId
    case_id: CaseId
    agency_id: AgencyId
    worker: WorkerName
    opened_at: datetime
    until: datetime
    reason: str = field(repr=False)


def may_break(case: Case | None, viewer: Viewer) -> Case:
    """The case, for a worker of its agency. For police, and for everybody else, it is as if absent."""
    if case is None or viewer.police or not viewer.is_one_of(*CASEWORK) or not of_its_agency(case, viewer):
        raise not_found()
    if not case.confidential:
        raise refused("not-confidential", "The case is open to every worker of the agency.")
    if case.assigned:
        raise refused("assigned-already", "The caller is assigned to the case.")
    return case


def checked_reason(reason: str) -> str:
    said = reason.strip()
    if not SHORTEST_REASON <= len(said) <= LONGEST_REASON or _CONTROL.search(said):
        raise invalid(
            "reason-missing",
            f"Say why in {SHORTEST_REASON} to {LONGEST_REASON} characters.",
            field="reason",
        )
    return said
