"""Domain time that is moved by command: real speed, plus an offset that every process of the stack reads.

The offset is a file of 8 bytes, a little-endian signed count of microseconds, which the processes map into
memory and add to wall time at each look. `advance` moves it, and returns when everything that had become due
has happened and all its events have arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.kafka import topics
from deploy.local.errors import StackError
from deploy.local.paths import State, write_private
from deploy.local.record import Record

OFFSET = struct.Struct("<q")
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
LOOK_SECONDS = 0.05

LATE_TIMERS = "SELECT kind, count(*) FROM timer WHERE due_at <= $1 GROUP BY kind"
UNSENT = "SELECT count(*) FROM outbox"
POSITIONS = "SELECT topic, partition, next_offset FROM consumer_position WHERE consumer = $1"
SEQUENCES = "SELECT coalesce(sum(last), 0) FROM stream"


def prepare(state: State, stepped: bool) -> bool:
    """Lay out the clock at the start; whether the stack is stepped.

    A stack that was ever stepped stays so until its data are forgotten: its rows carry times that wall time
    has not reached, and domain time must not run backwards.
    """
    if stepped and not state.clock.exists():
        write_private(state.clock, OFFSET.pack(0))
    return state.clock.exists()


def duration(text: str) -> timedelta:
    """`3d`, `2h`, `15m`, `90s`, or several together: `1d12h`."""
    found = re.findall(r"(\d+)([dhms])", text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise StackError(f"{text!r} is no duration; write for example 3d, 2h, 15m, 90s or 1d12h")
    return sum((timedelta(**{UNITS[unit]: int(number)}) for number, unit in found), timedelta())


def now(state: State) -> datetime:
    """Domain time as the stack's processes see it."""
    offset = OFFSET.unpack(state.clock.read_bytes())[0] if state.clock.exists() else 0
    return datetime.now(UTC) + timedelta(microseconds=offset)


async def advance(state: State, by: timedelta, patience: float = 60.0) -> None:
    """Move domain time forward, and return when all that is due has happened and arrived.

    What was under way before has arrived before time moves: nothing that fell due may overtake it.

    `patience`: seconds until that counts as a failure; the error names what is still not drained.
    """
    if by < timedelta():
        raise StackError("domain time does not run backwards")
    record = Record.read(state)
    if not record.stepped:
        raise StackError("this stack runs on wall time; `make clean-data`, then start it with `--stepped`")
    await drained(state, record, patience)
    with state.clock.open("r+b") as file:
        offset = OFFSET.unpack(file.read(OFFSET.size))[0] + by // timedelta(microseconds=1)
        file.seek(0)
        file.write(OFFSET.pack(offset))
    await drained(state, record, patience)


async def drained(state: State, record: Record, patience: float = 60.0) -> None:
    """Return when two looks in a row saw nothing due, unsent or unread, and nothing changed in between."""
    deadline = time.monotonic() + patience
    async with _looker(state, record) as looker:
        before: Look | None = None
        while True:
            look = await looker.look(now(state))
            if not look.open and before == look:
                return
            if time.monotonic() > deadline:
                still = ", ".join(look.open) or "something changes all the time"
                raise StackError(f"not drained after {patience:g} s: {still}")
            before = look
            await asyncio.sleep(LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the whole stack: what is not drained, in words, and how far the streams have come."""

    open: tuple[str, ...]
    sequences: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Looker:
    """Connections to everything that must be drained."""

    databases: Mapping[str, asyncpg.Connection[asyncpg.Record]]
    reads: Mapping[str, Sequence[TopicPartition]]  # by service, every partition it consumes
    consumer: AIOKafkaConsumer

    async def look(self, moment: datetime) -> Look:
        """The databases one after the other, then Kafka: what moved meanwhile shows in the next look."""
        still: list[str] = []
        sequences: dict[str, int] = {}
        behind: dict[TopicPartition, dict[str, int]] = {}
        for service, database in self.databases.items():
            for kind, count in await database.fetch(LATE_TIMERS, moment):
                still.append(f"{service}: {count} timers {kind} due")
            if unsent := await database.fetchval(UNSENT):
                still.append(f"{service}: {unsent} events unsent")
            sequences[service] = int(await database.fetchval(SEQUENCES))
            stands = {
                (topic, partition): offset
                for topic, partition, offset in await database.fetch(POSITIONS, service)
            }
            for partition in self.reads[service]:
                # A partition that was never read has no row, and all of it is unread.
                behind.setdefault(partition, {})[service] = stands.get(
                    (partition.topic, partition.partition), 0
                )
        still += await self._unread(behind)
        return Look(tuple(still), sequences)

    async def _unread(self, behind: Mapping[TopicPartition, Mapping[str, int]]) -> list[str]:
        if not behind:
            return []
        ends = await self.consumer.end_offsets(list(behind))
        return [
            f"{consumer}: {ends[partition] - offset} of {partition.topic}-{partition.partition} unread"
            for partition, consumers in behind.items()
            for consumer, offset in consumers.items()
            if offset < ends[partition]
        ]


@contextlib.asynccontextmanager
async def _looker(state: State, record: Record) -> AsyncIterator[Looker]:
    async with contextlib.AsyncExitStack() as resources:
        databases = {}
        for service in record.postgres.keys() & record.services.keys():
            databases[service] = await record.cluster(service, state).superuser(service)
            resources.push_async_callback(databases[service].close)
        consumer = AIOKafkaConsumer(bootstrap_servers=record.bootstrap)
        await resources.enter_async_context(consumer)
        yield Looker(databases, {service: _reads(service) for service in databases}, consumer)


def _reads(service: str) -> list[TopicPartition]:
    return [
        TopicPartition(topic.name, number)
        for topic in topics.read()
        if service in topic.consumers
        for number in range(topic.partitions)
    ]
