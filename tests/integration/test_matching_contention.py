"""While others take places faster than they can be seen, what is heard goes on being applied: under the lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aid.matching.v1 import matching_pb2 as pb

from deploy.kafka.topics import FILE as TOPICS
from services.chassis.apply import Applier
from services.chassis.envelope import Announcement, Record
from services.chassis.ids import uuid7
from services.chassis.inbox import Position
from services.chassis.topics import Topics
from services.matching.adapters.newcomers import PostgresNewcomers
from services.matching.application.ports import MatchingWork
from tests.support.matching import EVENING, SHELTER, TONIGHT, World, cases, facts, lodging, matching, reported
from tests.support.messaging import Log
from tests.support.stack import RunningStack

TOPIC = Topics.load(Path(TOPICS)).of("aid.intake.cases.v1")
BEDS = 16


class Rival:
    """Somebody who takes the very bed that was seen to be free, each time before it is written."""

    def __init__(self) -> None:
        self.races = 0

    async def run(self, world: World) -> None:
        self.races += 1
        assert (await world.tonight(facts())).held.place


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    """Shelters of one bed each, tonight's of which are written down."""
    async with matching(stack) as world:
        for number in range(BEDS):
            offer_id = await world.offer(1, name=f"Shelter {number}")
            counted = pb.SetCapacityRequest(offer_id=offer_id, from_date=TONIGHT, nights=1, capacity=1)
            await world.ask("SetCapacity", counted, SHELTER)
        yield world
        await world.consistent()


@pytest.fixture
def rival(world: World, monkeypatch: pytest.MonkeyPatch) -> Rival:
    rival, look = Rival(), PostgresNewcomers.glance

    async def glance(newcomers: PostgresNewcomers, *what: Any) -> Any:
        book = await look(newcomers, *what)
        if book is not None:
            await rival.run(world)
        return book

    monkeypatch.setattr(PostgresNewcomers, "glance", glance)
    return rival


def told(case_ids: list[str]) -> list[Record]:
    """One need of each case, as intake's relay sends it."""
    log = Log(TOPIC.name)
    for case_id in case_ids:
        event = reported(case_id, lodging(), facts())
        said = Announcement(
            topic=TOPIC.name, key=case_id, type=event.DESCRIPTOR.full_name, payload=event.SerializeToString(),
            subject=case_id, occurred_at=EVENING, recorded_at=EVENING, classification="restricted", id=uuid7(),
        )  # fmt: skip
        log.append(said, 1, 1)
    return [*log.records]


async def begun(world: World) -> Applier[MatchingWork]:
    await world.database.pool.execute(
        "INSERT INTO consumer_position (consumer, topic, partition, next_offset) VALUES ('matching', $1, 0, 0)",
        TOPIC.name,
    )
    return Applier(world.app.works, "matching", world.app.handlers, world.metrics)


async def test_who_lost_a_race_takes_the_lock_and_loses_no_other(world: World, rival: Rival) -> None:
    applier, [case_id] = await begun(world), cases(1)
    moved = await applier.batch(TOPIC, Position(TOPIC.name, 0, 0, 0), told([case_id]))
    assert (moved, rival.races) == (Position(TOPIC.name, 0, 1, 1), 1)
    assert await world.told(case_id) == ["ReferralProposed"]
    assert await world.database.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_batch_is_applied_as_a_batch_nevertheless(world: World, rival: Rival) -> None:
    applier, heard = await begun(world), [*cases(6)]
    moved = await applier.batch(TOPIC, Position(TOPIC.name, 0, 0, 0), told(heard))
    # One transaction, and so one move of the position.
    assert (moved, rival.races) == (Position(TOPIC.name, 0, 6, 1), 1)
    assert [await world.told(case_id) for case_id in heard] == [["ReferralProposed"]] * 6
    assert await world.database.pool.fetchval("SELECT count(*) FROM parked") == 0
