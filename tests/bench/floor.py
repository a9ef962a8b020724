"""The floor under the durable path: the same durable steps, sequences and offset comparison, with no domain code.

Two bare nodes, each with a PostgreSQL database of its own, joined by two topics: *first* inserts and announces,
*second* consumes, inserts and announces, *first* consumes and inserts. Every step is written by hand against
asyncpg and aiokafka, so that what the chassis costs shows as well as what the domain costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

BATCH = 500
SCHEMA = """
CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, body bytea NOT NULL);
CREATE TABLE stream (key text PRIMARY KEY, last bigint NOT NULL);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, body bytea NOT NULL, sequence bigint NOT NULL
);
CREATE TABLE position (partition int PRIMARY KEY, next_offset bigint NOT NULL);
CREATE TABLE inbox (key text PRIMARY KEY, last bigint NOT NULL);
"""
# Effect and outbox in one statement; the outbox row selects from the update that locks the key's stream.
INSERT = """
WITH effect AS (INSERT INTO effect (key, body) VALUES ($1, $2)),
     locked AS (
         INSERT INTO stream AS s (key, last) VALUES ($1, 1)
         ON CONFLICT (key) DO UPDATE SET last = s.last + 1 RETURNING last
     )
INSERT INTO outbox (key, body, sequence) SELECT $1, $2, last FROM locked
"""
# The same for many events: streams are locked in the order of their keys, each event gets its number within its key.
FORWARD = """
WITH event AS (
    SELECT key, body, place, row_number() OVER (PARTITION BY key ORDER BY place) AS nth
    FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS given (key, body, place)
), counted AS (
    SELECT key, count(*) AS events FROM event GROUP BY key ORDER BY key
), locked AS (
    INSERT INTO stream AS s (key, last) SELECT key, events FROM counted ORDER BY key
    ON CONFLICT (key) DO UPDATE SET last = s.last + excluded.last RETURNING key, last
)
INSERT INTO outbox (key, body, sequence)
SELECT event.key, event.body, locked.last - counted.events + event.nth
FROM event JOIN locked USING (key) JOIN counted USING (key) ORDER BY event.place
"""
EFFECTS = "INSERT INTO effect (key, body) SELECT * FROM unnest($1::text[], $2::bytea[])"
INBOX = """
INSERT INTO inbox (key, last) SELECT * FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (key) DO UPDATE SET last = excluded.last
"""


@dataclass(slots=True)
class BareNode:
    """One bare service. `seen(bodies)` is called after the commit of what it consumed."""

    pool: asyncpg.Pool
    bootstrap: str
    sends_to: str | None
    reads: str
    forwards: bool
    seen: Callable[[list[bytes]], None]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _producer: AIOKafkaProducer | None = None
    _consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Tables, producer, consumer, and the two loops."""
        if self.sends_to is not None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, acks="all", linger_ms=0, enable_idempotence=True
            )
            await self._producer.start()
            self._tasks.append(asyncio.create_task(self._relay()))
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        await self._consumer.start()
        self._tasks.append(asyncio.create_task(self._consume()))

    async def stop(self) -> None:
        """End the loops and close the clients."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            await self._producer.stop()
        if self._consumer is not None:
            await self._consumer.stop()
        await self.pool.close()

    async def insert(self, key: str, body: bytes) -> None:
        """One durable insert that announces one event."""
        await self.pool.execute(INSERT, key, body)
        self.wake.set()

    async def _relay(self) -> None:
        if self._producer is None or self.sends_to is None:
            return
        async with self.pool.acquire() as connection:
            await connection.execute("SET enable_seqscan = off; SET synchronous_commit = off")
            while True:
                self.wake.clear()  # before the look: what is committed during it is looked for again at once
                rows = await connection.fetch(
                    f"SELECT id, key, body, sequence FROM outbox ORDER BY id LIMIT {BATCH}"
                )
                if not rows:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.wake.wait(), 0.25)
                    continue
                sends = [
                    await self._producer.send(
                        self.sends_to,
                        row["body"],
                        row["key"].encode(),
                        headers=[("ce_sequence", str(row["sequence"]).encode())],
                    )
                    for row in rows
                ]
                await asyncio.gather(*sends)
                await connection.execute("DELETE FROM outbox WHERE id = ANY($1)", [row["id"] for row in rows])

    async def _consume(self) -> None:
        if self._consumer is None:
            return
        partitions = [
            TopicPartition(self.reads, number)
            for number in sorted(self._consumer.partitions_for_topic(self.reads) or {0, 1, 2, 3})
        ]
        self._consumer.assign(partitions)
        for partition in partitions:
            self._consumer.seek(partition, 0)
        await self.pool.executemany(
            "INSERT INTO position VALUES ($1, 0)", [(partition.partition,) for partition in partitions]
        )
        while True:
            batches = await self._consumer.getmany(timeout_ms=200, max_records=BATCH)
            for partition, records in batches.items():
                await self._apply(partition.partition, records)
                self.wake.set()
                self.seen([record.value for record in records])

    async def _apply(self, partition: int, records: list[object]) -> None:
        first, last = records[0].offset, records[-1].offset + 1  # type: ignore[attr-defined]
        keys = [record.key.decode() for record in records]  # type: ignore[attr-defined]
        bodies = [record.value for record in records]  # type: ignore[attr-defined]
        async with self.pool.acquire() as connection, connection.transaction():
            moved = await connection.execute(
                "UPDATE position SET next_offset = $3 WHERE partition = $1 AND next_offset = $2",
                partition,
                first,
                last,
            )
            if moved != "UPDATE 1":
                raise RuntimeError("another owner moved on")
            rows = await connection.fetch("SELECT key, last FROM inbox WHERE key = ANY($1)", list(set(keys)))
            known: dict[str, int] = {row["key"]: row["last"] for row in rows}
            for key, record in zip(keys, records, strict=True):
                sequence = int(dict(record.headers)["ce_sequence"])  # type: ignore[attr-defined]
                if sequence != known.get(key, 0) + 1:
                    raise RuntimeError(f"gap in {key}: {sequence} after {known.get(key, 0)}")
                known[key] = sequence
            await connection.execute(EFFECTS, keys, bodies)
            await connection.execute(INBOX, list(known), list(known.values()))
            if self.forwards:
                await connection.execute(FORWARD, keys, bodies)


@dataclass(slots=True)
class Floor:
    """Both nodes; `arrived[name]` is set to the clock's reading when the second hop's effect has committed."""

    first: BareNode
    second: BareNode
    arrived: dict[str, float]

    @classmethod
    async def build(cls, stack: object, pools: tuple[asyncpg.Pool, asyncpg.Pool]) -> Floor:
        """On fresh databases and topics of a running stack."""
        there, back = await stack.topic("floor-there"), await stack.topic("floor-back")  # type: ignore[attr-defined]
        arrived: dict[str, float] = {}

        def note(bodies: list[bytes]) -> None:
            now = time.perf_counter()
            arrived.update((body.decode(), now) for body in bodies)

        bootstrap = stack.bootstrap  # type: ignore[attr-defined]
        first = BareNode(pools[0], bootstrap, there, back, forwards=False, seen=note)
        second = BareNode(pools[1], bootstrap, back, there, forwards=True, seen=lambda bodies: None)
        await second.start()
        await first.start()
        return cls(first, second, arrived)

    async def report(self, name: str, key: str) -> None:
        """One need, bare."""
        await self.first.insert(key, name.encode())

    def arrived_at(self, name: str) -> float | None:
        """When that report's second hop had committed, by the clock of the process."""
        return self.arrived.get(name)
