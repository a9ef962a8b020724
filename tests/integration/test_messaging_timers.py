"""Timers as a running part on a real PostgreSQL: a stepped clock, a failing deadline, the purge of old answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from services.chassis.database import Database
from services.chassis.idempotency import KEEP, Command, once
from services.chassis.timers import Deadline, Due, Timers
from services.chassis.work import WorkFactory
from tests.support.fixed_clock import FixedClock
from tests.support.messaging import NOON, Words, opened, until, works_of
from tests.support.stack import RunningStack

HOUR = timedelta(hours=1)


@asynccontextmanager
async def ticking(
    stack: RunningStack, deadlines: Mapping[str, Deadline[Words]]
) -> AsyncIterator[tuple[Database, FixedClock, WorkFactory[Words]]]:
    clock = FixedClock(NOON)
    async with opened(stack) as database:
        works = works_of(database, clock)
        timers = Timers(database, clock, works, deadlines)
        await timers.start()
        try:
            yield database, clock, works
        finally:
            await timers.drain()


async def _remind(due: Due, work: Words) -> None:
    work.say("t", due.subject, int(due.payload))


async def _said(database: Database, many: int) -> None:
    async def enough() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) FROM said") >= many)

    await until(enough, what=f"{many} reminders")


async def test_a_promise_is_kept_soon_after_the_clock_was_stepped_over_it(stack: RunningStack) -> None:
    async with ticking(stack, {"remind": _remind}) as (database, clock, works):
        async with works() as work:
            await work.arm("remind", "a", NOON + 72 * HOUR, b"1")
        clock.advance(71 * HOUR)
        async with works() as work:  # due before the other: the part, asleep until then, has to notice
            await work.arm("remind", "b", clock.now() + timedelta(seconds=1), b"2")
        clock.advance(timedelta(seconds=2))
        await _said(database, 1)
        clock.advance(HOUR)
        began = time.monotonic()
        await _said(database, 2)
        assert time.monotonic() - began < 2
        assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 2


async def test_a_deadline_that_fails_is_tried_again_and_holds_up_nobody(stack: RunningStack) -> None:
    failures = 2

    async def stubborn(due: Due, work: Words) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ZeroDivisionError
        await _remind(due, work)

    async with ticking(stack, {"remind": _remind, "stubborn": stubborn}) as (database, clock, works):
        async with works() as work:
            await work.arm("stubborn", "a", NOON + HOUR, b"1")
            for number in range(2, 100):
                await work.arm("remind", f"b{number}", NOON + HOUR, b"%d" % number)
        clock.advance(2 * HOUR)
        await _said(database, 99)
        assert failures == 0
        assert (
            await database.pool.fetchval("SELECT count(*) FROM timer WHERE kind <> 'idempotency-purge'") == 0
        )


async def test_a_promise_of_an_unknown_kind_is_not_lost(stack: RunningStack) -> None:
    async with ticking(stack, {"remind": _remind}) as (database, _, works):
        async with works() as work:
            await work.arm("of-a-newer-version", "a", NOON, b"1")
            await work.arm("remind", "a", NOON, b"1")
        await _said(database, 1)

        async def counted() -> bool:
            return bool(await database.pool.fetchval("SELECT attempts FROM timer WHERE kind LIKE 'of-a%'"))

        await until(counted, what="a counted attempt")


@pytest.mark.parametrize("old", [True, False])
async def test_old_answers_are_forgotten_by_and_by(stack: RunningStack, old: bool) -> None:
    async def act(work: Words) -> bytes:
        return b"answer"

    async with ticking(stack, {"remind": _remind}) as (database, clock, works):
        await once(works, Command("worker", "key", b"body"), act)
        clock.advance(KEEP + HOUR if old else KEEP - HOUR)

        async def purged() -> bool:
            due = await database.pool.fetchval("SELECT due_at FROM timer WHERE kind = 'idempotency-purge'")
            return bool(due > clock.now())

        await until(purged, what="a purge")
        assert await database.pool.fetchval("SELECT count(*) FROM idempotency") == (0 if old else 1)


async def test_ten_workers_keep_each_promise_once(stack: RunningStack) -> None:
    async with opened(stack) as database:
        clock = FixedClock(NOON)
        works = works_of(database, clock)
        async with works() as work:
            for number in range(200):
                await work.arm("remind", f"a{number}", NOON - HOUR, b"%d" % number)
        workers = [Timers(database, clock, works, {"remind": _remind}) for _ in range(10)]

        async def keep(worker: Timers[Words]) -> None:
            while await worker.keep():
                pass

        await asyncio.gather(*(keep(worker) for worker in workers))
        assert await database.pool.fetchval("SELECT count(*) FROM said") == 200
        assert await database.pool.fetchval("SELECT count(*) FROM timer") == 0
