"""One hop under kill -9: whatever dies when, every effect here becomes one effect there, in order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from services.chassis.database import Database
from tests.chaos.hop import Told
from tests.support.messaging import by_key, heard, prepared, until
from tests.support.stack import RunningStack

KILLS = 14
ENDS = ("producer", "consumer")


class Processes:
    """The two ends, each started anew when it was killed."""

    def __init__(self, told: dict[str, Told]) -> None:
        self._told = told
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str) -> None:
        self._running[role] = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.hop", role],
            env={**os.environ, "TOLD": msgspec.json.encode(self._told[role]).decode(), "PYTHONPATH": "."},
            stdin=subprocess.PIPE,
        )

    def kill(self, role: str) -> None:
        process = self._running.pop(role)
        assert process.poll() is None, f"the {role} died by itself"
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.communicate()


@contextmanager
def running(told: dict[str, Told]) -> Iterator[Processes]:
    processes = Processes(told)
    try:
        for role in ENDS:
            processes.start(role)
        yield processes
    finally:
        processes.stop()


@pytest.mark.timeout(180)
async def test_nothing_is_lost_doubled_or_reordered(stack: RunningStack, tmp_path: Path) -> None:
    topic = await stack.topic("hop")
    here, there = await prepared(stack, "intake"), await prepared(stack, "matching")
    acknowledged = tmp_path / "acknowledged"
    told = {
        role: Told(settings.model_dump(mode="json"), stack.bootstrap, topic, str(acknowledged))
        for role, settings in (("producer", here), ("relay", here), ("consumer", there))
    }
    async with Database.connect(here) as one, Database.connect(there) as two:
        with running(told) as processes:
            await _kill_often(processes, one, two)
            processes.kill("producer")
            processes.start("relay")  # nothing new is said; what is pending leaves

            async def all_arrived() -> bool:
                return await _count(one, "outbox") == 0 and await _count(one, "said") == await _count(
                    two, "heard"
                )

            await until(all_arrived, 40, "everything arriving")
        rows = await one.pool.fetch("SELECT key, number FROM said ORDER BY number")
        said = by_key([(row["key"], row["number"]) for row in rows])
        assert by_key(await heard(two)) == said
        notes = [line.split() for line in acknowledged.read_text().splitlines()]
        assert len(notes) > 200
        assert all(int(number) in set(said[key]) for key, number in notes)
        for table in ("waiting", "parked"):
            assert await two.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def _kill_often(processes: Processes, one: Database, two: Database) -> None:
    """Kill an end at a random moment of its work, at random; each time both have to get going again."""
    chance = random.Random()
    for _ in range(KILLS):
        said, listened = await _count(one, "said"), await _count(two, "heard")

        async def both_move(said: int = said, listened: int = listened) -> bool:
            return await _count(one, "said") > said and await _count(two, "heard") > listened

        await until(both_move, 40, "both ends working")
        await asyncio.sleep(chance.uniform(0, 0.5))  # not a wait: the random moment of the murder
        role = chance.choice(ENDS)
        processes.kill(role)
        processes.start(role)


async def _count(database: Database, table: str) -> int:
    count: int = await database.pool.fetchval(f"SELECT count(*) FROM {table}")
    return count
