"""The unit of work: what one transaction changes, announces and promises, or none of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Generic, TypeVar, cast
from uuid import UUID

import asyncpg
from asyncpg.transaction import Transaction

from services.chassis import errors, logs, outbox
from services.chassis.clock import Clock
from services.chassis.database import LOST, Database, Session
from services.chassis.database import Connection as Connection
from services.chassis.effects import Effect, apart, composed, independent, of_one_row, runs
from services.chassis.envelope import Announcement
from services.chassis.metrics import Metrics

_log = logs.logger("work")

_ARM = """
INSERT INTO timer (kind, subject, due_at, payload)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::bytea[])
ON CONFLICT (kind, subject) DO UPDATE
SET due_at = EXCLUDED.due_at, payload = EXCLUDED.payload, attempts = 0, next_try_at = '-infinity'
"""
_DISARM = """
DELETE FROM timer USING unnest($1::text[], $2::text[]) AS gone (kind, subject)
WHERE timer.kind = gone.kind AND timer.subject = gone.subject
"""
# The code that our own function `landed` raises.
_STALE = "AID01"


class StaleError(Exception):
    """What the work had read was changed by another before it could commit; run it again."""


class _Rows:
    """Rows of one statement that are still being collected. `each`: they must change as many rows as they are."""

    __slots__ = ("each", "rows", "sql")

    def __init__(self, sql: str, each: bool) -> None:
        self.sql = sql
        self.each = each
        self.rows: list[tuple[object, ...]] = []

    def effect(self, alone: bool) -> Effect:
        """What they are written by; `alone`: no statement of this work has more than one row."""
        expect = len(self.rows) if self.each else None
        if alone and (sql := of_one_row(self.sql)) is not None:
            return Effect(sql, self.rows[0], expect)
        return Effect(self.sql, _columns(self.rows), expect)


class Work:
    """One transaction. Nothing is sent to the database before it is needed.

    A work that only writes (`write`, `announce`, `arm`) is one statement and one round trip, committed by
    itself. The first use of `connection` begins a transaction and first writes what was promised so far, so
    a work always sees its own effects. Events are written last: a stream is locked no longer than needed.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        # The persons whom it read or wrote: what a command answered about them is forgotten with them.
        self.subjects: set[UUID] = set()
        self._session = cast(Session, connection).itself()
        self._scope = ""
        self._effects: list[Effect | _Rows] = []
        # What is collected and may still grow: at the end, or in its place among the effects.
        self._rows: dict[tuple[str, bool], _Rows] = {}
        self._placed: dict[tuple[str, bool], _Rows] = {}
        self._events: list[outbox.Row] = []
        self._timers: dict[tuple[str, str], tuple[datetime, bytes] | None] = {}
        self._callbacks: list[Callable[[], object]] = []
        self._transaction: Transaction | None = None

    def write(self, statement: str, *arguments: object, expect: int | None = None) -> None:
        """Promise one INSERT, UPDATE or DELETE whose result nobody reads; it happens at commit at the latest.

        With `expect` it must change that many rows, or the work fails with StaleError: the way to say "unless
        somebody else was here since I looked".
        """
        self._behind(statement)
        self._effects.append(Effect(statement, arguments, expect))

    def collect(self, statement: str, *row: object, each: bool = False, in_place: bool = False) -> None:
        """Promise one row of many: what is collected under one statement is written by it at once.

        The statement takes an array for each column: `INSERT INTO t (a, b) SELECT * FROM unnest($1::text[],
        $2::bigint[])`. Rows are written in the order of their collection: before a later `write` that concerns
        their table, and after every other one; or `in_place`, where the first of them was promised. With `each`
        they must change as many rows as they are, or the work fails with StaleError.
        """
        growing = self._placed if in_place else self._rows
        rows = growing.get((statement, each))
        if rows is None:
            rows = _Rows(statement, each)
            if in_place:
                self._behind(statement)
                self._effects.append(rows)
            growing[statement, each] = rows
        rows.rows.append(row)

    def _behind(self, statement: str) -> None:
        """It comes after what was collected so far that concerns its table."""
        for which in [each for each in self._rows if not apart(each[0], statement)]:
            self._effects.append(self._rows.pop(which))
        for which in [each for each in self._placed if not apart(each[0], statement)]:
            del self._placed[which]

    def in_step(self) -> None:
        """Write what was promised so far statement by statement: every row of the first, then of the second, …

        For many aggregates that one work writes, none of which touches the rows of another: hundreds of round
        trips become a few. The order of the statements is that of their first promise.
        """
        places: dict[str, int] = {}
        for effect in self._effects:
            places.setdefault(effect.sql, len(places))
        self._effects.sort(key=lambda effect: places[effect.sql])

    def announce(self, *announcements: Announcement) -> None:
        """Say what has become true. Raises UnsendableError for an event that could never leave."""
        self._events.extend(map(outbox.row, announcements))

    async def arm(self, kind: str, subject: str, due_at: datetime, payload: bytes = b"") -> None:
        """Promise that something happens at `due_at`, domain time; arming it again moves it."""
        self._timers[kind, subject] = (due_at, payload)

    async def disarm(self, kind: str, subject: str) -> None:
        """Take the promise back, if it was made."""
        self._timers[kind, subject] = None

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call this in this process when the work is committed; it may be lost with the process."""
        self._callbacks.append(callback)

    async def peek(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Read what is committed, without beginning a transaction: it may have changed by the time of commit.

        For decisions that `write(..., expect=...)` or a constraint checks again; it does not see `write`s.
        """
        self._session.before_use(None)
        try:
            return await self.connection.fetch(query, *arguments)
        finally:
            self._session.before_use(self._first)

    async def speak_for(self, scope: str) -> None:
        """From here on see and write the rows of another scope; what was promised so far is written in it, too."""
        if scope == self._scope:
            return
        self._session.before_use(None)
        try:
            await self._session.speak_for(scope)
            self._scope = scope
        finally:
            self._session.before_use(self._first)

    async def _first(self) -> None:
        """What must happen before the connection is used by anybody else."""
        if self._transaction is not None and not self._effects and not self._rows:
            return
        self._session.before_use(None)
        try:
            await self._begin()
            await self._write(runs(self._take_effects()))
        finally:
            self._session.before_use(self._first)

    async def _begin(self) -> None:
        if self._transaction is None:
            transaction = self.connection.transaction()
            await transaction.start()
            self._transaction = transaction

    async def _commit(self) -> None:
        self._session.before_use(None)
        *before, last = [*runs(self._take_effects())] or [[]]
        if not independent(last):
            before, last = [*before, last], []
        if before:
            await self._begin()
            await self._write(before)
        effects = last + self._promises()
        if effects or self._events:
            await self._send(*composed(effects, self._events))
        if self._transaction is not None:
            await self._transaction.commit()

    async def _rollback(self) -> None:
        """After a failure, which is told as it was: one of the rollback's own says nothing more. A connection
        that does not come back to its senses here is reset by the pool before anybody else gets it.
        """
        self._session.before_use(None)
        if self._transaction is not None and not self._session.is_closed():
            with contextlib.suppress(*LOST, asyncpg.PostgresError):
                await self._transaction.rollback()

    def _take_effects(self) -> list[Effect]:
        promised = [*self._effects, *self._rows.values()]
        self._effects, self._rows, self._placed = [], {}, {}
        # One row each, or columns for all: of every other mixture PostgreSQL would have to keep a plan.
        alone = all(len(each.rows) == 1 for each in promised if isinstance(each, _Rows))
        return [each.effect(alone) if isinstance(each, _Rows) else each for each in promised]

    async def _write(self, effects: Iterable[list[Effect]]) -> None:
        """In the order in which they were promised, each run of them in one round trip."""
        for run in effects:
            if independent(run):
                await self._send(*composed(run, []))
            else:
                await self.connection.executemany(run[0].sql, [effect.arguments for effect in run])

    async def _send(self, sql: str, arguments: tuple[object, ...]) -> None:
        try:
            await self.connection.fetchval(sql, *arguments)
        except asyncpg.PostgresError as error:
            if error.sqlstate == _STALE:
                raise StaleError("a row changed since it was read") from error
            raise

    def _promises(self) -> list[Effect]:
        armed = [(*which, *what) for which, what in self._timers.items() if what is not None]
        disarmed = [which for which, what in self._timers.items() if what is None]
        return [Effect(sql, _columns(rows)) for sql, rows in ((_ARM, armed), (_DISARM, disarmed)) if rows]

    def _committed(self, database: Database) -> None:
        """Wake who waits for this commit, in this process."""
        if self._events:
            database.committed.set()
        if self._timers:
            database.timers_changed.set()
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - the work is committed: it cannot fail any more
                _log.error("after-commit-failed", error)


