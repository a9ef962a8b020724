"""What became of a need: the referrals and allocations that matching and logistics told of, read as one
word."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from services.intake.domain.ids import AllocationId, NeedId, ReferralId
from services.intake.domain.needs import Need


class ReferralState(Enum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class AllocationState(Enum):
    PROPOSED = "proposed"
    RESERVED = "reserved"
    REFUSED = "refused"
    HANDED_OVER = "handed over"
    WITHDRAWN = "withdrawn"


class Unmatched(Enum):
    NO_ELIGIBLE_PLACE = "no-eligible-place"
    ALL_FULL = "all-full"
    NO_STOCK = "no-stock"


class WouldChange(Enum):
    AREA = "area"
    FEWER_NIGHTS = "fewer-nights"
    PETS = "pets"


class NeedState(Enum):
    REPORTED = "reported"
    REFERRED = "referred"
    PLACED = "placed"
    ALLOCATED = "allocated"
    MET = "met"
    UNMATCHED = "unmatched"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Referral:
    """A place proposed for a need. Dates are unknown until the proposal itself has arrived.

    `place` and `contact` are kept nowhere here: matching is asked for them when the case is shown. For a
    confidential place they are empty and the hub's. `arrival_code`: what the household says there, once both
    sides said yes.
    """

    referral_id: ReferralId
    need_id: NeedId
    state: ReferralState
    from_date: date | None
    nights: int
    expires_at: datetime | None
    place: str = ""
    contact: str = ""
    arrival_code: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Goods set aside for a need; `bag_code` is empty until logistics has reserved them."""

    allocation_id: AllocationId
    need_id: NeedId
    quantity: int
    state: AllocationState
    bag_code: str


@dataclass(frozen=True, slots=True)
class NeedOutcome:
    """A need with all that became of it."""

    need: Need
    state: NeedState
    unmatched: Unmatched | None
    referrals: tuple[Referral, ...] = ()
    allocations: tuple[Allocation, ...] = ()


def allocation_state(told: str | None, withdrawn: bool) -> AllocationState:
    """One word from both sides: `told` is logistics' last word, `withdrawn` that matching took it back.

    The two come on two topics, in either order. A handover stands whatever matching said: the bag is gone.
    """
    state = AllocationState.PROPOSED if told is None else AllocationState(told)
    if withdrawn and state is not AllocationState.HANDED_OVER:
        return AllocationState.REFUSED if state is AllocationState.REFUSED else AllocationState.WITHDRAWN
    return state


_LIVE = frozenset({AllocationState.PROPOSED, AllocationState.RESERVED, AllocationState.HANDED_OVER})


def outcome_of(
    need: Need,
    *,
    withdrawn: bool,
    met: bool,
    unmatched: Unmatched | None,
    referrals: tuple[Referral, ...],
    allocations: tuple[Allocation, ...],
) -> NeedOutcome:
    """The need and what became of it. Why it is unmatched is said as long as that is so, for goods also while
    a part is missing."""
    states = [referral.state for referral in referrals]
    state = need_state(
        withdrawn=withdrawn,
        met=met,
        unmatched=unmatched,
        referrals=states,
        allocations=[allocation.state for allocation in allocations],
    )
    set_aside = sum(each.quantity for each in allocations if each.state in _LIVE)
    partly = state is NeedState.ALLOCATED and set_aside < need.quantity
    why = unmatched if partly or state is NeedState.UNMATCHED else None
    return NeedOutcome(need, state, why, referrals, allocations)


def need_state(
    *,
    withdrawn: bool,
    met: bool,
    unmatched: Unmatched | None,
    referrals: Iterable[ReferralState],
    allocations: Iterable[AllocationState],
) -> NeedState:
    """The furthest that the need has come; what ended without success does not count."""
    if withdrawn:
        return NeedState.WITHDRAWN
    if met:
        return NeedState.MET
    states = set(referrals)
    if ReferralState.ACCEPTED in states:
        return NeedState.PLACED
    if ReferralState.PROPOSED in states:
        return NeedState.REFERRED
    if not _LIVE.isdisjoint(allocations):
        return NeedState.ALLOCATED
    return NeedState.REPORTED if unmatched is None else NeedState.UNMATCHED
