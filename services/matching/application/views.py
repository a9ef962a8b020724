"""Things as they stand, between the repositories and the use cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.matching.application.terms import Shown
from services.matching.domain.household import Facts
from services.matching.domain.ids import AllocationId, CaseId, NeedId, OfferId
from services.matching.domain.needs import Need, NeedState, Unmatched, WaitingNeed
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.offers import Offer


@dataclass(frozen=True, slots=True)
class KnownHousehold:
    """A household by its newest facts; empty ones once its case is closed."""

    facts: Facts
    closed: bool


@dataclass(frozen=True, slots=True)
class StandingNeed:
    """A need as it stands: how far it came, and whether it may be proposed something now."""

    waiting: WaitingNeed
    state: NeedState
    rests_until: datetime | None

    @property
    def need(self) -> Need:
        return self.waiting.need


@dataclass(frozen=True, slots=True)
class Taken:
    """Units of an offer on each night from `from_date` until the day before `until`."""

    offer_id: OfferId
    from_date: date
    until: date
    units: int


@dataclass(frozen=True, slots=True)
class HouseholdNights:
    """A household (by its key) has its place through that case on each night from `first` until the day before
    `until`."""

    key: UUID
    case_id: CaseId
    first: date
    until: date


@dataclass(frozen=True, slots=True)
class Dwelling:
    """A household and the place it lives in. `told_persons`: for how many heads it was said to be too small."""

    occupancy: Occupancy
    need_id: NeedId
    offer: Offer
    facts: Facts
    told_persons: int | None


@dataclass(frozen=True, slots=True)
class NightView:
    night: date
    capacity: int
    taken: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An offer as its provider sees it."""

    offer: Offer
    capacity_set_at: datetime
    nights: tuple[NightView, ...]


@dataclass(frozen=True, slots=True)
class DeskEntry:
    """A confidential request as the hub sees it: with a held place, or with the reason why there is none."""

    arrival_code: str
    head_count: int
    from_date: date
    nights: int
    referral: Shown | None
    none: Unmatched | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """On whose behalf offers are seen: the agency's own; for the hub also confidential and imported ones."""

    agency: str
    hub: bool

    def sees(self, offer: Offer) -> bool:
        own = bool(offer.agency) and offer.agency == self.agency
        return own or (self.hub and (offer.confidential or not offer.agency))


@dataclass(frozen=True, slots=True)
class Allocation:
    """Goods set aside, for that size. Without need and case once the case is closed.

    `untold`: withdrawn, and logistics has yet to be told.
    """

    allocation_id: AllocationId
    need_id: NeedId | None
    case_id: CaseId | None
    item_id: str
    quantity: int
    area: str
    week: str
    state: str
    untold: bool = False
    size: str = ""
