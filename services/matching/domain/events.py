"""What has become true in matching, in the past tense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from services.matching.domain.ids import AllocationId, CaseId, NeedId, ReferralId
from services.matching.domain.needs import Unmatched
from services.matching.domain.referrals import Referral


@dataclass(frozen=True, slots=True)
class ReferralProposed:
    """A place is held for a household. Which one is asked for, not announced: `contact` is always the hub."""

    referral: Referral
    contact: str


@dataclass(frozen=True, slots=True)
class ReferralAccepted:
    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class ReferralDeclined:
    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class ReferralRejected:
    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class ReferralExpired:
    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class ReferralWithdrawn:
    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class OccupancyStarted:
    """The household took the place; no referral for an occupancy known from an import."""

    case_id: CaseId
    referral_id: ReferralId | None
    need_id: NeedId | None
    from_date: date
    last_night: date | None


@dataclass(frozen=True, slots=True)
class OccupancyExtended:
    """The household may keep the place until another last night."""

    case_id: CaseId
    referral_id: ReferralId
    last_night: date


@dataclass(frozen=True, slots=True)
class OccupancyEnded:
    """The household left; `until_date` is the first night not slept there."""

    case_id: CaseId
    referral_id: ReferralId | None
    until_date: date


@dataclass(frozen=True, slots=True)
class PlaceOutgrown:
    """The household that lives there has grown, and the place is too small for it."""

    case_id: CaseId
    referral_id: ReferralId
    need_id: NeedId


@dataclass(frozen=True, slots=True)
class NeedAllocated:
    case_id: CaseId
    need_id: NeedId
    allocation_id: AllocationId
    quantity: int


@dataclass(frozen=True, slots=True)
class NeedDeallocated:
    case_id: CaseId
    need_id: NeedId
    allocation_id: AllocationId


@dataclass(frozen=True, slots=True)
class NeedUnmatched:
    case_id: CaseId
    need_id: NeedId
    unmatched: Unmatched


@dataclass(frozen=True, slots=True)
class AllocationProposed:
    """Logistics is asked to set goods aside; the id joins to nothing but its own records there."""

    allocation_id: AllocationId
    item_id: str
    quantity: int
    area: str
    week: str
    size: str = ""


@dataclass(frozen=True, slots=True)
class AllocationWithdrawn:
    allocation_id: AllocationId


@dataclass(frozen=True, slots=True)
class ShortfallChanged:
    """What stock cannot cover, in packs, pooled over households; each change has the next revision."""

    area: str
    item_id: str
    packs: int
    revision: int


CaseEvent = (
    ReferralProposed
    | ReferralAccepted
    | ReferralDeclined
    | ReferralRejected
    | ReferralExpired
    | ReferralWithdrawn
    | OccupancyStarted
    | OccupancyExtended
    | OccupancyEnded
    | PlaceOutgrown
    | NeedAllocated
    | NeedDeallocated
    | NeedUnmatched
)
Event = CaseEvent | AllocationProposed | AllocationWithdrawn | ShortfallChanged
