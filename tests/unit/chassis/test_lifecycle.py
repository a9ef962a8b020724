"""How a service comes up, in which order it lets go, and when it dies instead."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from services.chassis.lifecycle import BrokenPartError, Part, run

GRACE = timedelta(seconds=5)
PROJECT = Path(__file__).parents[3]


class DiedError(Exception):
    """Instead of the end of the test's own process."""


def die() -> NoReturn:
    raise DiedError


@dataclass
class Played:
    """A part that writes down what is asked of it."""

    name: str
    story: list[str]
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    fails_to_start: bool = False

    def __post_init__(self) -> None:
        self.finish.set()

    async def start(self) -> None:
        self.story.append(f"start {self.name}")
        if self.fails_to_start:
            raise OSError("the port is taken")

    async def watch(self) -> None:
        await self.broken.wait()

    async def drain(self) -> None:
        self.story.append(f"drain {self.name}")
        self.draining.set()
        await self.finish.wait()
        self.story.append(f"drained {self.name}")


class PlayedDoor(Played):
    async def unready(self) -> None:
        self.story.append(f"unready {self.name}")


class Signalling(Played):
    """The last part: when it has started, the process is asked to stop."""

    number = signal.SIGTERM

    async def start(self) -> None:
        await super().start()
        os.kill(os.getpid(), self.number)


@pytest.fixture
def story() -> list[str]:
    return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_starts_left_to_right_and_lets_go_right_to_left_after_the_doors_closed(
    story: list[str], number: signal.Signals
) -> None:
    last = Signalling("consumer", story)
    last.number = number
    parts: list[Part] = [PlayedDoor("http", story), Played("relay", story), PlayedDoor("rpc", story), last]
    await asyncio.wait_for(run(*parts, grace=GRACE, die=die), 5)
    assert story == [
        *("start http", "start relay", "start rpc", "start consumer"),
        *("unready http", "unready rpc"),
        *("drain consumer", "drained consumer", "drain rpc", "drained rpc"),
        *("drain relay", "drained relay", "drain http", "drained http"),
    ]


async def test_a_part_drains_only_when_the_one_to_its_right_has_finished(story: list[str]) -> None:
    relay, consumer = Played("relay", story), Signalling("consumer", story)
    consumer.finish.clear()
    running = asyncio.create_task(run(relay, consumer, grace=GRACE, die=die))
    await asyncio.wait_for(consumer.draining.wait(), 5)
    for _ in range(100):
        await asyncio.sleep(0)
    assert story[-1] == "drain consumer"
    consumer.finish.set()
    await asyncio.wait_for(running, 5)
    assert story[-2:] == ["drain relay", "drained relay"]


async def test_a_part_that_breaks_ends_the_process_without_draining(story: list[str]) -> None:
    relay, consumer = Played("relay", story), Played("consumer", story)
    consumer.broken.set()
    with pytest.raises(DiedError) as caught:
        await asyncio.wait_for(run(relay, consumer, grace=GRACE, die=die), 5)
    assert isinstance(caught.value.__context__, BrokenPartError)
    assert not any(step.startswith("drain") for step in story)


async def test_a_part_that_cannot_start_ends_the_process_and_starts_nothing_behind_it(
    story: list[str],
) -> None:
    with pytest.raises(DiedError):
        await run(
            Played("http", story),
            Played("relay", story, fails_to_start=True),
            Played("consumer", story),
            grace=GRACE,
            die=die,
        )
    assert story == ["start http", "start relay"]


async def test_a_part_that_breaks_while_another_still_starts_ends_the_process(story: list[str]) -> None:
    class Slow(Played):
        async def start(self) -> None:
            await asyncio.Event().wait()

    relay = Played("relay", story)
    relay.broken.set()
    with pytest.raises(DiedError):
        await asyncio.wait_for(run(relay, Slow("consumer", story), grace=GRACE, die=die), 5)


async def test_a_part_that_does_not_finish_within_the_grace_ends_the_process(story: list[str]) -> None:
    last = Signalling("consumer", story)
    last.finish.clear()
    with pytest.raises(DiedError) as caught:
        await run(Played("relay", story), last, grace=timedelta(milliseconds=50), die=die)
    assert isinstance(caught.value.__context__, TimeoutError)
    assert story[-1] == "drain consumer"
