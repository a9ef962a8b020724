"""What is promised to households, over random schedules, restarts, crashes and clocks that jump: kept once, never
early, and in the order of the times within a household."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import asyncpg
import pytest
from aid.intake.v1 import events_pb2 as events
from aid.matching.v1 import events_pb2 as matching
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.chassis.timers import Timers
from services.intake.application.household_clock import CASE_CLOCK
from services.intake.application.ports import IntakeWork
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder
from services.intake.domain.ids import AgencyId, CaseId
from services.intake.domain.stays import THRESHOLDS
from services.intake.entrypoints.deadlines import case_clock
from tests.support.clocks import DAY, TODAY, opened_case, ring, told
from tests.support.intake import AGENCIES, NOON, Intake, lodging, new_id, opened_intake
from tests.support.machines import CrashError
from tests.support.stack import RunningStack

T = TypeVar("T")
KINDS = ("x", "y")
NAMES = ("a", "b", "c")
HOUR = timedelta(hours=1)

_RUNG = """
CREATE TABLE rung (id bigint GENERATED ALWAYS AS IDENTITY, case_id uuid, kind text, about text, due_at timestamptz);
GRANT ALL ON rung TO PUBLIC;
"""
_EMPTY = "TRUNCATE reminder, timer, rung, outbox, stream RESTART IDENTITY CASCADE"
_TRY_AGAIN = "UPDATE timer SET next_try_at = '-infinity'"


@dataclass(frozen=True, slots=True)
class Ground:
    """Intake with three households, on one database and one loop for all examples."""

    runner: asyncio.Runner
    intake: Intake
    owner: asyncpg.Connection[asyncpg.Record]
    cases: list[CaseId] = field(default_factory=list)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(act)

    def begin(self) -> None:
        """Noon of the first day, and nothing promised."""
        self.intake.clock.advance(NOON - self.intake.clock.now())
        self.run(self.owner.execute(_EMPTY))


@contextmanager
def ground(stack: RunningStack) -> Iterator[Ground]:
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        resources = AsyncExitStack()

        async def open_() -> Ground:
            intake = await resources.enter_async_context(opened_intake(stack, Path(folder)))
            owner = await asyncpg.connect(
                intake.settings.owner_dsn, password=intake.settings.owner_password()
            )
            resources.push_async_callback(owner.close)
            await owner.execute(_RUNG)
            opened = [await opened_case(intake) for _ in range(3)]
            return Ground(runner, intake, owner, [CaseId(UUID(each.case_id)) for each in opened])

        opened = runner.run(open_())
        try:
            yield opened
        finally:
            runner.run(resources.aclose())


@dataclass(frozen=True, slots=True, order=True)
class Promise:
    """One promise to a household, as its row names it."""

    case: int
    kind: str
    about: str


class ClocksMachine(RuleBasedStateMachine):
    """Two workers keep what is promised to three households. A ring may fail, or its worker die over it."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.ground.begin()
        self.intake = self.ground.intake
        self.promised: dict[Promise, datetime] = {}
        self.failing: set[str] = set()
        self.dies_on: str | None = None
        self.restart()

    @rule()
    def restart(self) -> None:
        """All that the process knew is gone."""
        rings = dict.fromkeys(KINDS, self._ring)
        deadlines = {CASE_CLOCK: case_clock(rings)}
        intake = self.ground.intake
        self.workers = [
            Timers(intake.database, intake.clock, intake.application.works, deadlines) for _ in range(2)
        ]

    async def _ring(self, work: IntakeWork, case: Case, reminder: Reminder) -> None:
        if reminder.about == self.dies_on:
            raise CrashError
        if reminder.about in self.failing:
            raise ZeroDivisionError
        work.write(
            "INSERT INTO rung (case_id, kind, about, due_at) VALUES ($1, $2, $3, $4)",
            case.case_id, reminder.kind, reminder.about, reminder.due_at,
        )  # fmt: skip

    @rule(
        what=st.lists(
            st.tuples(
                st.integers(0, 2), st.sampled_from(KINDS), st.sampled_from(NAMES), st.integers(-30, 60)
            ),
            min_size=1,
            max_size=6,
        )
    )
    def promise(self, what: list[tuple[int, str, str, int]]) -> None:
        """In one work; of what is promised twice only the last counts."""
        last = {Promise(case, kind, about): hours * HOUR for case, kind, about, hours in what}

        async def act(work: IntakeWork) -> None:
            for each, after in last.items():
                case_id = self.ground.cases[each.case]
                due_at = self.intake.clock.now() + after
                work.clocks.arm(case_id, AgencyId(UUID(AGENCIES["outreach"])), each.kind, each.about, due_at)

        self.ground.run(self.intake.application.works.run(act))
        self.promised |= {each: self.intake.clock.now() + after for each, after in last.items()}

    @rule(
        case=st.integers(0, 2),
        kind=st.sampled_from(KINDS),
        about=st.one_of(st.none(), st.sampled_from(NAMES)),
    )
    def take_back(self, case: int, kind: str, about: str | None) -> None:
        async def act(work: IntakeWork) -> None:
            work.clocks.disarm(self.ground.cases[case], kind, about)

        self.ground.run(self.intake.application.works.run(act))
        for each in list(self.promised):
            if each.case == case and each.kind == kind and about in (None, each.about):
                del self.promised[each]

    @rule(jump=st.sampled_from([-DAY, -HOUR, HOUR, DAY, 3 * DAY]))
    def the_clock_jumps(self, jump: timedelta) -> None:
        """Also while nobody keeps anything: a service that is down over a due time."""
        self.intake.clock.advance(jump)

    @rule(failing=st.sets(st.sampled_from(NAMES), max_size=2), dies_on=st.sampled_from([None, None, *NAMES]))
    def keep(self, failing: set[str], dies_on: str | None) -> None:
        """One worker keeps what is due and may die over it; then both keep the rest at the same time."""
        self.failing = failing
        before = len(self._rung())
        if dies_on is not None:
            self._die_on(dies_on)
        self.ground.run(self._both_keep())
        self._settle(before)
        now = self.intake.clock.now()
        for each, due_at in self.promised.items():
            assert due_at > now or self._waits_behind_a_failure(each), f"{each} was not kept"
        self.ground.run(self.intake.database.pool.execute(_TRY_AGAIN))

    def _die_on(self, about: str) -> None:
        self.dies_on = about
        try:
            self.ground.run(self.workers[0].keep())
        except CrashError:
            pass
        finally:
            self.dies_on = None

    async def _both_keep(self) -> None:
        while any(await asyncio.gather(*(worker.keep() for worker in self.workers))):
            pass

    def _waits_behind_a_failure(self, waiting: Promise) -> bool:
        mine = (self.promised[waiting], waiting.kind, waiting.about)
        return any(
            each.about in self.failing and (due_at, each.kind, each.about) <= mine
            for each, due_at in self.promised.items()
            if each.case == waiting.case
        )

    def _settle(self, before: int) -> None:
        """Each of what rang since then was promised, was due, and was the earliest of its household."""
        for each, due_at in self._rung()[before:]:
            assert self.promised.get(each) == due_at, f"{each} rang and was not promised so"
            assert due_at <= self.intake.clock.now(), f"{each} rang early"
            earliest = min(at for other, at in self.promised.items() if other.case == each.case)
            assert due_at == earliest, f"{each} overtook another promise to its household"
            del self.promised[each]

    def _rung(self) -> list[tuple[Promise, datetime]]:
        rows = self.ground.run(self.intake.database.pool.fetch("SELECT * FROM rung ORDER BY id"))
        cases = self.ground.cases
        return [
            (Promise(cases.index(row["case_id"]), row["kind"], row["about"]), row["due_at"]) for row in rows
        ]

    @invariant()
    def what_is_promised_is_in_the_table_and_has_a_timer_in_time(self) -> None:
        rows = self.ground.run(
            self.ground.owner.fetch(
                "SELECT case_id, kind, about, due_at,"
                " (SELECT due_at FROM timer WHERE timer.subject = case_id::text) AS timer FROM reminder"
            )
        )
        cases = self.ground.cases
        found = {
            Promise(cases.index(row["case_id"]), row["kind"], row["about"]): row["due_at"] for row in rows
        }
        assert found == self.promised
        assert all(row["timer"] is not None and row["timer"] <= row["due_at"] for row in rows)

    def teardown(self) -> None:
        self.ground.run(self.intake.database.pool.execute(_TRY_AGAIN))
        self.the_clock_jumps(30 * DAY)
        self.keep(failing=set(), dies_on=None)
        assert self.promised == {}


