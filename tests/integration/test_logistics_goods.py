"""Boxes become screened stock, stock becomes bags, bags meet households; the database has the last word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import asyncpg
import pytest
import pytest_asyncio
from aid.logistics.v1 import events_pb2 as said
from aid.logistics.v1 import logistics_pb2 as pb
from aid.matching.v1 import events_pb2 as matching

from services.chassis.errors import AidError
from services.chassis.ids import random_id
from services.logistics.domain.ids import AllocationId
from services.logistics.domain.refusal import Refusal
from services.logistics.settings import HandoverSettings
from tests.support.logistics import CARRIER, CREW, ITEM, OPERATOR, OTHER_CREW, PACK, World, logistics
from tests.support.stack import RunningStack

ALLOCATIONS = "aid.logistics.allocations.v1"
STOCK = "aid.logistics.stock.v1"


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with logistics(stack) as world:
        yield world


async def bags(world: World, state: str = "") -> list[pb.BagView]:
    request = pb.ListBagsRequest(warehouse_id=world.warehouse, state=state)
    return list((await world.ask("ListBags", request, CREW)).bags)


async def last_stock(world: World) -> said.StockChanged:
    payload = await world.database.pool.fetchval(
        "SELECT payload FROM outbox WHERE topic = $1 ORDER BY id DESC LIMIT 1", STOCK
    )
    return said.StockChanged.FromString(payload)


async def test_the_database_itself_refuses_to_allocate_what_was_not_screened(world: World) -> None:
    """Whoever writes the SQL: this is what keeps an unopened parcel from reaching a household."""
    line_id = await world.published(10)
    _, label = await world.sent(line_id, 2)
    assert await world.receive(label, 0, screening=pb.SCREENING_PENDING) == "waiting for screening"
    assert await world.stock() == (2 * PACK, 0, 0)
    where = "WHERE warehouse_id = $1::uuid AND item_id = $2"
    for change in (
        "allocated = 1",
        "allocated = unscreened",
        "allocated = allocated + 1, unscreened = unscreened - 1",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="stock_allocated_is_screened"):
            await world.database.pool.execute(f"UPDATE stock SET {change} {where}", world.warehouse, ITEM)
    with pytest.raises(asyncpg.CheckViolationError):
        await world.database.pool.execute(
            "INSERT INTO stock (warehouse_id, item_id, unscreened, allocated) VALUES ($1::uuid, $2, 40, 1)",
            world.warehouse, ITEM,
        )  # fmt: skip
    await world.propose(1)
    assert (await world.told(ALLOCATIONS))[-1] == "AllocationRefused"
    assert await world.receive(label, 2 * PACK) == "accepted"
    await world.propose(1)
    assert (await world.told(ALLOCATIONS))[-1] == "AllocationReserved"
    assert await world.stock() == (0, 2 * PACK, 1)
    with pytest.raises(asyncpg.CheckViolationError, match="stock_allocated_is_screened"):
        await world.database.pool.execute(f"UPDATE stock SET screened = 0 {where}", world.warehouse, ITEM)


async def test_the_crew_reads_on_the_bag_which_size_to_pack(world: World) -> None:
    await world.put_on_shelf(2 * PACK)
    await world.propose(2, size="68")
    await world.propose(1)
    assert sorted((bag.quantity, bag.size) for bag in await bags(world)) == [(1, ""), (2, "68")]
    with pytest.raises(Refusal, match="short word"):
        await world.propose(1, size="Mara Quill")


async def test_a_suspicious_box_never_becomes_stock(world: World) -> None:
    line_id = await world.published(10)
    secret, label = await world.sent(line_id, 2)
    await world.receive(label, 0, screening=pb.SCREENING_PENDING)
    outcome = await world.receive(label, 2 * PACK, screening=pb.SCREENING_SUSPICIOUS)
    assert outcome == "set apart"
    assert await world.stock() == (0, 0, 0)
    shown = await world.ask("GetPledge", pb.GetPledgeRequest(secret=secret))
    assert shown.state == "received"
    assert (await world.pledge(line_id, 20)).packs == 10
    with pytest.raises(Refusal, match="box-already-received"):
        await world.receive(label, 2 * PACK)


async def test_a_box_is_counted_once_also_by_two_crews_at_once(world: World) -> None:
    line_id = await world.published(10)
    _, label = await world.sent(line_id, 2)
    answers = await asyncio.gather(*(world.receive(label, 80) for _ in range(8)), return_exceptions=True)
    assert answers.count("accepted") == 1
    assert await world.stock() == (0, 80, 0)
    assert await world.told("aid.logistics.shipments.v1") == [
        "ShipmentExpected", "BoxAdded", "ShipmentDispatched", "ShipmentReceived", "ShipmentClosed",
    ]  # fmt: skip


async def test_boxes_of_a_day_travel_together_and_the_shipment_waits_for_all(world: World) -> None:
    line_id = await world.published(10)
    first, second = await world.pledge(line_id, 1), await world.pledge(line_id, 1)
    labels = [await world.packed(first.secret, PACK), await world.packed(second.secret, PACK)]
    assert await world.told("aid.logistics.shipments.v1") == ["ShipmentExpected", "BoxAdded", "BoxAdded"]
    await world.ask("SendBox", pb.SendBoxRequest(secret=first.secret))
    assert "ShipmentDispatched" not in await world.told("aid.logistics.shipments.v1")
    await world.ask("SendBox", pb.SendBoxRequest(secret=second.secret))
    assert (await world.told("aid.logistics.shipments.v1"))[-1] == "ShipmentDispatched"
    await world.receive(labels[0], PACK)
    assert "ShipmentReceived" not in await world.told("aid.logistics.shipments.v1")
    await world.receive(labels[1], PACK - 1)
    assert (await world.told("aid.logistics.shipments.v1"))[-3:] == [
        "DiscrepancyFound", "ShipmentReceived", "ShipmentClosed",
    ]  # fmt: skip


async def test_only_the_crew_of_the_warehouse_sees_and_touches_it(world: World) -> None:
    """Foreign is as if absent: the same refusal, whether the thing is there or not."""
    line_id = await world.published(10)
    _, label = await world.sent(line_id, 2)
    await world.put_on_shelf(10)
    await world.propose(1)
    bag = (await bags(world))[0].bag_code
    foreign = [
        ("ReceiveBox", pb.ReceiveBoxRequest(label=label, counted=1, screening=pb.SCREENING_CLEAN)),
        ("ListStock", pb.ListStockRequest(warehouse_id=world.warehouse)),
        ("CountStock", pb.CountStockRequest(warehouse_id=world.warehouse, item_id=ITEM, screened=1)),
        ("ListBags", pb.ListBagsRequest(warehouse_id=world.warehouse)),
        ("DispatchBag", pb.DispatchBagRequest(bag_code=bag, carrier="carrier")),
    ]
    for method, request in foreign:
        with pytest.raises(Refusal, match="not-found"):
            await world.ask(method, request, OTHER_CREW)
        with pytest.raises(AidError, match="role-not-allowed"):
            await world.ask(method, request)
    with pytest.raises(Refusal, match="not-found"):
        await world.receive("NOSUCHBX", 1)


async def test_a_count_never_falls_below_what_is_set_aside(world: World) -> None:
    await world.put_on_shelf(10)
    await world.propose(6)
    with pytest.raises(Refusal, match="stock-allocated"):
        await world.put_on_shelf(5)
    await world.put_on_shelf(6)
    assert (await last_stock(world)).free == 0
    with pytest.raises(Refusal, match="not-found"):
        await world.put_on_shelf(5, item="elephants")
    with pytest.raises(Refusal, match="count-invalid"):
        await world.put_on_shelf(-1)


async def test_matching_learns_every_pack_size_from_empty_shelves(world: World) -> None:
    items = await world.ask("ListItems", pb.ListItemsRequest())
    rows = await world.database.pool.fetch("SELECT payload FROM outbox WHERE topic = $1", STOCK)
    told = [said.StockChanged.FromString(row["payload"]) for row in rows]
    assert {each.item_id: each.pack_size for each in told} == {
        each.item_id: each.pack_size for each in items.items
    }
    assert {each.free for each in told} == {0}


async def test_many_proposals_at_once_never_set_aside_more_than_there_is(world: World) -> None:
    await world.put_on_shelf(25)
    await asyncio.gather(*(world.propose(2) for _ in range(30)))
    told = await world.told(ALLOCATIONS)
    assert (told.count("AllocationReserved"), told.count("AllocationRefused")) == (12, 18)
    assert await world.stock() == (0, 25, 24)


async def test_a_refusal_says_what_could_be_had(world: World) -> None:
    await world.put_on_shelf(5)
    await world.propose(6)
    payload = await world.database.pool.fetchval("SELECT payload FROM outbox WHERE topic = $1", ALLOCATIONS)
    assert said.AllocationRefused.FromString(payload).available == 5
    await world.propose(6, item="elephants")
    assert (await world.told(ALLOCATIONS))[-1] == "AllocationRefused"


async def test_goods_come_from_the_area_and_else_from_elsewhere(world: World) -> None:
    far = pb.PutWarehouseRequest(
        warehouse_id=str(random_id()), name="West depot", area="hillside", address="Hill 1",
        agency_id=CREW.agency,
    )  # fmt: skip
    await world.ask("PutWarehouse", far, OPERATOR)
    count = pb.CountStockRequest(warehouse_id=far.warehouse_id, item_id=ITEM, screened=10)
    await world.ask("CountStock", count, CREW)
    await world.put_on_shelf(20)
    await world.propose(4)
    await world.propose(4, area="hillside")
    await world.propose(6, area="hillside")
    await world.propose(6, area="hillside")
    rows = await world.database.pool.fetch("SELECT warehouse_id::text AS at, quantity, area FROM allocation")
    taken = {(row["at"] == world.warehouse, row["quantity"], row["area"]) for row in rows}
    assert taken == {
        (True, 4, "riverside"),
        (False, 4, "hillside"),
        (False, 6, "hillside"),
        (True, 6, "hillside"),
    }


async def test_a_proposal_is_answered_once(world: World) -> None:
    await world.put_on_shelf(10)
    allocation_id = await world.propose(3)
    again = matching.AllocationProposed(
        allocation_id=str(allocation_id), item_id=ITEM, quantity=3, area="riverside", week="2026-W10"
    )
    await world.hear("aid.matching.v1.AllocationProposed", again)
    snapshot = matching.AllocationSnapshot(proposal=again)
    await world.hear("aid.matching.v1.AllocationSnapshot", snapshot)
    assert await world.told(ALLOCATIONS) == ["AllocationReserved"]
    assert await world.stock() == (0, 10, 3)


async def test_a_withdrawal_frees_the_goods_once_and_wins_over_a_late_proposal(world: World) -> None:
    await world.put_on_shelf(10)
    allocation_id = await world.propose(3)
    await world.withdraw(allocation_id)
    await world.withdraw(allocation_id)
    assert await world.stock() == (0, 10, 0)
    assert (await last_stock(world)).free == 10
    overtaken = AllocationId(random_id())
    await world.withdraw(overtaken)
    late = matching.AllocationProposed(
        allocation_id=str(overtaken), item_id=ITEM, quantity=3, area="riverside", week="2026-W10"
    )
    await world.hear("aid.matching.v1.AllocationProposed", late)
    assert await world.stock() == (0, 10, 0)
    assert await bags(world) == []


async def test_a_bag_reaches_its_household_through_its_carrier_alone(world: World) -> None:
    await world.put_on_shelf(10)
    allocation_id = await world.propose(3)
    world.points.known[allocation_id] = ("Riverside library", "weekdays after 15:00")
    bag = (await bags(world, "reserved"))[0]
    assert (bag.item_id, bag.quantity, bag.area, bag.week) == (ITEM, 3, "riverside", "2026-W10")
    handoff = pb.GetHandoffRequest(bag_code=bag.bag_code)
    with pytest.raises(Refusal, match="not-found"):
        await world.ask("GetHandoff", handoff, CARRIER)
    dispatch = pb.DispatchBagRequest(bag_code=bag.bag_code, carrier=CARRIER.subject)
    await world.ask("DispatchBag", dispatch, CREW)
    with pytest.raises(Refusal, match="bag-not-reserved"):
        await world.ask("DispatchBag", dispatch, CREW)
    point = await world.ask("GetHandoff", handoff, CARRIER)
    assert (point.point, point.slot) == ("Riverside library", "weekdays after 15:00")
    stranger = type(CARRIER)("stranger", CARRIER.agency, CARRIER.roles)
    for method, request in (
        ("GetHandoff", handoff),
        ("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bag.bag_code)),
    ):
        with pytest.raises(Refusal, match="not-found"):
            await world.ask(method, request, stranger)
    mine = await world.ask("ListBags", pb.ListBagsRequest(), CARRIER)
    assert [each.bag_code for each in mine.bags] == [bag.bag_code]
    assert list((await world.ask("ListBags", pb.ListBagsRequest(), stranger)).bags) == []
    await world.ask("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bag.bag_code), CARRIER)
    assert await world.stock() == (0, 7, 0)
    assert await world.told(ALLOCATIONS) == ["AllocationReserved", "HandoverConfirmed"]
    payload = await world.database.pool.fetchval(
        "SELECT payload FROM outbox WHERE topic = $1 ORDER BY id DESC LIMIT 1", ALLOCATIONS
    )
    assert said.HandoverConfirmed.FromString(payload).day == "2026-03-02"
    with pytest.raises(Refusal, match="bag-not-under-way"):
        await world.ask("GetHandoff", handoff, CARRIER)


async def test_a_bag_that_is_withdrawn_on_its_way_loses_its_point_but_may_still_have_arrived(
    world: World,
) -> None:
    await world.put_on_shelf(10)
    allocation_id = await world.propose(3)
    world.points.known[allocation_id] = ("Riverside library", "noon")
    bag = (await bags(world))[0].bag_code
    await world.ask("DispatchBag", pb.DispatchBagRequest(bag_code=bag, carrier="carrier"), CREW)
    await world.withdraw(allocation_id)
    assert await world.stock() == (0, 10, 3)
    with pytest.raises(Refusal, match="bag-withdrawn"):
        await world.ask("GetHandoff", pb.GetHandoffRequest(bag_code=bag), CARRIER)
    await world.ask("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bag), CARRIER)
    assert await world.stock() == (0, 7, 0)


async def test_handovers_of_one_household_are_told_among_others_in_no_order(stack: RunningStack) -> None:
    """Bags that a carrier gave one after the other stand anywhere among all of that hour."""
    async with logistics(stack, HandoverSettings(told_every_s=3600)) as world:
        await world.put_on_shelf(1000)
        given = [await world.propose(1) for _ in range(40)]
        code_of = {
            row["allocation_id"]: row["bag_code"]
            for row in await world.database.pool.fetch("SELECT allocation_id, bag_code FROM allocation")
        }
        for allocation in given:
            bag = code_of[allocation]
            await world.ask("DispatchBag", pb.DispatchBagRequest(bag_code=bag, carrier="carrier"), CREW)
            await world.ask("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bag), CARRIER)
        assert "HandoverConfirmed" not in await world.told(ALLOCATIONS)
        assert await world.stock() == (0, 960, 0)
        await world.advance(timedelta(hours=1))
        rows = await world.database.pool.fetch(
            "SELECT key FROM outbox WHERE headers->>'ce_type' LIKE '%.HandoverConfirmed' ORDER BY id"
        )
        told = [row["key"] for row in rows]
        assert sorted(told) == sorted(map(str, given))
        neighbours = sum(
            abs(told.index(str(first)) - told.index(str(second))) == 1 for first, second in pairwise(given)
        )
        assert neighbours < 12, "39 if they were told in their order, about 2 by chance"
        await world.advance(timedelta(hours=5))
        assert (await world.told(ALLOCATIONS)).count("HandoverConfirmed") == 40


async def test_the_same_command_gets_the_same_answer_and_another_under_its_key_a_conflict(
    world: World,
) -> None:
    line_id = await world.published(10)
    pledge = await world.pledge(line_id, 1)
    pack = pb.PackBoxRequest(secret=pledge.secret, quantity=PACK)
    first, second = [await world.ask("PackBox", pack, key="one-key") for _ in range(2)]
    assert first == second
    assert first.address == "Depot road 1"
    other = pb.PackBoxRequest(secret=pledge.secret, quantity=1)
    with pytest.raises(AidError, match="idempotency-key-reused"):
        await world.ask("PackBox", other, key="one-key")
    with pytest.raises(Refusal, match="already-packed"):
        await world.ask("PackBox", pack, key="another-key")
    with pytest.raises(AidError, match="idempotency-key-missing"):
        await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret), key="")
    assert (await world.told("aid.logistics.shipments.v1")).count("BoxAdded") == 1


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GetPledge", pb.GetPledgeRequest(secret="x"), "secret-malformed"),
        ("GetPledge", pb.GetPledgeRequest(secret="x" * 32), "not-found"),
        ("PackBox", pb.PackBoxRequest(secret="x" * 32, quantity=1), "not-found"),
        ("SendBox", pb.SendBoxRequest(secret="x" * 32), "not-found"),
    ],
)
async def test_a_wrong_secret_opens_nothing(
    world: World, method: str, request_: pb.GetPledgeRequest, reason: str
) -> None:
    with pytest.raises(Refusal, match=reason):
        await world.ask(method, request_)


async def test_a_parcel_is_packed_and_sent_in_order_with_what_fits(world: World) -> None:
    line_id = await world.published(10)
    pledge = await world.pledge(line_id, 1)
    with pytest.raises(Refusal, match="not-packed"):
        await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))
    for quantity in (0, -1, 2 * PACK + 1):
        with pytest.raises(Refusal, match="quantity-invalid"):
            await world.packed(pledge.secret, quantity)
    await world.packed(pledge.secret, PACK)
    await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))
    with pytest.raises(Refusal, match="already-sent"):
        await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))


async def test_screening_that_is_not_said_is_never_taken_for_clean(world: World) -> None:
    line_id = await world.published(10)
    _, label = await world.sent(line_id, 1)
    with pytest.raises(Refusal, match="screening-missing"):
        await world.receive(label, PACK, screening=pb.SCREENING_UNSPECIFIED)
    assert await world.stock() == (0, 0, 0)


async def test_every_event_tells_no_finer_time_than_the_hour(world: World) -> None:
    line_id = await world.published(10)
    await world.advance(timedelta(minutes=17))
    await world.sent(line_id, 2)
    rows = await world.database.pool.fetch("SELECT headers FROM outbox")
    for row in rows:
        headers = json.loads(row["headers"])
        assert headers["ce_time"][14:19] == headers["ce_recordedtime"][14:19] == "00:00"
        assert not {"ce_correlationid", "ce_causationid", "traceparent"} & headers.keys()
