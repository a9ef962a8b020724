"""What the use cases need from outside: repositories, a clock reading, a voice, timers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from services.chassis.call import Call
from services.chassis.envelope import Received
from services.chassis.work import Work
from services.matching.application.agenda import Agenda
from services.matching.application.contention import Contention
from services.matching.application.terms import Shown, Terms
from services.matching.application.views import (
    Allocation,
    DeskEntry,
    Dwelling,
    HouseholdNights,
    KnownHousehold,
    Listed,
    StandingNeed,
    Taken,
    Viewer,
)
from services.matching.domain.events import Event
from services.matching.domain.goods import Asked, Shelf, WantedGoods
from services.matching.domain.household import Facts
from services.matching.domain.ids import (
    AllocationId,
    CaseId,
    LineId,
    NeedId,
    OccupancyId,
    OfferId,
    ReferralId,
)
from services.matching.domain.needs import Kind, Need, Tier, Unmatched, WaitingNeed
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.offers import Offer
from services.matching.domain.one_place import Leader
from services.matching.domain.places import Book
from services.matching.domain.referrals import Referral

# What made something happen; only the headers of events tell it on.
Cause = Received | Call | None


class Households(Protocol):
    def learn(self, case_id: CaseId, facts: Facts, arrival_code: str = "") -> None:
        """Newer facts replace older ones; older ones are ignored."""

    def forget(self, case_id: CaseId) -> None:
        """The case is closed: keep only that it is."""

    def erase(self, case_id: CaseId) -> None:
        """The household is nobody any more: its needs go, and the code by which it was known to the hub."""

    def reopen(self, case_id: CaseId) -> None:
        """It is open again, if it was closed, and whatever facts come next are the newest."""

    async def get(self, case_id: CaseId) -> KnownHousehold | None: ...


class Newcomers(Protocol):
    """Needs that this work was told of first, while nothing of it is written. Nobody has to hold `Places.lock`."""

    def told(self, need_ids: Collection[NeedId]) -> Sequence[WaitingNeed]:
        """Those needs with what was told of their households; none when more was told of any of them."""
        ...

    async def glance(
        self, newcomers: Sequence[WaitingNeed], asking: Mapping[UUID, CaseId], from_date: date, until: date
    ) -> Book | None:
        """What is free on those nights. None when anything is known already that decides otherwise, a place of a
        household through another case than the one that asks for it among it. It holds for the moment of the look;
        `refer`, `take` and the nights of a household are checked again when they are written, nothing else is."""
        ...

    def refer(self) -> None:
        """Write them and their households, each with something proposed to it. The work fails (StaleError) when any
        of them was heard of meanwhile."""

    def take(self, taken: Sequence[Taken]) -> None:
        """Wait for the places and hold these, in the moment of commit; nights that `are_written`."""


class Needs(Protocol):
    def report(self, need: Need, tier: Tier, now: datetime) -> None:
        """Make a need known; one that is known already stays as it is."""

    def change(self, need: Need) -> None:
        """A known need that is not over is this one now, with what was said about it forgotten."""

    def close(self, case_id: CaseId, need_id: NeedId) -> None: ...

    def close_others(self, case_id: CaseId, open_ids: Collection[NeedId]) -> None: ...

    def close_all(self, case_id: CaseId) -> None: ...

    async def get(self, need_id: NeedId) -> StandingNeed | None: ...

    def hurry(self, case_id: CaseId, need_id: NeedId, soon: bool) -> None:
        """It no longer rests, and is within days now if so said."""

    def ask_again(self, need_id: NeedId) -> None:
        """The household asks: it no longer rests."""

    async def touched(
        self, need_ids: Collection[NeedId], case_ids: Collection[CaseId]
    ) -> Sequence[StandingNeed]:
        """These needs and all of these cases, if they may still hold something; locked until the work ends."""

    async def lock(self, referral_ids: Collection[ReferralId]) -> None:
        """Lock the needs of referrals, which everybody who changes the referrals does first."""

    async def waiting(self, kinds: Collection[Kind], now: datetime) -> Sequence[StandingNeed]:
        """All that wait, by priority, locked; those that another work has locked are its business."""

    async def waiting_for(self, offer_ids: Collection[OfferId], now: datetime) -> Sequence[StandingNeed]:
        """Waiting needs by priority that these offers may take, as far as the database can tell; not locked."""

    async def claim(self, need_ids: Collection[NeedId]) -> set[NeedId]:
        """Lock those of them that still wait and that no other work has locked."""

    def refer(self, need_ids: Collection[NeedId]) -> None: ...

    def place(self, need_id: NeedId) -> None: ...

    def wait_again(
        self, need_id: NeedId, without: OfferId | None = None, rests_until: datetime | None = None
    ) -> None: ...

    def reprioritise(self, need_id: NeedId, tier: Tier) -> None: ...

    def tell(self, need_id: NeedId, unmatched: Unmatched | None) -> None:
        """Remember what was said about why nothing was found; None: it no longer holds."""

    async def wanted_goods(self) -> Sequence[WantedGoods]:
        """Goods needs of which something is missing, locked; those that another work has locked wait."""


class Offers(Protocol):
    async def get(self, offer_id: OfferId) -> Offer | None: ...

    async def named(self, part: str, area: str) -> Sequence[Offer]:
        """Places whose name has that part, never a confidential one; by name, and not very many."""

    def put(self, offer: Offer, now: datetime) -> None: ...

    def confirm(self, offer_id: OfferId, now: datetime) -> None:
        """Somebody looked at the capacity now."""

    async def listed(self, viewer: Viewer, nights: Sequence[date]) -> Sequence[Listed]: ...

    async def imported(self, source_id: str, source_keys: Collection[str]) -> Mapping[str, Offer]: ...

    def put_imported(self, source_id: str, source_key: str, offer: Offer, now: datetime) -> None: ...


class Places(Protocol):
    """Nights and what is taken on them. Only who holds `lock` may change any."""

    async def lock(self) -> None:
        """Places are given by one hand at a time: wait for it, and keep it until the end of the work."""

    async def book(
        self, kinds: Collection[Kind], from_date: date, until: date, only: Collection[OfferId] | None
    ) -> Book:
        """What is free on those nights, at these offers or (None) at all."""

    async def write_down(self, offer_ids: Collection[OfferId], night: date) -> None:
        """Make a row of the night, so that it can be counted."""

    def are_written(self, taken: Sequence[Taken]) -> bool:
        """Whether each of the nights was seen to be counted already."""
        ...

    def take(self, taken: Sequence[Taken]) -> None:
        """Hold; the database refuses it above capacity."""

    def take_over(self, offer_id: OfferId, from_date: date, units: int) -> None:
        """Record units that are taken already, on all nights from a date on, also above capacity."""

    def release(self, taken: Sequence[Taken]) -> None: ...

    def release_standing(self, offer_id: OfferId, from_date: date, until: date | None, units: int) -> None:
        """Units of an occupancy without an end are free from `until` on; None: it was never so."""

    def set_capacity(self, offer_id: OfferId, from_date: date, until: date, capacity: int) -> None: ...

    def change_default(self, offer_id: OfferId, capacity: int, today: date) -> None: ...

    async def excess(self, night: date) -> int: ...


class Referrals(Protocol):
    async def get(self, referral_id: ReferralId) -> Referral | None: ...

    async def live(self, need_ids: Collection[NeedId]) -> Sequence[tuple[Referral, Offer]]: ...

    def propose(self, referrals: Sequence[Referral], now: datetime) -> None:
        """Referrals and their holds."""

    def save(self, referral: Referral) -> None:
        """The referral, and its hold for as long as it has one."""

    async def shown(self, viewer: Viewer, state: str) -> Sequence[Shown]: ...

    async def of_case(
        self, case_id: CaseId, referral_ids: Collection[ReferralId]
    ) -> Sequence[tuple[Referral, Offer]]:
        """Those of them that are the case's."""


