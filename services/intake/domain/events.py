"""What intake announces about cases. In the past tense: each has happened when it is told."""

from dataclasses import dataclass
from datetime import date

from services.intake.domain.consents import Purpose
from services.intake.domain.household import Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId, ReferralId
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
class NeedChanged:
    """`need` is all of it as it is now."""

    case_id: CaseId
    need: Need
    facts: Facts


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
class CaseReopened:
    """The household is on the street again after its case was closed."""

    case_id: CaseId
    facts: Facts
    arrival_code: ArrivalCode | None


@dataclass(frozen=True, slots=True)
class StayStarted:
    case_id: CaseId
    referral_id: ReferralId | None
    from_date: date
    last_night: date | None


@dataclass(frozen=True, slots=True)
class StayEnding:
    """`need_id` looks for the next place; None where one is agreed on already. `hidden`: see NeedMet."""

    case_id: CaseId
    referral_id: ReferralId | None
    last_night: date
    days_left: int
    need_id: NeedId | None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class StayEnded:
    """`until` is the first night not slept there."""

    case_id: CaseId
    referral_id: ReferralId | None
    from_date: date
    until: date


@dataclass(frozen=True, slots=True)
class FollowUpDue:
    case_id: CaseId
    days: int


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """`allowed` now; `closed`: referrals whose provider may not be told anything any more."""

    case_id: CaseId
    allowed: tuple[Purpose, ...]
    closed: tuple[ReferralId, ...]


@dataclass(frozen=True, slots=True)
class CaseErased:
    """The last person of its household was erased: everything that is known of it elsewhere goes."""

    case_id: CaseId


@dataclass(frozen=True, slots=True)
class CaseSnapshot:
    """The whole case as it is now; `open_needs` are neither met nor withdrawn."""

    case_id: CaseId
    facts: Facts
    open_needs: tuple[Need, ...]
    arrival_code: ArrivalCode | None
    closed: bool


CaseEvent = (
    CaseOpened
    | HouseholdChanged
    | NeedReported
    | NeedChanged
    | NeedWithdrawn
    | NeedMet
    | CaseClosed
    | CaseReopened
    | StayStarted
    | StayEnding
    | StayEnded
    | FollowUpDue
    | ConsentChanged
    | CaseErased
    | CaseSnapshot
)
