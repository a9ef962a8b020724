"""The two ends of one hop as processes, to be killed: `python -m tests.chaos.hop producer|relay|consumer`."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import NoReturn

import msgspec

from services.chassis.clock import SystemClock
from services.chassis.consumer import Consumer
from services.chassis.database import Database, DatabaseSettings
from services.chassis.kafka import KafkaSettings
from services.chassis.lifecycle import launch
from services.chassis.relay import Relay
from tests.support.messaging import HANDLERS, topic_of, works_of

KEYS = tuple(f"key-{n}" for n in range(12))
WRITERS = 6
_LAST = "SELECT max(number) FROM said WHERE key = $1"


class Told(msgspec.Struct):
    """What a process is told by the test that starts it, as JSON in its environment."""

    database: dict[str, str | float]
    bootstrap: str
    topic: str
    acknowledged: str


async def produce(told: Told, database: Database) -> NoReturn:
    """Write as fast as a few writers can; note each number after its commit, as a client would."""
    works = works_of(database, SystemClock())
    noted = os.open(told.acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def write(keys: tuple[str, ...]) -> None:
        last = {key: await database.pool.fetchval(_LAST, key) for key in keys}
        while True:
            several = random.sample(keys, random.randint(1, len(keys)))
            async with works() as work:
                for key in several:
                    last[key] = (last[key] or 0) + 1
                    work.say(told.topic, key, last[key])
            os.write(noted, "".join(f"{key} {last[key]}\n" for key in several).encode())
            await asyncio.sleep(random.uniform(0, 0.02))

    await asyncio.gather(relay(told, database), *(write(KEYS[n::WRITERS]) for n in range(WRITERS)))
    raise AssertionError("unreachable")


async def relay(told: Told, database: Database) -> NoReturn:
    part = Relay(database, KafkaSettings(bootstrap=told.bootstrap, instance_id="one-1"), "/one")
    await part.start()
    await part.watch()
    raise AssertionError("unreachable")


async def consume(told: Told, database: Database) -> NoReturn:
    consumer = Consumer(
        database, KafkaSettings(bootstrap=told.bootstrap, instance_id="two-1"),
        works_of(database, SystemClock()), "two", [topic_of(told.topic)], HANDLERS,
    )  # fmt: skip
    await consumer.start()
    await consumer.watch()
    raise AssertionError("unreachable")


ROLES = {"producer": produce, "relay": relay, "consumer": consume}


async def main(role: str) -> None:
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: os._exit(0))  # the test is gone
    told = msgspec.json.decode(os.environ["TOLD"], type=Told)
    settings = DatabaseSettings.model_validate(told.database)
    async with Database.connect(settings) as database:
        await ROLES[role](told, database)


if __name__ == "__main__":
    launch(main(sys.argv[1]))
