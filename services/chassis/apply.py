"""Batches of records become effects: all in one transaction, or one by one when one of them fails."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, assert_never

from services.chassis import database, errors, logs, parking, tracing
from services.chassis.envelope import MalformedError, Received, Record, received
from services.chassis.inbox import Arrived, Inbox, Position, SequenceConflictError, Verdict
from services.chassis.metrics import Metrics
from services.chassis.topics import RESTRICTED, Topic
from services.chassis.views import Views
from services.chassis.work import StaleError, Work, WorkFactory

_log = logs.logger("consumer")

W = TypeVar("W", bound=Work)
Handler = Callable[[Received, W], Awaitable[None]]

POISON_LIMIT = 20
# A transaction takes in records for so long and then commits: what comes late holds locks, and looks stuck.
LONGEST_S = 3.0
STALE_LIMIT = 10
_VERSION = "SELECT version FROM consumer_position WHERE consumer = $1 AND topic = $2 AND partition = $3"

_PASSING_KINDS = frozenset({errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.EXHAUSTED})


class TransientError(Exception):
    """A handler's word for "not now": the record is tried again, its partition waits."""


class NotNowError(Exception):
    """The circumstances, not the record, are at fault: come back later."""


class PermanentError(Exception):
    """A handler's word for "never": the record is parked. The message must be a slug."""


class MovedOnError(Exception):
    """Another owner of the partition, or a replay, committed since: look again where we stand."""


class TooManyParkedError(Exception):
    """So many records in a row cannot be applied that the code must be wrong: nothing more is parked."""


class _UnappliedError(Exception):
    """One record of a batch failed; `offset` says which."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"offset {offset}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, from where its position stands."""

    topic: Topic
    position: Position
    records: Sequence[Record]

    def after(self, taken: int) -> int:
        """Where the rest begins when so many have been taken in."""
        return self.records[taken - 1].offset + 1 if taken else self.position.next_offset


