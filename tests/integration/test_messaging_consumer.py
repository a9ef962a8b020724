"""The consumer on the real Kafka and PostgreSQL: poison, retries, second owners, replays, lost positions."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaProducer

from services.chassis.apply import PermanentError, TooManyParkedError, TransientError
from services.chassis.consumer import Consumer
from services.chassis.database import Database
from services.chassis.envelope import Received, headers
from services.chassis.inbox import SequenceConflictError
from services.chassis.operate import operate
from services.chassis.reader import PositionLostError
from services.chassis.snapshots import reseed
from services.chassis.topics import Topic, Topics
from tests.support.messaging import (
    HANDLERS,
    SAID,
    SNAPSHOT,
    Snapshotting,
    Words,
    by_key,
    hear,
    heard,
    kafka_of,
    opened,
    running,
    said,
    topic_of,
    until,
    works_of,
)
from tests.support.stack import RunningStack


@dataclass(slots=True)
class Ear:
    """A consumer's end: its database, its topic, and a way to put records on that topic as a relay would."""

    stack: RunningStack
    database: Database
    topic: Topic
    producer: AIOKafkaProducer
    consumer_name: str

    async def put(self, key: str, *numbers: int, epoch: int = 1, snapshot: bool = False) -> None:
        """Records whose number is also their sequence."""
        for number in numbers:
            event = said(self.topic.name, key, number, snapshot=snapshot)
            await self.producer.send_and_wait(
                self.topic.name,
                event.payload,
                key=key.encode(),
                headers=headers(event, "/test", epoch, number),
            )

    def consumer(self, handle: Callable[[Received, Words], object] | None = None) -> Consumer[Words]:
        handlers = {SAID: handle, SNAPSHOT: handle} if handle else HANDLERS
        kafka = kafka_of(self.stack, f"{self.consumer_name}-1")
        return Consumer(
            self.database,
            kafka,
            works_of(self.database),
            self.consumer_name,
            [self.topic],
            handlers,  # type: ignore[arg-type]
        )

    async def has_heard(self, many: int) -> None:
        async def enough() -> bool:
            return len(await heard(self.database)) >= many

        await until(enough, what=f"{many} heard")

    async def count(self, table: str) -> int:
        number: int = await self.database.pool.fetchval(f"SELECT count(*) FROM {table}")
        return number

    async def operate(self, *argv: str) -> int:
        return await operate(
            argv, database=self.database, works=works_of(self.database), handlers=HANDLERS, snapshots={},
            topics=Topics({self.topic.name: self.topic}), say=lambda line: None,
        )  # fmt: skip


@pytest.fixture
async def ear(stack: RunningStack) -> AsyncIterator[Ear]:
    async with _ear(stack) as ear:
        yield ear


@asynccontextmanager
async def _ear(stack: RunningStack) -> AsyncIterator[Ear]:
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        async with opened(stack, "matching") as database:
            topic = topic_of(await stack.topic("ear", partitions=2), partitions=2)
            yield Ear(stack, database, topic, producer, f"two-{uuid.uuid4().hex[:8]}")
    finally:
        await producer.stop()


async def _broken_by(consumer: Consumer[Words]) -> BaseException:
    """What `watch` raises."""
    with pytest.raises(Exception) as raised:
        await asyncio.wait_for(consumer.watch(), 20)
    return raised.value


async def test_a_consumer_that_starts_before_kafka_has_anything_waits_for_it(ear: Ear) -> None:
    async with running(ear.consumer()):
        await ear.put("a", 1)
        await ear.has_heard(1)
        await ear.put("a", 2, 3)
        await ear.has_heard(3)
    assert await heard(ear.database) == [("a", 1), ("a", 2), ("a", 3)]


async def test_a_consumer_goes_on_where_it_stood_and_not_where_kafka_believes(ear: Ear) -> None:
    await ear.put("a", 1, 2, 3)
    async with running(ear.consumer()):
        await ear.has_heard(3)
    await ear.put("a", 4)
    async with running(ear.consumer()):
        await ear.has_heard(4)
    assert await heard(ear.database) == [("a", n) for n in range(1, 5)]


