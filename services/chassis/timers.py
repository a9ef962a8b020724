"""Promises with a due time: rows that survive restarts and whose effect happens once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import asyncpg

from services.chassis import discretion, idempotency, logs
from services.chassis.clock import Clock
from services.chassis.database import LOST, Database
from services.chassis.health import Progress
from services.chassis.metrics import Metrics
from services.chassis.tasks import ended, watched
from services.chassis.work import Work, WorkFactory

_log = logs.logger("timers")

W = TypeVar("W", bound=Work)

BATCH = 50
# The clock is looked at this often (it may be stepped); the table only when a promise is due or has changed.
GLANCE_S = 0.1
POLL_S = 1.0
_LONGEST_BACKOFF_S = 300
_DAY = timedelta(days=1)

# SKIP LOCKED: each due promise is taken by one worker, and a slow one holds up nobody else's.
# Materialized, because a subquery with a limit and locks may be run more than once by a join.
_TAKE = """
WITH due AS MATERIALIZED (
    SELECT kind, subject FROM timer WHERE due_at <= $1 AND next_try_at <= clock_timestamp()
    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM timer USING due WHERE timer.kind = due.kind AND timer.subject = due.subject
RETURNING timer.kind, timer.subject, timer.due_at, timer.payload
"""
_TAKE_ONE = """
WITH due AS MATERIALIZED (
    SELECT kind, subject FROM timer
    WHERE kind = $3 AND subject = $4 AND due_at <= $1 AND next_try_at <= clock_timestamp()
    LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM timer USING due WHERE timer.kind = due.kind AND timer.subject = due.subject
RETURNING timer.kind, timer.subject, timer.due_at, timer.payload
"""
_POSTPONE = """
UPDATE timer SET attempts = attempts + 1,
    next_try_at = clock_timestamp() + LEAST(0.5 * 2 ^ LEAST(attempts, 20), $4) * interval '1 second'
WHERE kind = $1 AND subject = $2 AND due_at = $3
"""
_DUE = "SELECT count(*) FROM timer WHERE due_at <= $1"
_NEXT = "SELECT min(due_at) FROM timer WHERE next_try_at <= clock_timestamp()"
_ARM_ONCE = "INSERT INTO timer (kind, subject, due_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Due:
    """A promise whose time has come; `due_at` is the domain time it was made for, not the time it is kept."""

    kind: str
    subject: str
    due_at: datetime
    payload: bytes


Deadline = Callable[[Due, W], Awaitable[None]]


class Timers(Generic[W]):
    """Keeps due promises: the row's end, its effect and its events are one transaction.

    A deadline that fails is tried again with backoff; it is counted and never lost. Several due promises
    share a transaction, in the order of their times; when one of them fails they are kept one by one.
    """

    name = "timers"

    def __init__(
        self,
        database: Database,
        clock: Clock,
        works: WorkFactory[W],
        deadlines: Mapping[str, Deadline[W]],
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress("timers")
        self._database = database
        self._clock = clock
        self._works = works
        self._deadlines = {idempotency.PURGE: forget_answers({}), **deadlines}
        self._metrics = metrics or Metrics()
        self._task: asyncio.Task[None] | None = None
        self._draining = False

    async def start(self) -> None:
        async with self._database.lend() as connection:
            await connection.execute(_ARM_ONCE, idempotency.PURGE, "", self._clock.now() + _DAY)
        self._task = asyncio.create_task(self._run(), name="timers")

    async def watch(self) -> None:
        await watched(self._task)

    async def drain(self) -> None:
        """Finish the promise that is being kept; the others keep."""
        self._draining = True
        self._database.timers_changed.set()
        await ended(self._task, 5.0)

    async def _run(self) -> None:
        while not self._draining:
            try:
                while not self._draining and await self.keep():
                    self.progress.moved()
                await self._rest(await self._next())
            except (*LOST, asyncpg.PostgresError) as error:
                _log.warning("timers-lost-database", error)
                await asyncio.sleep(0.5)

    async def keep(self) -> int:
        """Keep what is due now, a batch of it at most; return how many promises were tried."""
        taken: list[Due] = []
        try:
            return await self._transaction(_TAKE, BATCH, (), taken)
        except Exception as error:
            if not taken:
                raise
            if len(taken) == 1:
                await self._postpone(taken[0], error)
                return 1
        for due in taken:
            try:
                await self._transaction(_TAKE_ONE, 1, (due.kind, due.subject), [])
            except Exception as error:  # noqa: BLE001 - whatever it is, the promise is kept later and counted
                await self._postpone(due, error)
        return len(taken)

    async def _transaction(self, take: str, limit: int, which: tuple[str, ...], taken: list[Due]) -> int:
        async with self._works() as work:
            rows = await work.connection.fetch(take, work.now, limit, *which)
            taken.extend(sorted((Due(*row) for row in rows), key=lambda due: due.due_at))
            if taken:
                self.progress.busy()
            marks = [await self._kept(due, work) for due in taken]
        for due, mark in zip(taken, marks, strict=True):
            if not mark.hushed:
                self._metrics.timers_fired_total.labels(due.kind).inc()
        return len(taken)

    async def _kept(self, due: Due, work: W) -> discretion.Mark:
        mark = discretion.begin()
        await self._deadlines[due.kind](due, work)
        return mark

    async def _postpone(self, due: Due, error: Exception) -> None:
        _log.error("timer-failed", error, kind=due.kind)
        self._metrics.timers_failed_total.labels(due.kind).inc()
        async with self._database.lend() as connection:
            await connection.execute(_POSTPONE, due.kind, due.subject, due.due_at, _LONGEST_BACKOFF_S)

    async def _next(self) -> datetime | None:
        async with self._database.lend() as connection:
            due_at: datetime | None = await connection.fetchval(_NEXT)
            now = self._clock.now()
            late = now - due_at if due_at else timedelta(0)
            self._metrics.timers_pending.set(await connection.fetchval(_DUE, now))
            self._metrics.timers_late_seconds.set(max(0.0, late.total_seconds()))
        return due_at

    async def _rest(self, next_due: datetime | None) -> None:
        """Until the next promise is due, on a clock that may be stepped, or was made, or a second passed."""
        self.progress.idle()
        until = time.monotonic() + POLL_S
        while time.monotonic() < until and not self._draining:
            if next_due is not None and next_due <= self._clock.now():
                return
            if await self._database.timers_changed.wait(GLANCE_S):
                return


def forget_answers(longer: Mapping[str, timedelta]) -> Deadline[Work]:
    """Every day. `longer`: how long answers are kept whose keys begin so, where that is longer than usual."""

    async def forget(due: Due, work: Work) -> None:
        await idempotency.purge(work, longer)
        await work.arm(due.kind, due.subject, work.now + _DAY)

    return forget