class OnePlaces(Protocol):
    """The places that households have through whichever of their cases. Only who holds `Places.lock` may call."""

    async def leaders(
        self, asking: Mapping[UUID, CaseId], from_date: date, until: date
    ) -> Mapping[UUID, Sequence[Leader]]:
        """By key: referrals of other cases than the one that asks which have a place on some of those nights."""
        ...

    async def sharing(self, leader: ReferralId) -> Sequence[Referral]:
        """Live referrals that share its place, the surest first."""
        ...

    def take(self, taken: Sequence[HouseholdNights], *, or_leave: bool = False) -> None:
        """The database refuses a night that another case has; with `or_leave` it stays that case's."""

    def release(self, taken: Sequence[HouseholdNights]) -> None: ...

    def take_over(self, heir: Referral, followers: Collection[ReferralId]) -> None:
        """It has the place from now on; the others share it with this one."""

    async def hiding(self, case_ids: Collection[CaseId]) -> Sequence[Referral]:
        """Live referrals of those of the cases that hide now, while their households' nights still go by a key."""
        ...

    async def refused(self, case_ids: Collection[CaseId]) -> Mapping[NeedId, Collection[ReferralId]]:
        """By need of these cases: of whose place it was refused a share, or did not want one."""
        ...

    def forget(self, case_id: CaseId) -> None:
        """The case's nights go by no key any more, past and to come."""

    def forget_past(self, today: date) -> None:
        """Nights that are over are nobody's."""

    def rename(self, referral_id: ReferralId, key: UUID) -> None: ...