@pytest.mark.timeout(400)
def test_each_promise_to_a_household_is_kept_once_never_early_and_in_order(stack: RunningStack) -> None:
    with ground(stack) as here:
        run_state_machine_as_test(
            type("Grounded", (ClocksMachine,), {"ground": here}),
            settings=settings(
                max_examples=40, stateful_step_count=25, deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip


# The clocks of a stay

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("jump"), st.integers(-1, 9)),
        st.tuples(st.just("extend"), st.integers(1, 12)),
        st.tuples(st.just("ring"), st.just(0)),
        st.tuples(st.just("hear again"), st.just(0)),
    ),
    max_size=14,
)


@pytest.mark.timeout(400)
def test_of_each_last_night_each_threshold_is_told_once_in_order_and_each_stay_ends_once(
    stack: RunningStack,
) -> None:
    with ground(stack) as here:

        @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
        @given(nights=st.integers(1, 15), steps=STEPS)
        def over_any_time(nights: int, steps: list[tuple[str, int]]) -> None:
            here.begin()
            here.run(_lives(here.intake, nights, steps))

        over_any_time()


async def _lives(intake: Intake, nights: int, steps: list[tuple[str, int]]) -> None:
    """A household stays, may stay longer as long as it is there, and leaves; time goes as it likes."""
    case_id = (await opened_case(intake, lodging(nights))).case_id
    referral_id, last_night = new_id(), TODAY + (nights - 1) * DAY
    started = matching.OccupancyStarted(
        case_id=case_id,
        referral_id=referral_id,
        from_date=TODAY.isoformat(),
        last_night=last_night.isoformat(),
    )
    await intake.hear(started)
    last_nights = {last_night.isoformat()}
    for step, by in steps:
        if step == "jump":
            intake.clock.advance(by * DAY)
        elif step == "ring":
            await ring(intake)
        elif step == "extend" and intake.clock.now().date() <= last_night:
            last_night += by * DAY
            last_nights.add(last_night.isoformat())
            await _hear_last_night(intake, case_id, referral_id, last_night.isoformat())
        elif step == "hear again":
            await _hear_last_night(intake, case_id, referral_id, last_night.isoformat())
    intake.clock.advance(400 * DAY)
    await ring(intake)
    assert not await ring(intake)
    _check(await told(intake, case_id), last_night.isoformat(), last_nights)
    assert (
        await intake.database.pool.fetchval(
            "SELECT count(*) FROM alarm WHERE case_id = $1::text::uuid AND acknowledged_at IS NULL", case_id
        )
        == 1
    )


async def _hear_last_night(intake: Intake, case_id: str, referral_id: str, last_night: str) -> None:
    await intake.hear(
        matching.OccupancyExtended(case_id=case_id, referral_id=referral_id, last_night=last_night)
    )


def _check(happened: list[Any], last_night: str, last_nights: set[str]) -> None:
    endings = [each for each in happened if isinstance(each, events.StayEnding)]
    for night in {each.last_night for each in endings} | {last_night}:
        told_days = [each.days_left for each in endings if each.last_night == night]
        assert night in last_nights
        assert told_days == sorted(set(told_days), reverse=True), f"{night}: {told_days}"
    assert [each.days_left for each in endings if each.last_night == last_night][-1:] == [THRESHOLDS[-1]]
    assert isinstance(happened[-1], events.FollowUpDue)
    assert [each.days for each in happened if isinstance(each, events.FollowUpDue)] == [30, 90, 180]
    ended = [each for each in happened if isinstance(each, events.StayEnded)]
    assert ended
    assert ended[-1].until_date > last_night