class Applier(Generic[W]):
    """Applies records of one consumer. Effects, what was seen and the positions are one transaction."""

    def __init__(
        self,
        works: WorkFactory[W],
        consumer: str,
        handlers: Mapping[str, Handler[W]],
        metrics: Metrics,
        poison_limit: int = POISON_LIMIT,
    ) -> None:
        self._poison_limit = poison_limit
        self._works = works
        self._consumer = consumer
        self._handlers = handlers
        self._metrics = metrics
        self._meters: dict[str, _Meters] = {}
        self._poison_in_a_row = 0
        self._views = Views()

    def begin(self, parked_lately: int) -> None:
        """Remember what was parked before a restart, so that a restart is no way around the limit."""
        self._poison_in_a_row = min(parked_lately, self._poison_limit)

    async def batches(self, batches: Sequence[Batch]) -> list[Position | Exception]:
        """Apply them all, of several partitions, in one transaction; each by itself when that fails.

        What became of each: its new position, or what `batch` raises.
        """
        if len(batches) > 1:
            try:
                return [*await self._together(batches)]
            except Exception as error:  # noqa: BLE001 - which partition it was shows when they go one by one
                _log.warning("batches-failed", _cause(error), partitions=len(batches))
        return [await self._outcome(each) for each in batches]

    async def _outcome(self, batch: Batch) -> Position | Exception:
        try:
            return await self.batch(batch.topic, batch.position, batch.records)
        except Exception as error:  # noqa: BLE001 - its partition hears of it, the others go on
            return error

    async def batch(self, topic: Topic, position: Position, records: Sequence[Record]) -> Position:
        """Apply them and return the new position.

        A record that can never be applied is parked. Raises NotNowError for one that may be applied later (those
        before it are committed, as the stored position tells), MovedOnError when somebody else moved on,
        SequenceConflictError and TooManyParkedError when nobody may go on.
        """
        if len(records) > 1:
            try:
                [moved] = await self._together([Batch(topic, position, records)])
                return moved
            except (MovedOnError, SequenceConflictError):
                raise
            except Exception as error:  # noqa: BLE001 - which record it was shows when they go one by one
                _log.warning("batch-failed", _cause(error), topic=topic.name, records=len(records))
                self._metrics.consumer_retries_total.labels(topic.name).inc()
        for record in records:
            position = await self._single(topic, position, record)
        return position

    async def _together(self, batches: Sequence[Batch]) -> list[Position]:
        """In one transaction, and once more when it lost a race: it decides anew, and one by one its records would
        have to win many.
        """
        try:
            return await self._transaction(batches, {})
        except Exception as error:
            if not isinstance(_cause(error), StaleError):
                raise
        for each in batches:
            self._metrics.consumer_retries_total.labels(each.topic.name).inc()
        return await self._transaction(batches, {})

    async def _single(self, topic: Topic, position: Position, record: Record) -> Position:
        """Apply one record; a record of its key that waited for it may be the one that fails."""
        poison: dict[int, str] = {}
        stale = 0
        while True:
            try:
                return await self._alone(Batch(topic, position, [record]), poison)
            except (MovedOnError, SequenceConflictError):
                raise
            except Exception as error:
                cause = _cause(error)
                offset = error.offset if isinstance(error, _UnappliedError) else record.offset
                if isinstance(cause, StaleError) and stale < STALE_LIMIT:
                    stale += 1  # its handler lost a race; it decides anew
                    continue
                if _passing(cause):
                    self._metrics.consumer_retries_total.labels(topic.name).inc()
                    raise NotNowError(type(cause).__name__) from cause
                if offset in poison:
                    raise
                self._count_poison(topic, cause)
                poison[offset] = _slug(cause)

    async def _alone(self, batch: Batch, poison: Mapping[int, str]) -> Position:
        [moved] = await self._transaction([batch], poison)
        return moved

    async def _transaction(self, batches: Sequence[Batch], poison: Mapping[int, str]) -> list[Position]:
        """The heart: positions, sequences, effects and outgoing events, or none of them.

        When its time is up it commits what it has taken in; positions tell where the rest begins.
        """
        ends = time.monotonic() + LONGEST_S
        taken = [0 for _ in batches]
        tallies = [Tally() for _ in batches]
        read = [[_read(record, poison) for record in batch.records] for batch in batches]
        arrived = [
            Arrived(
                batch.topic,
                batch.position,
                [event for event in events if event],
                self._views.take(batch.position),
            )
            for batch, events in zip(batches, read, strict=True)
        ]
        try:
            async with self._works() as work:
                inboxes = await Inbox.open(work, self._consumer, *arrived)
                for place, (batch, events, inbox) in enumerate(zip(batches, read, inboxes, strict=True)):
                    take = Take(inbox, work, self._handlers, poison, tallies[place])
                    for record, event in zip(batch.records, events, strict=True):
                        if any(taken) and time.monotonic() > ends:
                            break
                        await take.one(record, event)
                        taken[place] += 1
                moved = [
                    inbox.moved(batch.after(many))
                    for batch, inbox, many in zip(batches, inboxes, taken, strict=True)
                ]
        except StaleError as error:
            for batch in batches:
                if await self._has_moved(batch.position):
                    raise MovedOnError(batch.topic.name) from error
            raise
        for each, position, many, tally in zip(arrived, moved, taken, tallies, strict=True):
            self._views.keep(position, each.seen, {event.key for event in each.events})
            self._count(each.topic, many, tally)
        return moved

    async def _has_moved(self, position: Position) -> bool:
        async with self._works.database.lend() as connection:
            version = await connection.fetchval(_VERSION, self._consumer, position.topic, position.partition)
        return bool(version != position.version)

    async def replay(self, topic: Topic, parked_id: int) -> bool:
        """Try a parked record again; whether it is parked no longer. Raises what its handler raises.

        It takes the consumer's place in the partition for one transaction: the running consumer notices that
        the version has moved and looks again.
        """
        tally = Tally()
        async with self._works() as work:
            record = await parking.unpark(work, parked_id)
            if record is None:
                return False
            event = received(record)
            [inbox] = await Inbox.open(work, self._consumer, Arrived(topic, None, [event]))
            inbox.unblock(event)
            await Take(inbox, work, self._handlers, {}, tally).one(record, event)
            inbox.learned()
        self._count(topic, 1, tally)
        return True

    def _count_poison(self, topic: Topic, cause: BaseException) -> None:
        if self._poison_in_a_row >= self._poison_limit:
            raise TooManyParkedError(f"{self._poison_limit} records in a row") from cause
        self._poison_in_a_row += 1
        _log.error("record-parked", cause, topic=topic.name)
        self._metrics.parked_total.labels(topic.name).inc()

    def _count(self, topic: Topic, records: int, tally: Tally) -> None:
        if tally.applied and not tally.poison:
            self._poison_in_a_row = 0
        meters = self._meters.get(topic.name) or self._meters.setdefault(
            topic.name, _Meters(self._metrics, topic)
        )
        meters.batch.observe(records)
        meters.applied.inc(len(tally.applied))
        meters.duplicates.inc(tally.duplicates)
        meters.gaps.inc(tally.gaps)
        if topic.classification == RESTRICTED:  # elsewhere the times are rounded and tell nothing
            now = self._works.clock.now()
            for event in tally.applied:
                meters.age.observe(max(0.0, (now - event.recorded_at).total_seconds()))


