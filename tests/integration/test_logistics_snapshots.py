"""Who missed something is told the full state of each key, and nothing that the events would not have told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from aid.logistics.v1 import events_pb2 as said
from aid.logistics.v1 import logistics_pb2 as pb
from google.protobuf.message import Message

from services.chassis.snapshots import reseed_all
from tests.support.logistics import AREA, CARRIER, CREW, HOUR, ITEM, PACK, World, logistics
from tests.support.stack import RunningStack


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with logistics(stack) as world:
        yield world


async def reseeded(world: World, topic: str) -> dict[str, Message]:
    """The snapshot of every key of the topic, each the last event of its stream."""
    await reseed_all(world.app.works, topic, world.app.snapshots[topic])
    rows = await world.database.pool.fetch(
        """
        SELECT DISTINCT ON (key) key, headers->>'ce_type' AS type, headers->>'ce_snapshot' AS snapshot, payload,
            sequence = last AS is_last
        FROM outbox JOIN stream USING (topic, key) WHERE topic = $1 ORDER BY key, sequence DESC
        """,
        topic,
    )
    assert all(row["snapshot"] == "true" and row["is_last"] for row in rows)
    return {
        row["key"]: getattr(said, row["type"].rsplit(".", 1)[1]).FromString(row["payload"]) for row in rows
    }


async def test_allocations_tell_what_became_of_them(world: World) -> None:
    await world.put_on_shelf(10)
    reserved, withdrawn, given, out = [await world.propose(2) for _ in range(4)]
    refused, unseen = await world.propose(50), await world.propose(1, item="elephants")
    await world.withdraw(withdrawn)
    bags = {
        str(row["allocation_id"]): row["bag_code"]
        for row in await world.database.pool.fetch("SELECT allocation_id, bag_code FROM allocation")
    }
    for allocation in (given, out):
        dispatch = pb.DispatchBagRequest(bag_code=bags[str(allocation)], carrier=CARRIER.subject)
        await world.ask("DispatchBag", dispatch, CREW)
    await world.ask("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bags[str(given)]), CARRIER)
    told = await reseeded(world, "aid.logistics.allocations.v1")
    expected = {
        reserved: {"state": "reserved", "bag_code": bags[str(reserved)]},
        out: {"state": "reserved", "bag_code": bags[str(out)]},
        withdrawn: {"state": "withdrawn"},
        given: {"state": "handed over", "bag_code": bags[str(given)], "day": "2026-03-02"},
        refused: {"state": "refused", "available": 2},
        unseen: {"state": "refused"},
    }
    assert told == {
        str(key): said.AllocationState(allocation_id=str(key), **fields) for key, fields in expected.items()
    }


async def test_stock_tells_every_shelf(world: World) -> None:
    await world.put_on_shelf(10)
    await world.propose(3)
    told = await reseeded(world, "aid.logistics.stock.v1")
    key = f"{world.warehouse}:{ITEM}"
    assert told[key] == said.StockChanged(
        warehouse_id=world.warehouse, item_id=ITEM, area=AREA, free=7, pack_size=PACK
    )
    items = await world.ask("ListItems", pb.ListItemsRequest())
    assert len(told) == len(items.items)


async def test_shipments_tell_only_boxes_that_were_not_opened(world: World) -> None:
    line_id = await world.published(10)
    pledges = [await world.pledge(line_id, 1) for _ in range(3)]
    labels = [await world.packed(pledge.secret, PACK) for pledge in pledges]
    for pledge in pledges:
        await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))
    await world.receive(labels[0], PACK)
    await world.receive(labels[1], 0, screening=pb.SCREENING_PENDING)
    (snapshot,) = (await reseeded(world, "aid.logistics.shipments.v1")).values()
    assert isinstance(snapshot, said.ShipmentSnapshot)
    assert (snapshot.warehouse_id, snapshot.state) == (world.warehouse, "dispatched")
    assert {box.label for box in snapshot.boxes} == {labels[1], labels[2]}


async def test_lines_tell_what_the_last_tick_showed(world: World) -> None:
    line_id = await world.published(10)
    await world.pledge(line_id, 4)
    expected = said.LineSnapshot(line_id=line_id, area=AREA, item_id=ITEM, packs=10, state="published")
    assert await reseeded(world, "aid.logistics.appeal.v1") == {line_id: expected}
    await world.advance(HOUR)
    expected.packs_pledged = 4
    assert await reseeded(world, "aid.logistics.appeal.v1") == {line_id: expected}