async def test_poison_is_parked_its_key_waits_others_go_on_and_a_replay_brings_all(ear: Ear) -> None:
    async def handle(event: Received, work: Words) -> None:
        if (event.key, event.sequence) == ("a", 2):
            raise PermanentError("cannot-bear-it")
        await hear(event, work)

    await ear.put("a", 1, 2, 3)
    await ear.put("b", 1, 2)
    async with running(ear.consumer(handle)):
        await ear.has_heard(3)
        await ear.put("b", 3)
        await ear.put("a", 4)
        await ear.has_heard(4)

        async def parked() -> bool:
            return await ear.count("parked") == 3

        await until(parked, what="three parked")
        assert by_key(await heard(ear.database)) == {"a": [1], "b": [1, 2, 3]}
        reasons = await ear.database.pool.fetch("SELECT reason FROM parked ORDER BY sequence")
        assert [row["reason"] for row in reasons] == ["cannot-bear-it", *["behind-a-parked-record"] * 2]
        assert await ear.operate("replay") == 0
        await ear.put("a", 5)
        await ear.has_heard(8)
    assert by_key(await heard(ear.database)) == {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3]}
    assert await ear.count("parked") == 0


async def test_a_passing_fault_holds_its_partition_until_it_passes(ear: Ear) -> None:
    tries = 0

    async def handle(event: Received, work: Words) -> None:
        nonlocal tries
        tries += 1
        if tries <= 4:
            raise TransientError
        await hear(event, work)

    await ear.put("a", 1, 2)
    async with running(ear.consumer(handle)):
        await ear.has_heard(2)
    assert await heard(ear.database) == [("a", 1), ("a", 2)]
    assert await ear.count("parked") == 0


async def test_a_handler_that_loses_a_race_decides_anew_and_one_that_always_does_is_poison(ear: Ear) -> None:
    """`expect` fails like a lost partition, but the partition is ours."""
    tries = 0

    async def handle(event: Received, work: Words) -> None:
        nonlocal tries
        tries += event.key == "a"
        if event.key == "b" or tries <= 3:
            work.write("UPDATE said SET number = 0 WHERE key = 'nobody'", expect=1)
        await hear(event, work)

    await ear.put("a", 1)
    await ear.put("b", 1)
    async with running(ear.consumer(handle)):
        await ear.has_heard(1)

        async def parked() -> bool:
            return await ear.count("parked") == 1

        await until(parked, what="one parked")
    assert await heard(ear.database) == [("a", 1)]


async def test_too_much_poison_in_a_row_stops_the_consumer_also_after_a_restart(ear: Ear) -> None:
    async def handle(event: Received, work: Words) -> None:
        raise ZeroDivisionError

    for n in range(30):
        await ear.put(f"key-{n}", 1)
    for _ in range(2):
        consumer = ear.consumer(handle)
        await consumer.start()
        assert isinstance(await _broken_by(consumer), TooManyParkedError)
        await consumer.drain()
        assert await ear.count("parked") == 20


async def test_one_sequence_for_two_events_stops_the_consumer(ear: Ear) -> None:
    await ear.put("a", 1)
    await ear.put("a", 1)
    consumer = ear.consumer()
    await consumer.start()
    assert isinstance(await _broken_by(consumer), SequenceConflictError)
    await consumer.drain()
    assert await heard(ear.database) in ([("a", 1)], [])


async def test_a_gap_waits_for_what_is_missing_and_others_do_not(ear: Ear) -> None:
    async with running(ear.consumer()):
        await ear.put("a", 1, 3, 4)
        await ear.put("b", 1, 2)
        await ear.has_heard(3)

        async def waiting() -> bool:
            return await ear.count("waiting") == 2

        await until(waiting, what="two waiting")
        await ear.put("a", 2)
        await ear.has_heard(6)
    assert by_key(await heard(ear.database)) == {"a": [1, 2, 3, 4], "b": [1, 2]}
    assert await ear.count("waiting") == 0


