"""What the network left behind, as plain data: every event of every topic, and the rows that matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aid.intake.v1 import events_pb2 as _intake
from aid.logistics.v1 import events_pb2 as _logistics
from aid.matching.v1 import events_pb2 as _matching
from aiokafka import AIOKafkaConsumer, TopicPartition
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from deploy.local import clock
from services.chassis.envelope import received
from services.chassis.topics import Topic, Topics
from tests.support.chaos.doors import said
from tests.support.stack import RunningStack

# The pool below knows a message once its module was imported.
EVENTS = (_intake, _logistics, _matching)

Row = Mapping[str, Any]

MESSAGING = (
    *("stream", "inbox", "waiting", "parked", "outbox", "timer", "consumer_position", "idempotency"),
)
TABLES: Mapping[str, tuple[str, ...]] = {
    "intake": (*MESSAGING, "case_file", "need", "referral", "stay", "allocation"),
    "matching": (
        *MESSAGING,
        *("household", "need", "offer", "night", "referral", "hold", "occupancy", "allocation", "stock"),
        "appeal_line",
    ),
    "logistics": (
        *MESSAGING,
        *("warehouse", "item", "stock", "line", "pledge", "shipment", "box", "allocation", "journal"),
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One record; `type` without its package, `body` with every field."""

    topic: str
    partition: int
    offset: int
    key: str
    type: str
    id: str
    epoch: int
    sequence: int
    body: Mapping[str, Any]
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """`log`: per partition in the order of offsets. `rows`: by service and table. `ends`: the next offset of
    each (topic, partition). `now`: domain time at the moment of the look. `watched`: what each warehouse saw
    of its journal, as (type, payload).
    """

    topics: Sequence[Topic]
    log: Sequence[Event]
    rows: Mapping[str, Mapping[str, Sequence[Row]]]
    ends: Mapping[tuple[str, int], int]
    now: datetime
    watched: Mapping[str, Sequence[tuple[str, bytes]]] = field(default_factory=dict)

    def table(self, service: str, name: str) -> Sequence[Row]:
        return self.rows[service][name]

    def told(self) -> Iterator[Event]:
        """Each event once: a relay that was killed may have sent one again."""
        seen: set[tuple[str, str, int, int]] = set()
        for event in self.log:
            place = (event.topic, event.key, event.epoch, event.sequence)
            if place not in seen:
                seen.add(place)
                yield event

    def by_key(self, topic: str) -> Mapping[str, Sequence[Event]]:
        """The events of each key in the order of their sequences."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self.told():
            if event.topic == topic:
                found[event.key].append(event)
        for events in found.values():
            events.sort(key=lambda event: (event.epoch, event.sequence))
        return found


async def gather(
    stack: RunningStack, topics: Topics, watched: Mapping[str, Sequence[tuple[str, bytes]]]
) -> Evidence:
    """Look at everything; the network should be quiet."""
    looked_at = [topic for topic in topics if topic.producer in TABLES]
    log, ends = await _log(stack.bootstrap, looked_at)
    rows = {service: await _rows(stack, service, tables) for service, tables in TABLES.items()}
    return Evidence(looked_at, log, rows, ends, clock.now(stack.state), watched)


async def _rows(stack: RunningStack, service: str, tables: Sequence[str]) -> dict[str, list[Row]]:
    """All tables as of one moment."""
    connection = await stack.record.cluster(service, stack.state).superuser(service)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {
                name: [_row(row) for row in await connection.fetch(f"SELECT * FROM {name}")]
                for name in tables
            }
    finally:
        await connection.close()


def _row(row: asyncpg.Record) -> Row:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    """Ids and days as the contract writes them."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


async def _log(bootstrap: str, topics: Sequence[Topic]) -> tuple[list[Event], dict[tuple[str, int], int]]:
    """Every record from the beginning to the end that each partition has now."""
    partitions = [
        TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        events: list[Event] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                events += map(_event, records)
    finally:
        await consumer.stop()
    return events, {(each.topic, each.partition): end for each, end in ends.items()}


def _event(record: Any) -> Event:
    event = received(record)
    message = GetMessageClass(Default().FindMessageTypeByName(event.type)).FromString(event.payload)
    return Event(
        event.topic, event.partition, event.offset, event.key, event.type.rpartition(".")[2], str(event.id),
        event.epoch, event.sequence, said(message), event.snapshot,
    )  # fmt: skip
