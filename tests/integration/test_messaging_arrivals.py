"""What Kafka brings, looked for once for all partitions: each reader gets its own, and nobody misses any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from services.chassis.arrivals import Arrivals
from tests.support.stack import RunningStack

PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Post:
    """A topic of three partitions, read from its beginning."""

    kafka: AIOKafkaConsumer
    producer: AIOKafkaProducer
    arrivals: Arrivals
    partitions: list[TopicPartition]

    async def send(self, partition: int, value: bytes) -> None:
        topic = self.partitions[partition].topic
        await self.producer.send_and_wait(topic, value, partition=partition)

    def ask(self, partition: int) -> asyncio.Task[list[bytes]]:
        async def values() -> list[bytes]:
            return [record.value for record in await self.arrivals.of(self.partitions[partition])]

        return asyncio.create_task(values())


async def within(asked: asyncio.Task[list[bytes]]) -> list[bytes]:
    return await asyncio.wait_for(asked, PATIENCE)


@asynccontextmanager
async def post(stack: RunningStack) -> AsyncIterator[Post]:
    topic = await stack.topic("arrivals", partitions=3)
    partitions = [TopicPartition(topic, number) for number in range(3)]
    kafka = AIOKafkaConsumer(
        bootstrap_servers=stack.bootstrap, enable_auto_commit=False, auto_offset_reset="none"
    )
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap, acks="all", linger_ms=0)
    async with kafka, producer:
        kafka.assign(partitions)
        for partition in partitions:
            kafka.seek(partition, 0)
        arrivals = Arrivals(kafka, look_ms=600_000)  # so that no second look makes up for a first
        yield Post(kafka, producer, arrivals, partitions)
        arrivals.close()


async def test_each_gets_its_own_and_the_others_go_on_waiting(stack: RunningStack) -> None:
    async with post(stack) as at:
        first, second = at.ask(0), at.ask(1)
        await at.send(1, b"one")
        assert await within(second) == [b"one"]
        assert not first.done()
        await at.send(0, b"two")
        assert await within(first) == [b"two"]


async def test_who_begins_to_wait_while_others_do_is_looked_for_as_well(stack: RunningStack) -> None:
    async with post(stack) as at:
        first, second = at.ask(0), at.ask(1)
        await at.send(1, b"one")
        assert await within(second) == [b"one"]
        second, third = at.ask(1), at.ask(2)
        await at.send(2, b"two")
        assert await within(third) == [b"two"]
        await at.send(1, b"three")
        assert await within(second) == [b"three"]
        assert not first.done()


async def test_what_came_for_one_that_does_not_wait_is_there_when_it_asks(stack: RunningStack) -> None:
    async with post(stack) as at:
        first = at.ask(0)
        await at.send(1, b"one")
        await at.send(0, b"two")
        assert await within(first) == [b"two"]
        assert await within(at.ask(1)) == [b"one"]


async def test_who_was_stopped_while_it_waited_leaves_its_records_to_the_next(stack: RunningStack) -> None:
    async with post(stack) as at:
        first, other = at.ask(0), at.ask(1)
        await asyncio.wait([first], timeout=0)  # so that it waits
        first.cancel()
        await asyncio.wait([first])
        again = at.ask(0)
        await at.send(0, b"one")
        assert await within(again) == [b"one"]
        await at.send(1, b"two")
        assert await within(other) == [b"two"]


async def test_what_aiokafka_has_to_say_is_told_to_all_who_wait(stack: RunningStack) -> None:
    async with post(stack) as at:
        first, second = at.ask(0), at.ask(1)
        at.kafka.seek(at.partitions[0], 1_000)
        for each in (first, second):
            with pytest.raises(OffsetOutOfRangeError):
                await within(each)
        await at.send(1, b"one")
        assert await within(at.ask(1)) == [b"one"]