class _Meters:
    """One topic's meters, looked up once."""

    def __init__(self, metrics: Metrics, topic: Topic) -> None:
        self.batch = metrics.consumer_batch_records.labels(topic.name)
        self.applied = metrics.consumer_applied_total.labels(topic.name)
        self.duplicates = metrics.consumer_duplicates_total.labels(topic.name)
        self.gaps = metrics.sequence_gaps_total.labels(topic.name)
        self.age = metrics.event_age_seconds.labels(topic.name)


@dataclass(slots=True)
class Tally:
    """What became of the records of one transaction, counted when it is committed."""

    applied: list[Received] = field(default_factory=list)
    duplicates: int = 0
    gaps: int = 0
    poison: int = 0


@dataclass(frozen=True, slots=True)
class Take(Generic[W]):
    """How one record is taken in, inside a transaction. `poison` names offsets that are parked, and why."""

    inbox: Inbox
    work: W
    handlers: Mapping[str, Handler[W]]
    poison: Mapping[int, str]
    tally: Tally

    async def one(self, record: Record, event: Received | None) -> None:
        if event is None:
            self.inbox.park_unread(record, self.poison[record.offset])
            return
        match self.inbox.admit(event):
            case Verdict.NEXT:
                await self._with_followers(record, event)
            case Verdict.DUPLICATE:
                self.tally.duplicates += 1
            case Verdict.GAP:
                self.tally.gaps += self.inbox.wait(record, event)  # this key waits, others go on
            case Verdict.BEHIND:
                self.inbox.park(record, event, parking.BEHIND)
            case never:
                assert_never(never)

    async def _with_followers(self, record: Record, event: Received) -> None:
        if not await self._applied(record, event):
            return
        followers = await self.inbox.followers(event)
        for later, follower in followers:
            if not await self._applied(later, follower):
                break
        if followers:
            await self.inbox.caught_up(event)

    async def _applied(self, record: Record, event: Received) -> bool:
        """Apply it, or park it when it is known to be poison."""
        if (reason := self.poison.get(record.offset)) is not None:
            self.tally.poison += 1
            self.inbox.park(record, event, reason)
            return False
        try:
            await self._handle(event)
        except Exception as error:
            raise _UnappliedError(record.offset) from error
        await self.inbox.applied(event)
        self.tally.applied.append(event)
        return True

    async def _handle(self, event: Received) -> None:
        handler = self.handlers.get(event.type)
        if handler is not None:
            with tracing.span(tracing.child(event.traceparent)):
                await handler(event, self.work)
        elif self.inbox.topic.unknown == "park":
            raise PermanentError("unknown-type")


def _read(record: Record, poison: Mapping[int, str]) -> Received | None:
    """The event in it; None when it cannot be read and is to be parked for that."""
    try:
        return received(record)
    except MalformedError as error:
        if record.offset in poison:
            return None
        raise _UnappliedError(record.offset) from error


def _cause(error: Exception) -> BaseException:
    return error.__cause__ or error if isinstance(error, _UnappliedError) else error


def _passing(cause: BaseException) -> bool:
    """Whether the fault is in the circumstances and not in the record."""
    if isinstance(cause, TransientError) or database.passing(cause):
        return True
    shown = errors.of(cause)
    return shown is not None and shown.kind in _PASSING_KINDS


def _slug(cause: BaseException) -> str:
    """Why, without a word of the exception's text, which may quote the record."""
    if isinstance(cause, PermanentError):
        return str(cause)[:200]
    shown = errors.of(cause)
    return shown.reason if shown is not None else type(cause).__name__
