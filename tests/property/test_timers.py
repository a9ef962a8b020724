"""Timers under re-arming, stepped time, failing deadlines and crashes: kept once, and never early."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from services.chassis.clock import FixedClock
from services.chassis.timers import Due, Timers
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
        self.kept: list[tuple[str, datetime]] = []
        self.failing: set[str] = set()
        self.dies_on: str | None = None
        self.rearms: dict[str, timedelta] = {}
        self.numbers = 0

    async def remind(self, due: Due, work: Words) -> None:
        assert due.due_at <= work.now
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

    @rule(subject=st.sampled_from(SUBJECTS), after=st.integers(-5, 50))
    def promise(self, subject: str, after: int) -> None:
        due_at = self.clock.now() + timedelta(seconds=after)

        async def act() -> None:
            async with self.works() as work:
                await work.arm("remind", subject, due_at)

        self.run(act())
        self.promised[subject] = due_at

    @rule(subject=st.sampled_from(SUBJECTS))
    def take_back(self, subject: str) -> None:
        async def act() -> None:
            async with self.works() as work:
                await work.disarm("remind", subject)

        self.run(act())
        self.promised.pop(subject, None)

    @rule(subjects=st.sets(st.sampled_from(SUBJECTS), max_size=2))
    def let_some_fail(self, subjects: set[str]) -> None:
        self.failing = subjects

    @rule(subject=st.sampled_from(SUBJECTS), after=st.none() | st.integers(1, 20))
    def let_one_promise_again(self, subject: str, after: int | None) -> None:
        self.rearms.pop(subject, None)
        if after is not None:
            self.rearms[subject] = timedelta(seconds=after)

    @rule(seconds=st.integers(1, 30))
    def advance(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(subject=st.sampled_from(SUBJECTS))
    def die_while_keeping(self, subject: str) -> None:
        self.dies_on = subject
        before = self._heard()
        try:
            self.run(self.workers[0].keep())
        except CrashError:
            assert self._heard() == before
        else:
            self._settle(before)
        finally:
            self.dies_on = None
        self.run(self.database.pool.execute(_TIME_PASSES))

    @rule()
    def keep(self) -> None:
        """Both workers at once, until neither finds anything; failed promises are due again at once."""
        before = self._heard()

        async def act() -> None:
            while any(await asyncio.gather(*(worker.keep() for worker in self.workers))):
                pass

        self.run(act())
        self._settle(before)
        self.run(self.database.pool.execute(_TIME_PASSES))

    def _settle(self, before: list[tuple[str, datetime]]) -> None:
        """Compare what was kept now with what was promised."""
        kept = self._heard()[len(before) :]
        for subject, due_at in kept:
            assert self.promised.pop(subject) == due_at
            if subject in self.rearms:
                self.promised[subject] = self.clock.now() + self.rearms[subject]
        for subject, due_at in self.promised.items():
            assert due_at > self.clock.now() or subject in self.failing

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
        self.failing, self.rearms = set(), {}
        self.clock.advance(timedelta(hours=1))
        self.run(self.database.pool.execute(_TIME_PASSES))
        self.keep()
        assert self.promised == {}


@pytest.mark.timeout(300)
def test_each_promise_is_kept_once_and_none_early(stack: RunningStack) -> None:
    explore(stack, TimersMachine, examples=40, steps=30)
