"""Committed events leave for Kafka: each bucket of keys through one relay, in the order of their ids."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import asyncpg
import msgspec
from aiokafka.errors import KafkaError

from services.chassis import logs
from services.chassis.database import LOST, Database, Session, closed
from services.chassis.envelope import complete
from services.chassis.health import Progress
from services.chassis.kafka import KafkaProducer, KafkaSettings, Producer
from services.chassis.metrics import Metrics
from services.chassis.outbox import BUCKETS
from services.chassis.tasks import ended, watched

_log = logs.logger("relay")

# Advisory locks are numbered pairs; this is the first half of ours, the bucket is the second.
_LOCKS = 7_320
BATCH = 500
PER_BUCKET = 100
POLL_S = 0.25
_LOOK_S = 5.0
_FLUSH_S = 8.0

# The planner sees an empty table most of the time and would cache plans that crawl through a backlog: scans
# and joins other than by index are switched off on this session.
# Nor does anybody wait for the disk to forget what was sent: commits are lost from the end only, so after a crash
# the newest of what Kafka has acknowledged is there again, in its order, and is sent again.
_SESSION = """
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET synchronous_commit = off
"""
_CLAIM = """
SELECT bucket, pg_try_advisory_lock($1, bucket) AS mine FROM unnest($2::integer[]) AS wanted (bucket)
"""
# Some of every bucket: a backlog of one keeps no other waiting.
PENDING = """
SELECT pending.* FROM unnest($1::smallint[]) AS mine (bucket) CROSS JOIN LATERAL (
    SELECT id, bucket, topic, key, headers, payload, epoch, sequence
    FROM outbox WHERE outbox.bucket = mine.bucket ORDER BY id LIMIT $2
) AS pending
"""
# By the list of ids, never `id <= max`: a smaller id may be committed after a greater one was sent.
DELETE = """
DELETE FROM outbox USING unnest($1::smallint[], $2::bigint[]) AS sent (bucket, id)
WHERE outbox.bucket = sent.bucket AND outbox.id = sent.id
"""
# Both at once for whoever has all buckets, while they hold little: one walk along the index instead of one for each
# bucket. The SELECT does not see what the DELETE of its own statement does.
NEXT = f"""
WITH gone AS ({DELETE})
SELECT id, bucket, topic, key, headers, payload, epoch, sequence
FROM outbox WHERE id <> ALL ($2) ORDER BY bucket, id LIMIT $3
"""
_BACKLOG = "SELECT count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float FROM outbox"


class Relay:
    """Sends what the outbox holds and deletes what Kafka has acknowledged.

    Invariant: of a bucket only an unbroken prefix of ids is ever deleted, so an event leaves after all
    earlier ones of its key are in Kafka. A crash or a doubt sends again; consumers drop duplicates.
    Without Kafka, at the start or later, rows stay and are sent in order when it is back.
    """

    name = "relay"

    def __init__(
        self,
        database: Database,
        kafka: KafkaSettings,
        source: str,
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
        connect: Callable[[KafkaSettings], Awaitable[Producer]] = KafkaProducer.connect,
    ) -> None:
        self._connect = connect
        self.progress = progress or Progress("relay")
        self._database = database
        self._kafka = kafka
        self._source = source
        self._metrics = metrics or Metrics()
        self._producer: Producer | None = None
        self._buckets: list[int] = []
        # Buckets and ids of what Kafka has acknowledged and the outbox still holds.
        self._sent: tuple[list[int], list[int]] = ([], [])
        self._backlog = False
        self._task: asyncio.Task[None] | None = None
        self._draining = False
        self._looked_at = 0.0

    async def start(self) -> None:
        """Begin in the background: neither Kafka nor a bucket has to be free for the service to serve."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def watch(self) -> None:
        await watched(self._task)

    async def drain(self) -> None:
        """Send what is committed, unless Kafka does not take it now: then the next process will."""
        self._draining = True
        self._database.committed.set()
        await ended(self._task, _FLUSH_S)
        await self._let_go()

    async def _run(self) -> None:
        while True:
            try:
                session = await session_for(self._database)
                try:
                    await self._serve(session)
                    return
                finally:
                    self._buckets, self._sent = [], ([], [])
                    await closed(session)
            except (*LOST, asyncpg.PostgresError) as error:
                _log.warning("relay-lost-database", error)
                if self._draining:
                    return
                await asyncio.sleep(0.5)

    async def _serve(self, session: Session) -> None:
        """Until drained, on a session that holds the locks of its buckets for as long as it lives."""
        with contextlib.suppress(KafkaError, OSError):  # now, so that the first event need not wait for it
            await self._connected()
        while True:
            await self._look(session)
            found, sent = await self.pump(session)
            if found and found == sent:
                continue  # the next look deletes them
            self.progress.idle()  # what Kafka does not take is not for a restart of ours to mend
            if self._draining:
                return
            if sent < found:
                await asyncio.sleep(POLL_S)
            else:  # what was committed since the look has set it
                await self._database.committed.wait(POLL_S)

    async def pump(self, session: Session) -> tuple[int, int]:
        """Send what is pending, a batch of it at most; return how many were found, how many sent.

        All of what was sent is deleted by the next call.
        """
        rows = await self._pending(session)
        if not rows:
            return 0, 0
        self.progress.busy()
        rows.sort(key=_id)
        sent: list[asyncpg.Record] = []
        try:
            sent = await self._send(await self._connected(), rows)
        except (KafkaError, OSError) as error:
            _log.warning("relay-cannot-send", pending=len(rows), cause=type(error).__name__)
        if sent:
            self._sent = [row["bucket"] for row in sent], list(map(_id, sent))
            self.progress.moved()
            for topic, many in Counter(row["topic"] for row in sent).items():
                self._metrics.relay_sent_total.labels(topic).inc(many)
        if len(sent) < len(rows):
            # Whatever it was (a sequence out of order wedges a producer for good), a new one begins clean.
            self._metrics.relay_failures_total.inc()
            await self._let_go()
            await self._delete(session)
        return len(rows), len(sent)

    async def _pending(self, session: Session) -> list[asyncpg.Record]:
        """Delete what was sent, and find what is to be sent next."""
        self._database.committed.clear()  # the look that follows sees what was committed so far
        if len(self._buckets) == BUCKETS and not self._backlog:
            sent, self._sent = self._sent, ([], [])
            rows = await session.fetch(NEXT, *sent, BATCH)
        else:
            await self._delete(session)
            rows = await session.fetch(PENDING, self._buckets, PER_BUCKET)
        self._backlog = len(rows) >= BATCH
        return rows

    async def _delete(self, session: Session) -> None:
        sent, self._sent = self._sent, ([], [])
        if sent[1]:
            await session.execute(DELETE, *sent)

    async def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = await self._connect(self._kafka)
        return self._producer

    async def claim(self, session: Session) -> None:
        """Take the buckets that no living relay holds."""
        missing = [bucket for bucket in range(BUCKETS) if bucket not in self._buckets]
        if missing:
            claimed = [row["bucket"] for row in await session.fetch(_CLAIM, _LOCKS, missing) if row["mine"]]
            self._buckets += claimed
            if claimed:
                _log.info("relay-took-buckets", buckets=len(claimed))

    async def _send(self, producer: Producer, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
        """Hand over all rows in order, waiting for none; return each bucket's acknowledged prefix."""
        deliveries: list[asyncio.Future[object]] = []
        decode = msgspec.json.decode
        try:
            async with asyncio.timeout(self._kafka.delivery_timeout_s):
                for row in rows:
                    headers = complete(decode(row["headers"]), self._source, row["epoch"], row["sequence"])
                    delivery = await producer.send(row["topic"], row["key"].encode(), row["payload"], headers)
                    delivery.add_done_callback(_failed)
                    deliveries.append(delivery)
                await asyncio.wait(deliveries)
        except (KafkaError, TimeoutError) as error:
            _log.warning("relay-interrupted", sent=len(deliveries), of=len(rows), cause=type(error).__name__)
            if not deliveries:
                raise KafkaError("nothing could be handed over") from error
        return acknowledged(rows, deliveries)

    async def _look(self, session: Session) -> None:
        """Now and then: take over buckets whose relay is gone, and measure the backlog."""
        now = time.monotonic()
        if now - self._looked_at < (_LOOK_S if self._buckets else POLL_S):
            return
        self._looked_at = now
        await self.claim(session)
        pending, oldest = (await session.fetchrow(_BACKLOG)) or (0, None)
        self._metrics.outbox_pending.set(pending)
        self._metrics.outbox_oldest_seconds.set(oldest or 0.0)
        pool = self._database.pool
        self._metrics.pool_in_use.set(pool.get_size() - pool.get_idle_size())

    async def _let_go(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            self._metrics.producer_recreated_total.inc()
            await producer.abandon()


async def session_for(database: Database) -> Session:
    """A relay's session: its plans go by the outbox's index whatever the planner believes of the table's size."""
    session = await database.session()
    await session.execute(_SESSION)
    return session


def _id(row: asyncpg.Record) -> int:
    number: int = row["id"]
    return number


def _failed(delivery: asyncio.Future[object]) -> bool:
    """Whether a finished delivery did not arrive; to look is also what keeps asyncio from complaining."""
    return delivery.cancelled() or delivery.exception() is not None


class _Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


R = TypeVar("R", bound=_Row)


def acknowledged(rows: Sequence[R], deliveries: Sequence[asyncio.Future[object]]) -> list[R]:
    """The rows that Kafka acknowledged, of each bucket only up to the first that it did not."""
    broken: set[int] = set()
    prefix = []
    for n, row in enumerate(rows):
        delivery = deliveries[n] if n < len(deliveries) else None
        arrived = delivery is not None and delivery.done() and not _failed(delivery)
        if not arrived:
            broken.add(row["bucket"])
        elif row["bucket"] not in broken:
            prefix.append(row)
    return prefix
