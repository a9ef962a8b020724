"""A miniature service for tests of messaging: one table of effects, one topic, real PostgreSQL and Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import asyncpg

from services.chassis.apply import Handler
from services.chassis.clock import Clock
from services.chassis.consumer import Consumer
from services.chassis.database import Database, DatabaseSettings
from services.chassis.envelope import Announcement, Received, complete, stated
from services.chassis.ids import uuid7
from services.chassis.kafka import KafkaSettings
from services.chassis.migrate import migrate
from services.chassis.parking import KeptRecord
from services.chassis.relay import Relay
from services.chassis.topics import Topic
from services.chassis.work import Connection, Work, WorkFactory
from tests.support.fixed_clock import FixedClock
from tests.support.stack import RunningStack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SAID = "test.v1.Said"
SNAPSHOT = "test.v1.Snapshot"

_TABLES = """
CREATE TABLE said (key text NOT NULL, number bigint NOT NULL, PRIMARY KEY (key, number));
CREATE TABLE heard (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, number bigint NOT NULL,
    event uuid NOT NULL, sequence bigint NOT NULL
);
"""


class Words(Work):
    """The miniature's unit of work: what it said, what it heard."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        super().__init__(connection, now)

    def say(self, topic: str, key: str, number: int) -> None:
        self.write("INSERT INTO said (key, number) VALUES ($1, $2)", key, number)
        self.announce(said(topic, key, number, self.now))

    def hear(self, event: Received) -> None:
        self.write(
            "INSERT INTO heard (key, number, event, sequence) VALUES ($1, $2, $3, $4)",
            event.key, int(event.payload), event.id, event.sequence,
        )  # fmt: skip


def said(topic: str, key: str, number: int, now: datetime = NOON, *, snapshot: bool = False) -> Announcement:
    return Announcement(
        topic=topic, key=key, type=SNAPSHOT if snapshot else SAID, payload=b"%d" % number, subject=key,
        occurred_at=now, recorded_at=now, classification="restricted", id=uuid7(), snapshot=snapshot,
    )  # fmt: skip


async def hear(event: Received, work: Words) -> None:
    work.hear(event)


HANDLERS: Mapping[str, Handler[Words]] = {SAID: hear, SNAPSHOT: hear}


def topic_of(name: str, partitions: int = 4, **changes: object) -> Topic:
    topic = Topic(
        name=name, key="key", partitions=partitions, retention_hours=24, cleanup="delete",
        classification="restricted", producer="one", consumers=("two",), events=(SAID, SNAPSHOT),
        snapshot=SNAPSHOT, unknown="park",
    )  # fmt: skip
    return replace(topic, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class Log:
    """A partition of Kafka in a list: what a relay sent, in the order of its offsets."""

    topic: str
    records: list[KeptRecord] = field(default_factory=list)

    def append(self, announcement: Announcement, epoch: int, sequence: int) -> KeptRecord:
        record = KeptRecord(
            self.topic, 0, len(self.records), announcement.key.encode(), announcement.payload,
            complete(stated(announcement), "test", epoch, sequence),
        )  # fmt: skip
        self.records.append(record)
        return record


@asynccontextmanager
async def opened(stack: RunningStack, service: str = "intake") -> AsyncIterator[Database]:
    """A fresh, migrated database with the miniature's tables, open under the application's role."""
    settings = await prepared(stack, service)
    async with Database.connect(settings) as database:
        yield database


async def prepared(stack: RunningStack, service: str = "intake") -> DatabaseSettings:
    fresh = await stack.database(service)
    settings = DatabaseSettings(
        dsn=fresh.dsn, password_file=fresh.password_file,
        owner_dsn=fresh.owner_dsn, owner_password_file=fresh.owner_password_file,
    )  # fmt: skip
    await migrate(settings, "services.chassis")
    owner = await asyncpg.connect(fresh.owner_dsn, password=fresh.owner_password)
    try:
        await owner.execute(_TABLES)
    finally:
        await owner.close()
    return settings


def works_of(database: Database, clock: Clock | None = None) -> WorkFactory[Words]:
    return WorkFactory(database, clock or FixedClock(NOON), Words)


def kafka_of(stack: RunningStack, instance: str | None = None) -> KafkaSettings:
    return KafkaSettings(bootstrap=stack.bootstrap, instance_id=instance)


async def until(
    condition: Callable[[], Awaitable[bool]], within_s: float = 20.0, what: str = "the condition"
) -> None:
    """Wait for a condition by asking for it again; fail when it does not come true in time."""
    give_up = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > give_up:
            raise AssertionError(f"{what} did not come true within {within_s} s")
        await asyncio.sleep(0.02)


async def heard(database: Database) -> list[tuple[str, int]]:
    """What was heard, in the order in which it took effect."""
    rows = await database.pool.fetch("SELECT key, number FROM heard ORDER BY id")
    return [(row["key"], row["number"]) for row in rows]


def by_key(pairs: list[tuple[str, int]]) -> dict[str, list[int]]:
    grouped: dict[str, list[int]] = {}
    for key, number in pairs:
        grouped.setdefault(key, []).append(number)
    return grouped


@asynccontextmanager
async def running(*parts: Relay | Consumer[Words]) -> AsyncIterator[None]:
    """These parts, started, and drained at the end in the opposite order."""
    for part in parts:
        await part.start()
    try:
        yield
    finally:
        for part in reversed(parts):
            await part.drain()


class Snapshotting:
    """The miniature's full state: the greatest number that was said of a key."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    async def keys(self, connection: Connection) -> AsyncIterator[str]:
        for row in await connection.fetch("SELECT DISTINCT key FROM said ORDER BY key"):
            yield row["key"]

    async def snapshot(self, connection: Connection, key: str) -> Announcement | None:
        number = await connection.fetchval("SELECT max(number) FROM said WHERE key = $1", key)
        return None if number is None else said(self._topic, key, number, snapshot=True)