class Occupancies(Protocol):
    async def get(self, occupancy_id: OccupancyId) -> Occupancy | None: ...

    async def of_referral(self, referral_id: ReferralId) -> Occupancy | None: ...

    async def standing_of(self, case_id: CaseId) -> Sequence[Occupancy]: ...
    def tell_again(self, source_id: str, source_keys: Collection[str], as_of: date) -> None: ...
    async def untold(self, source_id: str, as_of: date) -> Sequence[Occupancy]: ...

    async def imported(self, source_id: str, source_keys: Collection[str]) -> Mapping[str, Occupancy]: ...

    async def lodged(self, case_ids: Collection[CaseId], today: date) -> Sequence[Dwelling]:
        """Where these households lodge, tonight or later, by a referral whose place is their own; closed cases
        live nowhere."""
        ...

    def tell_outgrown(self, occupancy_id: OccupancyId, persons: int | None) -> None:
        """Remember for how many heads the place was said to be too small; None: it is not."""

    def start(self, occupancy: Occupancy, source: tuple[str, str] | None = None) -> None: ...

    def save(self, occupancy: Occupancy) -> None: ...


class Goods(Protocol):
    async def get(self, allocation_id: AllocationId) -> Allocation | None: ...

    async def live_of(self, need_ids: Collection[NeedId]) -> Sequence[Allocation]: ...

    def propose(self, allocations: Sequence[Allocation], now: datetime) -> None: ...

    def save(self, allocation: Allocation) -> None: ...

    async def tell_withdrawn(self) -> Sequence[AllocationId]:
        """Those that logistics has yet to be told of; from now on it has been."""

    def forget(self, case_id: CaseId) -> None: ...

    async def shelves(self) -> Sequence[Shelf]: ...

    async def asked(self) -> Sequence[Asked]:
        """Proposals that logistics has not answered."""

    async def pack_sizes(self) -> Mapping[str, int]: ...

    def count(self, shelf: Shelf, pack_size: int, now: datetime) -> None: ...

    def correct(self, item_id: str, at_most: int) -> None: ...

    async def shortfalls(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        """What was last said: (area, item) -> (packs, revision)."""

    def tell_shortfall(self, area: str, item_id: str, packs: int, revision: int) -> None: ...


class Appeal(Protocol):
    def publish(self, line_id: LineId, area: str, item_id: str, packs: int) -> None: ...

    def pledged(self, line_id: LineId, packs: int) -> None: ...

    def end(self, line_id: LineId, state: str) -> None: ...

    def snapshot(
        self, line_id: LineId, area: str, item_id: str, packs: int, pledged: int, state: str
    ) -> None: ...


class Desk(Protocol):
    async def entries(self, today: date) -> Sequence[DeskEntry]:
        """The hub's desk: open confidential requests, oldest first."""


class MatchingWork(Work):
    """One transaction: what it changes, what it says, what it promises.

    `cause` is what is being worked on: events of a case that it touches or concerns are caused by it; events
    of other cases, for which a place became free, are caused by nothing that may be told.
    """

    cause: Cause
    terms: Terms
    agenda: Agenda
    contention: Contention
    households: Households
    newcomers: Newcomers
    needs: Needs
    offers: Offers
    places: Places
    referrals: Referrals
    occupancies: Occupancies
    one_places: OnePlaces
    goods: Goods
    appeal: Appeal
    desk: Desk

    @property
    def today(self) -> date:
        """The region's day, and the name of the night that follows it."""
        return self.terms.calendar.today(self.now)

    def concern(self, case_id: CaseId) -> None:
        """What is said of this case is caused by what is being worked on now."""
        raise NotImplementedError

    def touch(self, case_id: CaseId, need_id: NeedId | None = None) -> None:
        """Put a need on the agenda, or all needs of a case, and concern the case."""
        self.concern(case_id)
        if need_id is None:
            self.agenda.cases.add(case_id)
        else:
            self.agenda.needs.add(need_id)

    def say(self, event: Event, *, hidden: bool = False) -> None:
        """Announce what has become true. `hidden`: it is about a household or a place in hiding, so no figure
        that anybody may read counts it.
        """
        raise NotImplementedError