async def test_a_key_that_waits_for_over_a_minute_is_an_alarm_until_it_waits_no_more(
    ear: Ear, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "aid.consumer")
    monkeypatch.setattr("services.chassis.consumer.LOOK_S", 0.1)

    def told(event: str) -> Callable[[], Awaitable[bool]]:
        async def said_once() -> bool:
            return [record.msg for record in caplog.records].count(event) == 1

        return said_once

    async with running(ear.consumer()):
        await ear.put("a", 1, 3)

        async def waiting() -> bool:
            return await ear.count("waiting") == 1

        await until(waiting, what="one waiting")
        assert not await told("keys-wait-for-a-missing-event")()
        await ear.database.pool.execute("UPDATE waiting SET since = since - interval '61 seconds'")
        await until(told("keys-wait-for-a-missing-event"), what="the alarm")
        await ear.put("a", 2)
        await until(told("no-key-waits-too-long"), what="the end of the alarm")
    assert await told("keys-wait-for-a-missing-event")()


async def test_a_second_owner_of_a_partition_commits_nothing(ear: Ear) -> None:
    """Whatever Kafka believes of the group: the position has one owner, and both end with one order."""
    await ear.put("a", 1, 2, 3)
    async with running(ear.consumer()):
        await ear.has_heard(3)
        await ear.database.pool.execute("UPDATE consumer_position SET version = version + 1")
        await ear.put("a", 4, 5)
        await ear.has_heard(5)
    assert await heard(ear.database) == [("a", n) for n in range(1, 6)]


async def test_a_position_that_kafka_does_not_have_stops_the_consumer(ear: Ear) -> None:
    await ear.put("a", 1)
    async with running(ear.consumer()):
        await ear.has_heard(1)
    await ear.database.pool.execute("UPDATE consumer_position SET next_offset = next_offset + 1000")
    consumer = ear.consumer()
    await consumer.start()
    assert isinstance(await _broken_by(consumer), PositionLostError)
    await consumer.drain()


async def test_a_record_that_cannot_be_read_is_parked(ear: Ear) -> None:
    await ear.put("a", 1)
    await ear.producer.send_and_wait(ear.topic.name, b"?", key=b"a", headers=[("x", b"\xff")])
    await ear.producer.send_and_wait(ear.topic.name, b"?", key=None)
    await ear.put("b", 1)
    async with running(ear.consumer()):
        await ear.has_heard(2)

        async def parked() -> bool:
            return await ear.count("parked") == 2

        await until(parked, what="two parked")
        await ear.put("a", 2)
        await ear.put("a", 3, snapshot=True)
        await ear.has_heard(3)
    assert by_key(await heard(ear.database)) == {"a": [1, 3], "b": [1]}


async def test_full_state_seeds_a_consumer_that_came_late(stack: RunningStack) -> None:
    """Its log begins in the middle: every key waits until `reseed` has said it."""
    async with _ear(stack) as ear:
        await ear.put("a", 7, 8)
        async with running(ear.consumer()):

            async def waiting() -> bool:
                return await ear.count("waiting") == 2

            await until(waiting, what="two waiting")
            await ear.put("a", 9, snapshot=True)
            await ear.put("a", 10)
            await ear.has_heard(2)
        assert await heard(ear.database) == [("a", 9), ("a", 10)]
        assert await ear.count("waiting") == 0


async def test_a_reseed_says_full_state_with_the_next_sequence(stack: RunningStack) -> None:
    async with opened(stack) as database:
        works = works_of(database)
        for number in (1, 2):
            async with works() as work:
                work.say("t", "a", number)
        assert await reseed(works, "t", "a", Snapshotting("t"))
        assert not await reseed(works, "t", "nobody", Snapshotting("t"))
        row = await database.pool.fetchrow("SELECT * FROM outbox ORDER BY id DESC LIMIT 1")
        assert row is not None
        assert (row["sequence"], row["payload"]) == (3, b"2")
        assert '"ce_snapshot": "true"' in row["headers"]
        assert await database.pool.fetchval("SELECT count(*) FROM stream WHERE last > 0") == 1