def _columns(rows: Sequence[tuple[object, ...]]) -> tuple[list[object], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


W = TypeVar("W", bound=Work)
T = TypeVar("T")


class WorkFactory(Generic[W]):
    """Makes the service's kind of work: `async with works() as work: ...` commits or rolls back."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        make: Callable[[Connection, datetime], W],
        metrics: Metrics | None = None,
        scope: str = "",
    ) -> None:
        """`scope` is what row-level policies of the database go by; without one, guarded rows are not there."""
        self.database = database
        self.clock = clock
        self._make = make
        self._metrics = metrics
        self._scope = scope

    def within(self, scope: str) -> WorkFactory[W]:
        """Makes the same works for that scope: whose rows they see and write."""
        return WorkFactory(self.database, self.clock, self._make, self._metrics, scope)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[W]:
        async with self.database.lend(self._scope) as session:
            await session.speak_for(self._scope)
            work = self._make(session, self.clock.now())
            work._scope = self._scope
            work._session.before_use(work._first)
            try:
                yield work
                await work._commit()
            except BaseException:
                await work._rollback()
                raise
            finally:
                work._session.before_use(None)
        work._committed(self.database)

    async def run(self, act: Callable[[W], Awaitable[T]], attempts: int = 6) -> T:
        """Act in a work of its own, and again with a new one when another transaction was in the way.

        Raises AidError (conflict, "busy") when it still is after the last attempt.
        """
        for attempt in range(1, attempts + 1):
            try:
                async with self() as work:
                    return await act(work)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, StaleError) as error:
                if attempt == attempts:
                    raise errors.conflict(
                        "busy", "Others keep changing the same thing; try again."
                    ) from error
                if self._metrics is not None:
                    self._metrics.transactions_retried_total.inc()
                # Apart at random, or the same two meet again.
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311
        raise AssertionError("unreachable")
