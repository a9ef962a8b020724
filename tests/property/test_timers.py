"""Timers under re-arming, stepped time, failing deadlines and crashes: kept once, and never early."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from services.chassis.timers import Due, Timers
from tests.support.fixed_clock import FixedClock
from tests.support.machines import CrashError, OnDatabase, explore
from tests.support.messaging import NOON, Words, works_of
from tests.support.stack import RunningStack

SUBJECTS = ("a", "b", "c", "d", "e")
_TIME_PASSES = "UPDATE timer SET next_try_at = '-infinity'"


class TimersMachine(OnDatabase):
    """Two workers on one table; a promise may fail, or its worker die, any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock(NOON)
        self.works = works_of(self.database, self.clock)
        self.workers = [
            Timers(self.database, self.clock, self.works, {"remind": self.remind}) for _ in range(2)
        ]
        self.promised: dict[str, datetime] = {}
        self.failing: set[str] = set()
        self.dies_on: str | None = None
        self.rearms: dict[str, timedelta] = {}
        self.numbers = 0

    async def remind(self, due: Due, work: Words) -> None:
        if due.subject == self.dies_on:
            raise CrashError
        if due.subject in self.failing:
            raise ZeroDivisionError
        self.numbers += 1
        work.say("t", due.subject, self.numbers)
        work.write(
            "INSERT INTO heard (key, number, event, sequence) VALUES ($1, $2, gen_random_uuid(), 0)",
            due.subject, int((due.due_at - NOON).total_seconds()),
        )  # fmt: skip
        if due.subject in self.rearms:
            await work.arm("remind", due.subject, work.now + self.rearms[due.subject])

    @rule(what=st.lists(st.tuples(st.sampled_from(SUBJECTS), st.integers(-5, 50)), min_size=1, max_size=5))
    def promise(self, what: list[tuple[str, int]]) -> None:
        """Of a subject that is promised twice only the last counts."""
        promises = {subject: self.clock.now() + timedelta(seconds=after) for subject, after in what}

        async def act() -> None:
            async with self.works() as work:
                for subject, after in what:
                    await work.arm("remind", subject, self.clock.now() + timedelta(seconds=after))

        self.run(act())
        self.promised |= promises

    @rule(subject=st.sampled_from(SUBJECTS))
    def take_back(self, subject: str) -> None:
        async def act() -> None:
            async with self.works() as work:
                await work.disarm("remind", subject)

        self.run(act())
        self.promised.pop(subject, None)

    @rule(
        later=st.integers(0, 30),
        failing=st.sets(st.sampled_from(SUBJECTS), max_size=2),
        again=st.dictionaries(st.sampled_from(SUBJECTS), st.integers(1, 20), max_size=2),
        dies_on=st.sampled_from([None, None, *SUBJECTS]),
    )
    def keep(self, later: int, failing: set[str], again: dict[str, int], dies_on: str | None) -> None:
        """Some time later one worker keeps what is due, and may die on it; then both keep the rest."""
        self.clock.advance(timedelta(seconds=later))
        self.failing = failing
        self.rearms = {subject: timedelta(seconds=after) for subject, after in again.items()}
        before = self._heard()
        if dies_on is not None:
            self._die_on(dies_on)
            before = self._settled(before)
        self.run(self._both_keep())
        self._settled(before)
        for subject, due_at in self.promised.items():
            assert due_at > self.clock.now() or subject in failing
        self.run(self.database.pool.execute(_TIME_PASSES))  # what failed may be tried again

    def _die_on(self, subject: str) -> None:
        before, self.dies_on = self._heard(), subject
        try:
            self.run(self.workers[0].keep())
        except CrashError:
            assert subject not in dict(self._heard()[len(before) :])
        finally:
            self.dies_on = None

    async def _both_keep(self) -> None:
        while any(await asyncio.gather(*(worker.keep() for worker in self.workers))):
            pass

    def _settled(self, before: list[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
        """Take what was kept since then from what is promised; what was kept by now."""
        now = self._heard()
        for subject, due_at in now[len(before) :]:
            assert self.promised.pop(subject) == due_at <= self.clock.now()
            if subject in self.rearms:
                self.promised[subject] = self.clock.now() + self.rearms[subject]
        return now

    def _heard(self) -> list[tuple[str, datetime]]:
        rows = self.run(self.database.pool.fetch("SELECT key, number FROM heard ORDER BY id"))
        return [(row["key"], NOON + timedelta(seconds=row["number"])) for row in rows]

    @invariant()
    def what_is_promised_is_in_the_table(self) -> None:
        rows = self.run(self.database.pool.fetch("SELECT subject, due_at FROM timer WHERE kind = 'remind'"))
        assert {row["subject"]: row["due_at"] for row in rows} == self.promised

    @invariant()
    def an_event_was_said_for_each_promise_that_was_kept(self) -> None:
        assert len(self._heard()) == self.run(self.database.pool.fetchval("SELECT count(*) FROM outbox"))

    def teardown(self) -> None:
        self.run(self.database.pool.execute(_TIME_PASSES))
        self.keep(later=3600, failing=set(), again={}, dies_on=None)
        assert self.promised == {}


@pytest.mark.timeout(300)
def test_each_promise_is_kept_once_and_none_early(stack: RunningStack) -> None:
    explore(stack, TimersMachine, examples=40, steps=30)
