"""One hop on the real thing: a commit here becomes an effect there, once and in order."""

from __future__ import annotations

from services.chassis.consumer import Consumer
from services.chassis.relay import Relay
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


async def test_what_is_said_is_heard_once_and_in_order(stack: RunningStack) -> None:
    topic = topic_of(await stack.topic("hop"))
    async with opened(stack, "intake") as here, opened(stack, "matching") as there:
        consumer = Consumer(there, kafka_of(stack, "two-1"), works_of(there), "two", [topic], HANDLERS)
        async with running(Relay(here, kafka_of(stack), "/one"), consumer):
            works = works_of(here)
            for number in range(1, 41):
                async with works() as work:
                    work.say(topic.name, f"key-{number % 4}", number)

            async def all_heard() -> bool:
                return len(await heard(there)) >= 40

            await until(all_heard)
        assert by_key(await heard(there)) == {
            f"key-{n}": [number for number in range(1, 41) if number % 4 == n] for n in range(4)
        }
        assert await here.pool.fetchval("SELECT count(*) FROM outbox") == 0
