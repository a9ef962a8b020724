"""The donor's chain ends at the receipt: nothing that is written afterwards carries anything of the pledge."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import pytest_asyncio
from aid.logistics.v1 import logistics_pb2 as pb

from services.chassis.snapshots import reseed_all
from services.logistics.domain.pledges import hashed
from tests.support.logistics import CARRIER, CREW, HOUR, PACK, World, logistics
from tests.support.stack import RunningStack

KEY = "the-key-of-the-donor-who-is-looked-for"


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with logistics(stack) as world:
        yield world


async def test_no_row_and_no_event_after_the_receipt_carries_the_pledge(world: World) -> None:
    line_id = await world.published(20)
    pledge = await world.pledge(line_id, 2, KEY)
    label = await world.packed(pledge.secret, 2 * PACK)
    beside, its_label = await world.sent(line_id, 3)  # travels in the same shipment and arrives later
    await world.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))
    await world.advance(HOUR)
    assert await world.receive(label, 2 * PACK - 3, damaged=3) == "damaged"

    received = await world.database.pool.fetchval(
        "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    )
    markers = list(forms(pledge.pledge_id, pledge.secret, label))
    assert any(marker in row for _, row in await rows(world, since=0) for marker in markers), (
        "the search works"
    )

    await life_goes_on(world, line_id, its_label)
    later = await rows(world, since=received)
    touched = {table for table, _ in later}
    assert touched >= {
        "allocation", "box", "journal", "line", "outbox", "pledge", "shipment", "shortfall", "stock", "stream",
        "timer", "idempotency", "appeal",
    }  # fmt: skip
    for table, row in later:
        for marker in markers:
            assert marker not in row, f"{table}: {row}"
    shown = await world.ask("GetPledge", pb.GetPledgeRequest(secret=beside))
    assert shown.state == "received"


async def life_goes_on(world: World, line_id: str, its_label: str) -> None:
    """Everything that can happen to goods, the list and the messages after the box was received."""
    await world.receive(its_label, 3 * PACK)
    _, late = await world.sent(line_id, 1)
    await world.receive(late, 0, screening=pb.SCREENING_PENDING)
    await world.receive(late, PACK)
    allocations = [await world.propose(5) for _ in range(4)]
    world.points.known = dict.fromkeys(allocations, ("Riverside library", "noon"))
    await world.withdraw(allocations[0])
    listed = await world.ask("ListBags", pb.ListBagsRequest(warehouse_id=world.warehouse), CREW)
    for bag in listed.bags:
        dispatch = pb.DispatchBagRequest(bag_code=bag.bag_code, carrier=CARRIER.subject)
        await world.ask("DispatchBag", dispatch, CREW)
        await world.ask("GetHandoff", pb.GetHandoffRequest(bag_code=bag.bag_code), CARRIER)
        await world.ask("ConfirmHandover", pb.ConfirmHandoverRequest(bag_code=bag.bag_code), CARRIER)
    await world.put_on_shelf(500)
    await world.shortfall(4)
    await world.advance(HOUR)
    await world.shortfall(0)
    for _ in range(60):
        await world.advance(timedelta(days=1))
    for topic, snapshots in world.app.snapshots.items():
        assert await reseed_all(world.app.works, topic, snapshots) > 0


async def rows(world: World, since: int) -> list[tuple[str, str]]:
    """Every row of every table that a transaction from `since` on has written, as text."""
    tables = await world.database.pool.fetch(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    found = []
    for table in tables:
        written = await world.database.pool.fetch(
            f"SELECT t::text AS text FROM {table['name']} AS t WHERE t.xmin::text::bigint >= $1", since
        )
        found += [(table["name"], row["text"]) for row in written]
    return found


def forms(pledge_id: str, secret: str, label: str) -> Iterator[str]:
    """All that could name the pledge, as text, as the hex of bytes, and as what a token might pack it into."""
    texts = (pledge_id, secret, label, KEY)
    yield from texts
    for raw in (*(text.encode() for text in texts), UUID(pledge_id).bytes, hashed(secret)):
        yield raw.hex()
        yield base64.b64encode(raw).decode().rstrip("=")[:-1]


async def test_the_search_would_find_a_row_that_keeps_the_label(world: World) -> None:
    """The test above fails when it must: a stock movement that remembers its box is found."""
    line_id = await world.published(20)
    secret, label = await world.sent(line_id, 2)
    since = await world.database.pool.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    await world.database.pool.execute(
        "INSERT INTO journal SELECT warehouse_id, 999, 'x', convert_to($1, 'UTF8'), now() FROM warehouse",
        label,
    )
    markers = list(forms(str(UUID(int=7)), secret, label))
    assert any(marker in row for _, row in await rows(world, since) for marker in markers)
