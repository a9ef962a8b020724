"""What was not screened goes to nobody, and the donor's chain ends at the receipt.

Shown on the running network after its story: the database itself refuses to allocate unopened goods, and of
what is written after a box was received nothing carries the pledge, its secret or its label.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.logistics.v1 import logistics_pb2 as logistics

from deploy.local import clock, control
from deploy.local.story.boxes import receive
from deploy.local.story.scenery import WAREHOUSE
from deploy.local.story.stage import Stage, until
from services.logistics.domain.pledges import hashed
from tests.support.stores import Kept, Needles, everything, records, tables
from tests.support.story import Played

pytestmark = pytest.mark.timeout(400)

AREA, ITEM, SEATS = "harborside", "car-seat-infant", 6
SERVICES = ("intake", "matching", "logistics")
TICK, ROUND = timedelta(hours=1), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Gift:
    """A pledge, as only its donor and the crew know it."""

    pledge_id: str
    secret: str
    label: str
    key: str

    def words(self, name: str) -> dict[str, str | bytes]:
        """All that could name it, by what it is."""
        return {
            f"id of {name}": self.pledge_id,
            f"id of {name} in bytes": uuid.UUID(self.pledge_id).bytes,
            f"secret of {name}": self.secret,
            f"hash of {name}": hashed(self.secret),
            f"label of {name}": self.label,
            f"key of {name}": self.key,
        }


@dataclass(frozen=True, slots=True)
class Received:
    """The moment after the boxes of both gifts were received: what is written later is behind these marks."""

    gifts: tuple[Gift, Gift]
    transactions: Mapping[str, int]
    offsets: Mapping[tuple[str, int], int]

    def needles(self) -> Needles:
        first, second = self.gifts
        return Needles({**first.words("the first gift"), **second.words("the second gift")})


@pytest.fixture(scope="module")
async def line(played: Played) -> str:
    """A line of the public list that three households are behind."""
    stage = played.stage
    item = logistics.PutItemRequest(item=logistics.Item(item_id=ITEM, name="Infant car seat", pack_size=1))
    await stage.doors.rpc("operator", "logistics", "PutItem", item, logistics.PutItemResponse)
    for _ in range(3):
        wanted = intake.NeedInput(kind=common.NEED_KIND_GOODS, item_id=ITEM, quantity=SEATS // 3)
        household = intake.Household(persons=[intake.Person(age_band=intake.AGE_BAND_ADULT)], area=AREA)
        request = intake.OpenCaseRequest(household=household, needs=[wanted])
        await stage.doors.rpc("case_manager", "intake", "OpenCase", request, intake.OpenCaseResponse)
    await clock.drained(played.stack.state, played.stack.record)
    await stage.advance(ROUND)
    await stage.advance(TICK)
    public = await stage.doors.http(None, "logistics", "GET", f"/v1/appeal?area={AREA}")
    [found] = public["lines"]
    assert found["packsWanted"] == SEATS
    return str(found["lineId"])


async def give(stage: Stage, line: str, packs: int) -> Gift:
    """From promise to parcel, as a donor without an account."""
    key, path = f"{uuid.uuid4()}", f"/v1/appeal/{line}/pledges"
    pledge = await stage.doors.http(None, "logistics", "POST", path, {"packs": packs}, key)
    assert pledge["packs"] == packs
    secret = pledge["secret"]
    packed = await stage.doors.http(
        None, "logistics", "POST", "/v1/pledges:pack", {"secret": secret, "quantity": packs}
    )
    await stage.doors.http(None, "logistics", "POST", "/v1/pledges:send", {"secret": secret})
    return Gift(pledge["pledgeId"], secret, packed["label"], key)


@pytest.fixture(scope="module")
async def received(played: Played, line: str) -> AsyncIterator[Received]:
    """Two boxes; the first waits unopened for a while. Meanwhile nobody can have what is in it."""
    stage = played.stage
    gifts = (await give(stage, line, 3), await give(stage, line, 3))
    first, second = gifts
    assert await receive(stage, first.label, 0, screening="SCREENING_PENDING") == "waiting for screening"
    await nothing_is_allocated(played)
    assert await receive(stage, first.label, 3) == "accepted"
    assert await receive(stage, second.label, 2, damaged=1) in ("short", "damaged")
    transactions = {service: await newest(played, service) for service in SERVICES}
    await clock.drained(played.stack.state, played.stack.record)
    offsets = {
        (record.topic, record.partition): record.offset + 1
        async for record in records(played.stack.bootstrap)
    }
    mark = Received(gifts, transactions, offsets)
    assert {"label of the first gift", "id of the first gift"} <= await found_in_rows(
        played, mark, since=0
    ), "the search finds what is there before the receipt"
    await life_goes_on(played)
    yield mark
    await clock.drained(played.stack.state, played.stack.record)


async def nothing_is_allocated(played: Played) -> None:
    """Unopened goods, and households that wait for just these: no round gives them, no SQL can."""
    assert await stock(played) == (3, 0, 0)
    await played.stage.advance(ROUND)
    assert await stock(played) == (3, 0, 0)
    cluster = played.stack.record.cluster("logistics", played.stack.state)
    where = "WHERE warehouse_id::text = $1 AND item_id = $2"
    for role in (cluster.service, cluster.owner, "postgres"):
        connection = await asyncpg.connect(cluster.dsn(role, "logistics"), password=cluster.password(role))
        try:
            for change in ("allocated = 1", "allocated = unscreened", "allocated = screened + 1"):
                with pytest.raises(asyncpg.CheckViolationError, match="stock_allocated_is_screened"):
                    await connection.execute(f"UPDATE stock SET {change} {where}", WAREHOUSE, ITEM)
        finally:
            await connection.close()
    assert await stock(played) == (3, 0, 0)


async def stock(played: Played) -> tuple[int, int, int]:
    """Unscreened, screened and allocated pieces."""
    asked = logistics.ListStockRequest(warehouse_id=WAREHOUSE)
    shown = await played.stage.doors.rpc(
        "warehouse", "logistics", "ListStock", asked, logistics.ListStockResponse
    )
    [shelf] = [shelf for shelf in shown.stock if shelf.item_id == ITEM]
    return shelf.unscreened, shelf.screened, shelf.allocated


async def life_goes_on(played: Played) -> None:
    """The goods reach households, the list moves, promises end, and everything is said again in full."""
    stage, doors = played.stage, played.stage.doors
    await stage.advance(ROUND)

    async def reserved() -> list[str]:
        asked = logistics.ListBagsRequest(warehouse_id=WAREHOUSE, state="reserved")
        listed = await doors.rpc("warehouse", "logistics", "ListBags", asked, logistics.ListBagsResponse)
        return [bag.bag_code for bag in listed.bags if bag.item_id == ITEM]

    bags = await until(reserved, "bags with the gifts")
    for bag in bags[:2]:
        out = logistics.DispatchBagRequest(bag_code=bag, carrier=stage.subject_of("carrier"))
        await doors.rpc("warehouse", "logistics", "DispatchBag", out, logistics.DispatchBagResponse)
        given = logistics.ConfirmHandoverRequest(bag_code=bag)
        await doors.rpc("carrier", "logistics", "ConfirmHandover", given, logistics.ConfirmHandoverResponse)
    await stage.advance(timedelta(hours=3))
    await stage.advance(timedelta(days=8))
    reseeded = await asyncio.to_thread(
        control.run, played.stack.state, played.stack.record, "logistics", ["reseed"]
    )
    assert reseeded == 0
    await clock.drained(played.stack.state, played.stack.record)


async def newest(played: Played, service: str) -> int:
    """Whatever is written from now on is written by this transaction or a later one."""
    [(found,)] = await rows(played, service, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return int(found)


async def rows(played: Played, service: str, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    connection = await played.stack.record.cluster(service, played.stack.state).superuser(service)
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


async def written(played: Played, since: int) -> dict[str, list[str]]:
    """Every row of logistics that this or a later transaction has written, by table."""
    names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    found: dict[str, list[str]] = {}
    for (table,) in await rows(played, "logistics", names):
        later = f"SELECT t::text FROM {table} AS t WHERE t.xmin::text::bigint >= $1"
        if texts := [text for (text,) in await rows(played, "logistics", later, since)]:
            found[table] = texts
    return found


async def found_in_rows(played: Played, received: Received, since: int) -> set[str]:
    needles = received.needles()
    return {
        name
        for table, texts in (await written(played, since)).items()
        for text in texts
        for name in needles.found(Kept("table", table, text.encode()))
    }


async def test_no_row_after_the_receipt_carries_the_gift(played: Played, received: Received) -> None:
    since = received.transactions["logistics"]
    touched = set(await written(played, since))
    assert touched >= {"allocation", "stock", "line", "stream", "timer", "consumer_position", "inbox"}
    assert await found_in_rows(played, received, since) == set()


async def test_no_record_after_the_receipt_carries_the_gift(played: Played, received: Received) -> None:
    """On no topic: not in what became of the goods, nor when all state is said again."""
    needles, later, told = received.needles(), dict[str, int](), dict[str, list[str]]()
    async for record in records(played.stack.bootstrap):
        before = record.offset < received.offsets.get((record.topic, record.partition), 0)
        headers = [part for name, value in record.headers for part in (name.encode(), value)]
        content = b"\0".join([record.key or b"", *headers, record.value or b""])
        if names := needles.found(Kept("topic", record.topic, content)):
            told.setdefault("before" if before else "after", []).extend(names)
        if not before:
            later[record.topic] = later.get(record.topic, 0) + 1
    assert later.keys() >= {
        "aid.logistics.allocations.v1", "aid.logistics.stock.v1", "aid.logistics.shipments.v1",
        "aid.logistics.appeal.v1", "aid.matching.allocations.v1",
    }  # fmt: skip
    assert set(told["before"]) == {"label of the first gift", "label of the second gift"}
    assert told.get("after", []) == []


async def test_the_neighbours_never_heard_of_any_gift(played: Played, received: Received) -> None:
    """Nor of those of the story: no secret, no pledge, no label is in any row of matching or intake."""
    pledges = await rows(played, "logistics", "SELECT pledge_id FROM pledge")
    boxes = await rows(played, "logistics", "SELECT label FROM box")
    assert len(pledges) > 10
    words: dict[str, str | bytes] = {}
    for (pledge_id,) in pledges:
        words |= {f"pledge {pledge_id}": str(pledge_id), f"pledge {pledge_id} in bytes": pledge_id.bytes}
    words |= {f"box {label}": label for (label,) in boxes}
    words |= {f"secret {n}": secret for n, secret in enumerate(secrets(played, received))}
    needles = Needles(words)
    for service in ("intake", "matching"):
        async for kept in tables(played.stack.record.cluster(service, played.stack.state)):
            assert needles.found(kept) == [], kept.where


async def test_stock_and_bags_are_tied_to_no_gift(played: Played, received: Received) -> None:
    """Counted pieces and bag codes: in no row of them, old or new, is a pledge, a box or a shipment."""
    tied = "SELECT pledge_id::text FROM pledge UNION SELECT label FROM box UNION SELECT shipment_id::text FROM shipment"
    needles = Needles({word: word for (word,) in await rows(played, "logistics", tied)})
    for table in ("stock", "allocation", "item", "warehouse", "shortfall", "line"):
        for (text,) in await rows(played, "logistics", f"SELECT t::text FROM {table} AS t"):
            assert needles.found(Kept("table", table, text.encode())) == []


async def test_no_secret_of_any_donor_is_kept_anywhere(played: Played, received: Received) -> None:
    """A thief of all backups and logs opens no pledge."""
    needles = Needles({f"secret {n}": secret for n, secret in enumerate(secrets(played, received))})
    found = {kept.where: names async for kept in everything(played.stack) if (names := needles.found(kept))}
    assert found == {}


def secrets(played: Played, received: Received) -> list[str]:
    memory = played.stage.memory
    story = [secret for sent in memory.sent.values() for secret in sent]
    assert len(story) > 5
    return [*story, memory.unsent_secret, *(gift.secret for gift in received.gifts)]
