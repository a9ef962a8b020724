"""A watcher that is killed at any moment and resumes by its token has seen every event once and in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aid.logistics.v1 import logistics_pb2 as pb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.call import Principal
from services.chassis.ids import random_id, uuid7
from services.chassis.metrics import Metrics
from services.logistics.application.ports import Work
from services.logistics.domain.events import (
    ShipmentClosed,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentExpected,
)
from services.logistics.domain.ids import ShipmentId, WarehouseId
from services.logistics.domain.refusal import Refusal
from services.logistics.entrypoints.rpc import LogisticsRpc
from tests.support.logistics import OPERATOR, World, assembled, call, logistics
from tests.support.stack import RunningStack


class AbandonedError(Exception):
    """A writer's transaction that does not commit."""


@dataclass
class Story:
    """One warehouse, what was committed for it, and what its watcher has seen."""

    world: World
    doors: list[LogisticsRpc]
    warehouse_id: WarehouseId
    crew: Principal
    committed: list[bytes] = field(default_factory=list)
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    token: str = ""
    lives: int = 0

    async def write(self, chance: random.Random, shipments: int) -> None:
        """The events of some shipments, several per transaction; some transactions come to nothing."""
        for _ in range(shipments):
            shipment_id = ShipmentId(uuid7())
            steps: list[list[ShipmentEvent]] = [
                [ShipmentExpected(shipment_id, self.warehouse_id)],
                [ShipmentDispatched(shipment_id), ShipmentClosed(shipment_id)],
            ]
            for step in steps:
                while not await self._commit(step, abandon=chance.random() < 0.25):
                    pass
                self.committed.append(str(shipment_id).encode())

    async def _commit(self, events: list[ShipmentEvent], abandon: bool) -> bool:
        async def act(work: Work) -> None:
            await work.tell_warehouse(self.warehouse_id, events)
            if abandon:
                raise AbandonedError

        try:
            await self.world.app.works.run(act)
        except AbandonedError:
            return False
        return True

    async def watch(self, most: int) -> None:
        """One life of the watcher: it keeps the token of each event together with the event."""
        self.lives += 1
        rpc = self.doors[self.lives % len(self.doors)]
        request = pb.WatchShipmentsRequest(warehouse_id=str(self.warehouse_id), resume_token=self.token)
        async with aclosing(rpc.WatchShipments(request, call("WatchShipments", self.crew))) as stream:
            async for event in stream:
                self.token = event.resume_token
                self.seen.append((event.type, event.payload))
                most -= 1
                if most == 0:
                    return

    async def killed(self, most: int, patience: int) -> None:
        """A life that ends after so many events, or is killed after so many turns of the loop."""
        life = asyncio.create_task(self.watch(most))
        for _ in range(patience):
            await asyncio.sleep(0)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)

    async def journal(self) -> list[tuple[str, bytes]]:
        rows = await self.world.database.pool.fetch(
            "SELECT type, payload FROM journal WHERE warehouse_id = $1 ORDER BY position", self.warehouse_id
        )
        return [(row["type"], row["payload"]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with logistics(stack) as world:
        yield world


async def story_in(world: World) -> Story:
    """A warehouse of its own, watched through two processes of the service, one of which writes nothing."""
    crew = Principal("crew", str(random_id()), frozenset({"warehouse"}))
    warehouse_id = WarehouseId(random_id())
    await world.ask(
        "PutWarehouse",
        pb.PutWarehouseRequest(
            warehouse_id=str(warehouse_id), name="Depot", area="", address="Road 1", agency_id=crew.agency
        ),
        OPERATOR,
    )
    other = assembled(world.database, world.clock, world.points, Metrics())
    assert isinstance(other.service.implementation, LogisticsRpc)
    return Story(world, [world.rpc, other.service.implementation], warehouse_id, crew)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)  # fmt: skip
@given(
    seed=st.integers(0, 2**32),
    writers=st.integers(1, 4),
    shipments=st.integers(1, 6),
    lives=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 400)), max_size=8),
)
async def test_every_event_is_seen_once_and_in_order(
    world: World, seed: int, writers: int, shipments: int, lives: list[tuple[int, int]]
) -> None:
    story = await story_in(world)
    writing = [
        asyncio.create_task(story.write(random.Random(seed + number), shipments)) for number in range(writers)
    ]
    for most, patience in lives:
        await story.killed(most, patience)
    await asyncio.gather(*writing)
    journal = await story.journal()
    assert len(journal) == 3 * writers * shipments == 3 * len(story.committed) // 2
    if remaining := len(journal) - len(story.seen):
        async with asyncio.timeout(20):
            await story.watch(remaining)
    assert story.seen == journal
    last = await world.database.pool.fetchrow(
        "SELECT journal_last, (SELECT max(position) FROM journal AS j WHERE j.warehouse_id = w.warehouse_id) AS max"
        " FROM warehouse AS w WHERE warehouse_id = $1",
        story.warehouse_id,
    )
    assert last is not None
    assert last["journal_last"] == last["max"] == len(journal)
    await _in_order_of_each_stream(story)


async def _in_order_of_each_stream(story: Story) -> None:
    """The journal tells each shipment in the order in which Kafka will."""
    rows = await story.world.database.pool.fetch(
        "SELECT key, headers->>'ce_type' AS type, sequence FROM outbox"
        " WHERE topic = 'aid.logistics.shipments.v1' ORDER BY key, sequence"
    )
    by_stream: dict[str, list[str]] = {}
    for row in rows:
        by_stream.setdefault(row["key"], []).append(row["type"])
    by_journal: dict[str, list[str]] = {}
    for type_name, payload in story.seen:
        by_journal.setdefault(payload[2:38].decode(), []).append(type_name)
    assert by_journal == {key: by_stream[key] for key in by_journal}


async def test_a_quiet_watcher_sees_what_another_process_writes(world: World) -> None:
    """No bell rings here; the journal is looked at anyway."""
    story = await story_in(world)
    story.doors.reverse()
    waiting = asyncio.create_task(story.watch(3))
    await story.write(random.Random(0), 1)
    async with asyncio.timeout(10):
        await waiting
    assert story.seen == await story.journal()


async def test_a_foreign_watcher_and_a_foreign_token_are_refused(world: World) -> None:
    story = await story_in(world)
    await story.write(random.Random(1), 1)
    await story.watch(2)
    stranger = Principal("rival", "another-agency", frozenset({"warehouse"}))
    other = await story_in(world)
    for who, warehouse_id, token, reason in (
        (stranger, story.warehouse_id, "", "not-found"),
        (story.crew, WarehouseId(random_id()), "", "not-found"),
        (other.crew, other.warehouse_id, story.token, "resume-token-malformed"),
        (story.crew, story.warehouse_id, "nonsense", "resume-token-malformed"),
    ):
        request = pb.WatchShipmentsRequest(warehouse_id=str(warehouse_id), resume_token=token)
        with pytest.raises(Refusal, match=reason):
            await anext(world.rpc.WatchShipments(request, call("WatchShipments", who)))
