"""No place is ever given twice, and nobody waits beside a free one: random histories against a model.

The service runs whole on the real PostgreSQL. The model knows who holds and occupies what, until when, and which
answer each command must get; after every step the rows must say the same.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import matching_pb2 as pb
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.chassis.ids import uuid7
from services.matching.domain.refusal import Refusal
from services.matching.entrypoints.deadlines import begin_rounds
from tests.support.matching import (
    ANYBODY,
    EVENING,
    HUB,
    OPERATOR,
    World,
    facts,
    lodging,
    matching,
    owner,
    reported,
)
from tests.support.stack import RunningStack

HOLD = timedelta(hours=2)
GRACE = timedelta(hours=12)
REST = timedelta(hours=12)
LEAVE_AT = time(11, 0, tzinfo=UTC)
LIVE = ("proposed", "accepted")
TABLES = "household, need, offer, night, referral, hold, occupancy, timer, outbox, stream"


@dataclass
class ModelOffer:
    """Capacity as it was last said: by default, and on single nights."""

    offer_id: str
    key: str
    unit: pb.Unit.ValueType
    capacity: int
    said: dict[date, int] = field(default_factory=dict)

    def on(self, night: date) -> int:
        return self.said.get(night, self.capacity)

    def units(self, persons: int) -> int:
        return 1 if self.unit == pb.UNIT_ROOM else persons


@dataclass
class ModelNeed:
    case_id: str
    need_id: str
    persons: int
    nights: int
    from_date: date
    state: str = "waiting"
    excluded: set[str] = field(default_factory=set)
    rests_until: datetime | None = None


@dataclass
class ModelReferral:
    referral_id: str
    need: ModelNeed
    offer: ModelOffer
    from_date: date
    until: date
    units: int
    expires_at: datetime
    state: str = "proposed"
    client: bool = False
    provider: bool = False
    occupied: bool = False
    ended: bool = False

    @property
    def holding(self) -> bool:
        return self.state in LIVE and not self.occupied

    def covers(self, night: date) -> bool:
        return (self.holding or self.occupied) and self.from_date <= night < self.until


@dataclass
class ModelStanding:
    """An occupancy known from an import: without an end until somebody says that the household left."""

    key: str
    case_id: str
    offer: ModelOffer
    units: int
    from_date: date
    until: date | None = None

    def covers(self, night: date) -> bool:
        return self.from_date <= night and (self.until is None or night < self.until)


class Holds(RuleBasedStateMachine):
    runner: ClassVar[asyncio.Runner]
    world: ClassVar[World]

    def do(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    @initialize(capacities=st.lists(st.integers(0, 3), min_size=2, max_size=2))
    def begin(self, capacities: list[int]) -> None:
        self.do(self._begin())
        self.offers: list[ModelOffer] = []
        self.needs: list[ModelNeed] = []
        self.referrals: dict[str, ModelReferral] = {}
        self.standing: list[ModelStanding] = []
        self.excess: dict[tuple[str, date], int] = {}
        self.may_exceed = False
        for unit, capacity in zip((pb.UNIT_BED, pb.UNIT_ROOM), capacities, strict=True):
            self._import_offer(ModelOffer("", f"offer-{unit}", unit, capacity))

    async def _begin(self) -> None:
        connection = await owner(self.world.database)
        await connection.execute(f"TRUNCATE {TABLES}")
        await connection.close()
        self.world.clock.advance(EVENING - self.world.clock.now())
        await self.world.app.works.run(begin_rounds)

    # What may happen

    @rule(persons=st.integers(1, 3), nights=st.integers(1, 3), later=st.integers(0, 2))
    def find_tonight(self, persons: int, nights: int, later: int) -> None:
        """A new household asks; held or not, the answer must be what the model allows."""
        need = self._need(persons, nights, later)
        answer = self.do(self.world.tonight(facts(adults=persons), self._message(need), need.case_id))
        free = self._could_take(need)
        self.needs.append(need)
        assert answer.HasField("held") == bool(free), (need, free)

    @rule(
        persons=st.integers(1, 3), nights=st.integers(1, 3), later=st.integers(0, 2), many=st.integers(1, 4)
    )
    def report(self, persons: int, nights: int, later: int, many: int) -> None:
        """Several households are reported in one batch."""
        needs = [self._need(persons, nights, later) for _ in range(many)]
        self.needs += needs
        told = [reported(each.case_id, self._message(each), facts(adults=persons)) for each in needs]
        self.do(self.world.hear(*told))

    @precondition(lambda self: self.needs)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        need = data.draw(st.sampled_from(self.needs))
        free = self._could_take(need)
        told = self._refused(
            lambda: self.world.tonight(facts(adults=need.persons), self._message(need), need.case_id)
        )
        match need.state:
            case "waiting":
                need.rests_until = None
                assert told.HasField("held") == bool(free)
            case "referred":
                live = [r for r in self.referrals.values() if r.need is need and r.state in LIVE]
                assert [told.held.referral_id] == [each.referral_id for each in live]
            case "placed":
                assert told.held.state == "accepted"
            case _:
                assert told == "need-closed"

    @precondition(lambda self: self.referrals)
    @rule(data=st.data(), side=st.sampled_from(["client", "provider"]), yes=st.booleans())
    def answer(self, data: st.DataObject, side: str, yes: bool) -> None:
        referral = self.referrals[data.draw(st.sampled_from(sorted(self.referrals)))]
        if side == "client":
            told = self._refused(lambda: self.world.client(referral.need.case_id, referral.referral_id, yes))
        else:
            told = self._refused(lambda: self.world.provider(referral.referral_id, yes, HUB))
        assert told == self._answered(referral, side, yes)

    def _answered(self, referral: ModelReferral, side: str, yes: bool) -> str:
        """What the model says to the answer, and what it makes of it."""
        no = "declined" if side == "client" else "rejected"
        if referral.state == no and not yes:
            return no
        if referral.state not in LIVE:
            return f"referral-{referral.state}"
        if referral.occupied:
            return "accepted" if yes else "already-arrived"
        if not yes:
            referral.state, referral.need.state = no, "waiting"
            referral.need.excluded.add(referral.offer.offer_id)
            return no
        before = referral.state
        setattr(referral, side, True)
        if referral.client and referral.provider and before == "proposed":
            referral.state = "accepted"
            midnight = datetime.combine(referral.from_date + timedelta(days=1), time(0, tzinfo=UTC))
            referral.expires_at = max(midnight + GRACE, self.world.clock.now() + HOLD)
        return referral.state

    @precondition(lambda self: self.referrals)
    @rule(data=st.data())
    def check_in(self, data: st.DataObject) -> None:
        referral = self.referrals[data.draw(st.sampled_from(sorted(self.referrals)))]
        told = self._refused(lambda: self.world.check_in(referral.referral_id, HUB))
        if referral.occupied:
            assert told == (referral.from_date + timedelta(days=referral.need.nights - 1)).isoformat()
        elif referral.state != "accepted":
            wanted = "not-accepted" if referral.state == "proposed" else f"referral-{referral.state}"
            assert told == wanted
        elif self._today() < referral.from_date:
            assert told == "stay-not-begun"
        else:
            assert told == (referral.until - timedelta(days=1)).isoformat()
            referral.occupied, referral.need.state = True, "placed"

    @precondition(lambda self: self._may_move_in())
    @rule(data=st.data())
    def move_in(self, data: st.DataObject) -> None:
        """Both say yes and the household arrives: what single answers would rarely come to."""
        referral = self.referrals[data.draw(st.sampled_from(self._may_move_in()))]
        self.do(self.world.client(referral.need.case_id, referral.referral_id, True))
        self._answered(referral, "client", True)
        assert self.do(self.world.provider(referral.referral_id, True, HUB)) == "accepted"
        self._answered(referral, "provider", True)
        self.do(self.world.check_in(referral.referral_id, HUB))
        referral.occupied, referral.need.state = True, "placed"

    def _may_move_in(self) -> list[str]:
        may = (each for each in self.referrals.values() if each.holding and each.from_date <= self._today())
        return sorted(each.referral_id for each in may)

    @precondition(lambda self: any(each.occupied for each in self.referrals.values()))
    @rule(data=st.data(), days=st.none() | st.integers(-1, 4))
    def check_out(self, data: st.DataObject, days: int | None) -> None:
        occupied = sorted(each.referral_id for each in self.referrals.values() if each.occupied)
        referral = self.referrals[data.draw(st.sampled_from(occupied))]
        until = None if days is None else referral.from_date + timedelta(days=days)
        told = self._refused(
            lambda: self.world.check_out(referral.referral_id, until.isoformat() if until else "", HUB)
        )
        if referral.ended:
            assert told is None
        elif until is not None and not referral.from_date <= until <= referral.until:
            assert told == "until-date-outside-stay"
        else:
            assert told is None
            leaves = until or min(referral.until, max(referral.from_date, self._today()))
            referral.until, referral.ended = leaves, True

    @rule(
        by=st.sampled_from(
            [
                timedelta(minutes=30),
                timedelta(hours=2),
                timedelta(hours=9),
                timedelta(days=1),
                timedelta(days=4),
            ]
        )
    )
    def time_passes(self, by: timedelta) -> None:
        self.do(self.world.advance(by))
        now = self.world.clock.now()
        for each in self.referrals.values():
            if each.holding and each.expires_at <= now:
                each.state, each.need.state = "expired", "waiting"
                if each.client and not each.provider:
                    each.need.excluded.add(each.offer.offer_id)
                else:
                    each.need.rests_until = now + REST
        for need in self.needs:
            if need.rests_until is not None and need.rests_until <= now:
                need.rests_until = None
        for each in self.referrals.values():
            if each.occupied and datetime.combine(each.until, LEAVE_AT) <= now:
                each.ended = True

    @precondition(lambda self: self.needs)
    @rule(data=st.data(), how=st.sampled_from(["withdrawn", "met", "closed"]))
    def need_goes_away(self, data: st.DataObject, how: str) -> None:
        need = data.draw(st.sampled_from(self.needs))
        named = {"case_id": need.case_id, "need_id": need.need_id}
        told = {
            "withdrawn": intake.NeedWithdrawn(**named),
            "met": intake.NeedMet(**named),
            "closed": intake.CaseClosed(case_id=need.case_id),
        }
        self.do(self.world.hear(told[how]))
        if how == "closed":
            self.needs.remove(need)
        need.state = "closed"
        for each in self.referrals.values():
            if each.need is need and each.holding:
                each.state = "withdrawn"

    @rule(data=st.data(), capacity=st.integers(0, 4))
    def change_capacity(self, data: st.DataObject, capacity: int) -> None:
        offer = data.draw(st.sampled_from(self.offers))
        self.may_exceed = True
        offer.capacity = capacity
        self._import_offer(offer)

    @rule(data=st.data(), later=st.integers(0, 3), nights=st.integers(1, 3), capacity=st.integers(0, 4))
    def set_capacity(self, data: st.DataObject, later: int, nights: int, capacity: int) -> None:
        offer = data.draw(st.sampled_from(self.offers))
        first = self._today() + timedelta(days=later)
        self.may_exceed = True
        request = pb.SetCapacityRequest(
            offer_id=offer.offer_id, from_date=first.isoformat(), nights=nights, capacity=capacity
        )
        self.do(self.world.ask("SetCapacity", request, HUB))
        offer.said.update({first + timedelta(days=n): capacity for n in range(nights)})

    @rule(data=st.data(), persons=st.integers(1, 4), again=st.booleans())
    def import_occupancy(self, data: st.DataObject, persons: int, again: bool) -> None:
        """Taken already, also above capacity; the same row may come again with other persons or elsewhere."""
        offer = data.draw(st.sampled_from(self.offers))
        self.may_exceed = True
        known = data.draw(st.sampled_from(self.standing)) if again and self.standing else None
        row = known or ModelStanding(str(uuid7()), str(uuid7()), offer, 0, self._today() - timedelta(days=30))
        request = pb.ImportOccupanciesRequest(
            source_id="export",
            as_of=self._today().isoformat(),
            occupancies=[
                pb.ImportedOccupancy(
                    source_key=row.key, offer_source_key=offer.key, case_id=row.case_id, persons=persons,
                    from_date=row.from_date.isoformat(),
                )
            ],
        )  # fmt: skip
        self.do(self.world.ask("ImportOccupancies", request, OPERATOR))
        if row.until is None:
            row.offer, row.units = offer, offer.units(persons)
        if known is None:
            self.standing.append(row)

    @precondition(lambda self: any(each.until is None for each in self.standing))
    @rule(data=st.data())
    def imported_household_leaves(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([each for each in self.standing if each.until is None]))
        self.do(self.world.hear(intake.CaseClosed(case_id=row.case_id)))
        row.until = self._today()

    # What must be true

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if hasattr(self, "referrals"):
            self._learn_new_referrals()
            self._rows_say_what_the_model_says()
            self._nothing_is_given_above_capacity()
            self._nobody_waits_beside_a_free_place()

    def _rows_say_what_the_model_says(self) -> None:
        rows = self._fetch("SELECT referral_id::text, state, occupied, expires_at FROM referral")
        assert {row["referral_id"]: (row["state"], row["occupied"], row["expires_at"]) for row in rows} == {
            each.referral_id: (each.state, each.occupied, each.expires_at) for each in self.referrals.values()
        }
        self.do(self.world.consistent())

    def _nothing_is_given_above_capacity(self) -> None:
        after: dict[tuple[str, date], int] = {}
        for row in self._fetch(
            "SELECT offer_id::text, night, capacity, taken, excess FROM night WHERE night >= $1"
        ):
            offer = next(each for each in self.offers if each.offer_id == row["offer_id"])
            assert row["capacity"] == offer.on(row["night"])
            assert row["taken"] == self._taken(offer, row["night"])
            after[row["offer_id"], row["night"]] = row["excess"]
        if not self.may_exceed:
            grown = {each: excess for each, excess in after.items() if excess > self.excess.get(each, 0)}
            # A night that is written down for the first time may show what stood on it before.
            assert not [each for each in grown if each in self.excess], grown
        self.excess, self.may_exceed = after, False

    def _nobody_waits_beside_a_free_place(self) -> None:
        for need in self.needs:
            if need.state == "waiting" and need.rests_until is None:
                assert not self._could_take(need), need

    # How the model knows it

    def _learn_new_referrals(self) -> None:
        """Referrals that the service made on its own: each must be one that the model would have allowed."""
        rows = self._fetch("SELECT * FROM referral ORDER BY referral_id")
        for row in rows:
            if str(row["referral_id"]) in self.referrals:
                continue
            need = next(each for each in self.needs if each.need_id == str(row["need_id"]))
            offer = next(each for each in self.offers if each.offer_id == str(row["offer_id"]))
            assert offer.offer_id not in need.excluded
            assert row["units"] == offer.units(need.persons)
            assert row["nights"] == need.nights
            assert row["from_date"] == max(need.from_date, self._today())
            assert row["expires_at"] == self.world.clock.now() + HOLD
            need.state, need.rests_until = "referred", None
            self.referrals[str(row["referral_id"])] = ModelReferral(
                str(row["referral_id"]), need, offer, row["from_date"],
                row["from_date"] + timedelta(days=row["nights"]), row["units"], row["expires_at"],
            )  # fmt: skip

    def _could_take(self, need: ModelNeed) -> list[str]:
        """Offers with room for the need on all of its nights."""
        first = max(need.from_date, self._today())
        nights = [first + timedelta(days=n) for n in range(need.nights)]
        return [
            offer.offer_id
            for offer in self.offers
            if offer.offer_id not in need.excluded
            and all(
                self._taken(offer, night) + offer.units(need.persons) <= offer.on(night) for night in nights
            )
        ]

    def _taken(self, offer: ModelOffer, night: date) -> int:
        things: list[ModelReferral | ModelStanding] = [*self.referrals.values(), *self.standing]
        return sum(each.units for each in things if each.offer is offer and each.covers(night))

    def _need(self, persons: int, nights: int, later: int) -> ModelNeed:
        return ModelNeed(str(uuid7()), str(uuid7()), persons, nights, self._today() + timedelta(days=later))

    def _message(self, need: ModelNeed) -> common.Need:
        return lodging(need.nights, need.from_date.isoformat(), need_id=need.need_id)

    def _import_offer(self, offer: ModelOffer) -> None:
        terms = pb.Offer(
            kind=common.NEED_KIND_LODGING,
            name=offer.key,
            unit=offer.unit,
            capacity=offer.capacity,
            rules=ANYBODY,
        )
        request = pb.ImportOffersRequest(
            source_id="export", as_of=self._today().isoformat(),
            offers=[pb.ImportedOffer(source_key=offer.key, offer=terms)],
        )  # fmt: skip
        answer = self.do(self.world.ask("ImportOffers", request, OPERATOR))
        offer.offer_id = answer.results[0].id
        if offer not in self.offers:
            self.offers.append(offer)

    def _today(self) -> date:
        return self.world.clock.now().date()

    def _fetch(self, query: str) -> Any:
        arguments = [self._today()] if "$1" in query else []
        return self.do(self.world.database.pool.fetch(query, *arguments))

    def _refused(self, command: Any) -> Any:
        """The answer, or the reason why there is none."""
        try:
            return self.do(command())
        except Refusal as refusal:
            return refusal.reason


@pytest.mark.timeout(600)
def test_no_history_overbooks_a_place_or_leaves_one_empty_beside_who_waits(stack: RunningStack) -> None:
    with asyncio.Runner() as runner:
        resources = AsyncExitStack()
        Holds.runner = runner
        Holds.world = runner.run(resources.enter_async_context(matching(stack)))
        try:
            run_state_machine_as_test(
                Holds,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    phases=(Phase.reuse, Phase.generate, Phase.shrink),
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(resources.aclose())
