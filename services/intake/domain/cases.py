"""A case: one agency's work with one household, as the use cases need to see it before they decide."""

from dataclasses import dataclass
from datetime import datetime

from services.intake.domain.household import Facts
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, HouseholdId, WorkerName
from services.intake.domain.refusal import refused


@dataclass(frozen=True, slots=True)
class Case:
    """`assigned` and `glass_broken` tell of the one who asks: whether this worker was assigned to the case, or
    has it open in an emergency."""

    case_id: CaseId
    household_id: HouseholdId
    agency_id: AgencyId
    opened_by: WorkerName
    opened_at: datetime
    recorded_at: datetime
    closed_at: datetime | None
    facts: Facts
    arrival_code: ArrivalCode | None
    version: int
    assigned: bool
    glass_broken: bool = False

    @property
    def confidential(self) -> bool:
        return self.facts.confidential

    def must_be_open(self) -> None:
        if self.closed_at is not None:
            raise refused("case-closed", "The case is closed.")
