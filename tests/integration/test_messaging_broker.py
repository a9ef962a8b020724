"""Kafka absent, killed and back: commits go on, and everything leaves and arrives in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from services.chassis.consumer import Consumer
from services.chassis.database import Database
from services.chassis.kafka import KafkaSettings
from services.chassis.relay import Relay
from tests.support import stack as stacks
from tests.support.messaging import (
    HANDLERS,
    by_key,
    heard,
    kafka_of,
    opened,
    running,
    topic_of,
    until,
    works_of,
)
from tests.support.stack import RunningStack

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1")


@pytest.fixture(scope="module")
def own_stack() -> Iterator[RunningStack]:
    """A Kafka that may be killed."""
    with (
        stacks.temporary_state() as folder,
        stacks.running(folder, "--only", "kafka", "postgres") as running_,
    ):
        yield running_


async def _pending(database: Database) -> int:
    number: int = await database.pool.fetchval("SELECT count(*) FROM outbox")
    return number


async def test_without_kafka_works_commit_and_parts_start_and_drain(stack: RunningStack) -> None:
    async with opened(stack) as database:
        relay = Relay(database, NOWHERE, "/one")
        consumer = Consumer(database, NOWHERE, works_of(database), "two", [topic_of("t")], HANDLERS)
        began = time.monotonic()
        async with running(relay, consumer):
            assert time.monotonic() - began < 1
            for number in range(1, 11):
                async with works_of(database)() as work:
                    work.say("t", "a", number)
            began = time.monotonic()
        assert time.monotonic() - began < 10
        assert await _pending(database) == 10
        assert not relay.progress.stuck
        assert not consumer.progress.stuck


async def test_what_was_said_without_kafka_leaves_in_order_when_it_is_there(stack: RunningStack) -> None:
    topic = topic_of(await stack.topic("absent"))
    async with opened(stack, "intake") as here, opened(stack, "matching") as there:
        for number in range(1, 2001):
            async with works_of(here)() as work:
                work.say(topic.name, f"key-{number % 7}", number)
        consumer = Consumer(there, kafka_of(stack, "two-1"), works_of(there), "two", [topic], HANDLERS)
        async with running(Relay(here, kafka_of(stack), "/one"), consumer):

            async def all_heard() -> bool:
                return len(await heard(there)) >= 2000

            await until(all_heard, 40)
        said = {f"key-{n}": [number for number in range(1, 2001) if number % 7 == n] for n in range(7)}
        assert by_key(await heard(there)) == said


async def test_one_relay_sends_and_another_takes_over_when_it_dies(stack: RunningStack) -> None:
    topic = topic_of(await stack.topic("takeover"))
    async with opened(stack) as database:
        first, second = (Relay(database, kafka_of(stack), "/one") for _ in range(2))

        async def say(number: int) -> None:
            async with works_of(database)() as work:
                work.say(topic.name, f"key-{number}", number)

        async def all_sent() -> bool:
            return await _pending(database) == 0

        async with running(first):
            await say(1)
            await until(all_sent)
            async with running(second):
                holders = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
                assert await database.pool.fetchval(holders) == 1
                await database.pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                )
                for number in range(2, 40):
                    await say(number)
                await until(all_sent, 30)
                assert (
                    await database.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                    == 16
                )


async def test_a_broker_that_is_killed_loses_and_reorders_nothing(own_stack: RunningStack) -> None:
    topic = topic_of(await own_stack.topic("killed"))
    async with opened(own_stack, "intake") as here, opened(own_stack, "matching") as there:
        consumer = Consumer(there, kafka_of(own_stack, "two-1"), works_of(there), "two", [topic], HANDLERS)
        said: list[int] = []

        async def write() -> None:
            for number in range(1, 10**6):
                async with works_of(here)() as work:
                    work.say(topic.name, f"key-{number % 5}", number)
                said.append(number)
                await asyncio.sleep(0.005)

        async def is_heard(many: int) -> None:
            async def enough() -> bool:
                return len(await heard(there)) >= many

            await until(enough, 60, f"{many} heard")

        async with running(Relay(here, kafka_of(own_stack), "/one"), consumer):
            writer = asyncio.create_task(write())
            for _ in range(3):
                await is_heard(len(said) + 50)
                os.kill(own_stack.process("kafka"), signal.SIGKILL)
                before = len(said)
                await is_heard(before + 20)
                assert len(said) > before
            writer.cancel()
            await asyncio.wait([writer])
            total: int = await here.pool.fetchval("SELECT count(*) FROM said")
            await is_heard(total)
        rows = await here.pool.fetch("SELECT key, number FROM said ORDER BY number")
        assert by_key(await heard(there)) == by_key([(row["key"], row["number"]) for row in rows])
