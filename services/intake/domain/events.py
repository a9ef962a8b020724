"""What intake announces about cases. In the past tense: each has happened when it is told."""

from dataclasses import dataclass

from services.intake.domain.household import Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.needs import Need, NeedKind


@dataclass(frozen=True, slots=True)
class CaseOpened:
    case_id: CaseId
    facts: Facts


@dataclass(frozen=True, slots=True)
class HouseholdChanged:
    case_id: CaseId
    facts: Facts


@dataclass(frozen=True, slots=True)
class NeedReported:
    case_id: CaseId
    need: Need
    facts: Facts
    arrival_code: ArrivalCode | None


@dataclass(frozen=True, slots=True)
class NeedWithdrawn:
    case_id: CaseId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class NeedMet:
    """`kind` and `hidden` (its household is in hiding) are for the figures, and travel nowhere."""

    case_id: CaseId
    need_id: NeedId
    kind: NeedKind
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class CaseClosed:
    case_id: CaseId


@dataclass(frozen=True, slots=True)
class CaseSnapshot:
    """The whole case as it is now; `open_needs` are neither met nor withdrawn."""

    case_id: CaseId
    facts: Facts
    open_needs: tuple[Need, ...]
    arrival_code: ArrivalCode | None
    closed: bool


CaseEvent = CaseOpened | HouseholdChanged | NeedReported | NeedWithdrawn | NeedMet | CaseClosed | CaseSnapshot
