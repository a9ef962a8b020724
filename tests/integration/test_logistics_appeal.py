"""The public list: capped by constraint, changed by the tick alone, and open again for what was not kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio
from aid.logistics.v1 import logistics_pb2 as pb

from services.chassis.errors import AidError
from services.chassis.metrics import Metrics
from services.logistics.domain.refusal import Refusal
from tests.support.logistics import HOUR, ITEM, OPERATOR, PACK, World, assembled, logistics
from tests.support.stack import RunningStack

APPEAL = "aid.logistics.appeal.v1"


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with logistics(stack) as world:
        yield world


async def test_a_shortfall_is_public_on_the_tick_and_not_before(world: World) -> None:
    await world.shortfall(7)
    await world.advance(timedelta(minutes=59))
    assert await world.line() is None
    await world.advance(timedelta(minutes=1))
    line = await world.line()
    assert line is not None
    assert (line.packs_wanted, line.packs_pledged, line.state) == (7, 0, "published")
    await world.shortfall(3)
    line = await world.line()
    assert line is not None
    assert line.packs_wanted == 7
    await world.advance(HOUR)
    line = await world.line()
    assert line is not None
    assert line.packs_wanted == 3
    await world.shortfall(0)
    await world.advance(HOUR)
    assert await world.line() is None
    assert await world.told(APPEAL) == ["LinePublished", "LinePublished", "LineClosed"]


async def test_an_item_that_the_catalogue_does_not_know_stays_off_the_list(world: World) -> None:
    await world.shortfall(7, item="elephants")
    await world.advance(HOUR)
    answer = await world.ask("GetAppeal", pb.GetAppealRequest())
    assert list(answer.lines) == []


async def test_many_donors_at_once_never_exceed_what_is_wanted(world: World) -> None:
    line_id = await world.published(100)
    asks = [1 + number % 5 for number in range(200)]
    answers = await asyncio.gather(*(world.pledge(line_id, packs) for packs in asks), return_exceptions=True)
    admitted = [answer for answer in answers if isinstance(answer, pb.PledgeResponse)]
    refused = [answer for answer in answers if not isinstance(answer, pb.PledgeResponse)]
    assert sum(answer.packs for answer in admitted) == 100
    assert all(isinstance(answer, Refusal) and answer.reason == "line-covered" for answer in refused)
    assert len({answer.secret for answer in admitted}) == len(admitted)
    stored = await world.database.pool.fetchrow("SELECT sum(packs) AS packs, count(*) AS many FROM pledge")
    assert stored is not None
    assert (stored["packs"], stored["many"]) == (100, len(admitted))


async def test_two_processes_that_admit_on_their_own_never_exceed_it_together(world: World) -> None:
    """Each admits batch by batch; between them there is only the row."""
    line_id = await world.published(50)
    rival = _another(world)
    answers = await asyncio.gather(
        *(each.pledge(line_id, 2) for _ in range(40) for each in (world, rival)), return_exceptions=True
    )
    assert sum(answer.packs for answer in answers if isinstance(answer, pb.PledgeResponse)) == 50
    assert all(isinstance(answer, pb.PledgeResponse | Refusal) for answer in answers)


async def test_the_database_itself_refuses_a_pledge_beyond_what_is_wanted(world: World) -> None:
    line_id = await world.published(5)
    await world.pledge(line_id, 4)
    more = "UPDATE line SET pledged = pledged + $2 WHERE line_id = $1::uuid"
    with pytest.raises(asyncpg.CheckViolationError, match="line_never_over"):
        await world.database.pool.execute(more, line_id, 2)
    await world.database.pool.execute(more, line_id, 1)


async def test_a_line_above_what_is_now_wanted_takes_nothing_and_heals(world: World) -> None:
    line_id = await world.published(10)
    await world.pledge(line_id, 8)
    await world.shortfall(5)
    await world.advance(HOUR)
    with pytest.raises(Refusal, match="line-covered"):
        await world.pledge(line_id, 1)
    with pytest.raises(asyncpg.CheckViolationError):
        await world.database.pool.execute("UPDATE line SET pledged = pledged + 1")
    await world.advance(timedelta(days=7))  # the eight packs were not sent
    assert (await world.pledge(line_id, 9)).packs == 5


async def test_fewer_are_admitted_when_fewer_are_wanted(world: World) -> None:
    line_id = await world.published(3)
    assert (await world.pledge(line_id, 10)).packs == 3
    with pytest.raises(Refusal, match="line-covered"):
        await world.pledge(line_id, 1)


async def test_a_retry_gets_the_same_pledge_and_the_same_secret(world: World) -> None:
    line_id = await world.published(10)
    key = "a-key-that-one-donor-made"
    first, second = await asyncio.gather(world.pledge(line_id, 2, key), world.pledge(line_id, 2, key))
    later = await world.pledge(line_id, 2, key)
    assert first == second == later
    assert await world.database.pool.fetchval("SELECT count(*) FROM pledge") == 1
    with pytest.raises(Refusal, match="idempotency-key-reused"):
        await world.pledge(line_id, 3, key)
    with pytest.raises(Refusal, match="idempotency-key-malformed"):
        await world.pledge(line_id, 2, "short")
    with pytest.raises(Refusal, match="idempotency-key-missing"):
        await world.pledge(line_id, 2, "")


async def test_nothing_that_is_stored_opens_a_pledge(world: World) -> None:
    """The thief of a backup has the rows; neither secret nor key is in any."""
    line_id = await world.published(10)
    key = "a-key-that-one-donor-made"
    pledge = await world.pledge(line_id, 2, key)
    label = await world.packed(pledge.secret, PACK)
    tables = await world.database.pool.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    for table in tables:
        rows = await world.database.pool.fetch(f"SELECT t::text AS text FROM {table['table_name']} AS t")
        for row in rows:
            for marker in (pledge.secret, key):
                assert marker not in row["text"]
                assert marker.encode().hex() not in row["text"]
    found = await world.database.pool.fetchval("SELECT count(*) FROM pledge WHERE label = $1", label)
    assert found == 1


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.PledgeRequest(line_id="not-a-uuid", packs=1), "line-id-invalid"),
        (pb.PledgeRequest(line_id="6f2a9c1e-6c1f-4a57-9d1b-0c2f5d3e7a11", packs=0), "packs-invalid"),
        (pb.PledgeRequest(line_id="6f2a9c1e-6c1f-4a57-9d1b-0c2f5d3e7a11", packs=-3), "packs-invalid"),
        (pb.PledgeRequest(line_id="6f2a9c1e-6c1f-4a57-9d1b-0c2f5d3e7a11", packs=1), "not-found"),
    ],
)
async def test_a_bad_pledge_is_refused_clearly(world: World, request_: pb.PledgeRequest, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        await world.ask("Pledge", request_)


async def test_pledges_show_on_the_tick_and_what_is_not_sent_goes_back(world: World) -> None:
    line_id = await world.published(10)
    pledge = await world.pledge(line_id, 4)
    line = await world.line()
    assert line is not None
    assert line.packs_pledged == 0
    await world.advance(HOUR)
    line = await world.line()
    assert line is not None
    assert line.packs_pledged == 4
    assert pledge.send_by.ToDatetime().minute == 0
    await world.advance(timedelta(days=7))
    shown = await world.ask("GetPledge", pb.GetPledgeRequest(secret=pledge.secret))
    assert shown.state == "expired"
    line = await world.line()
    assert line is not None
    assert line.packs_pledged == 0
    with pytest.raises(Refusal, match="pledge-expired"):
        await world.packed(pledge.secret, PACK)
    assert await world.told(APPEAL) == ["LinePublished", "PledgesAdmitted", "PledgesExpired"]
    assert world.metrics.pledges_expired_total._value.get() == 1


async def test_a_pledge_that_was_sent_does_not_expire(world: World) -> None:
    line_id = await world.published(10)
    secret, _ = await world.sent(line_id, 2)
    await world.advance(timedelta(days=8))
    shown = await world.ask("GetPledge", pb.GetPledgeRequest(secret=secret))
    assert shown.state == "sent"


async def test_a_parcel_that_never_comes_is_given_up_and_wanted_again(world: World) -> None:
    line_id = await world.published(10)
    secret, label = await world.sent(line_id, 2)
    await world.advance(timedelta(days=31))
    shown = await world.ask("GetPledge", pb.GetPledgeRequest(secret=secret))
    assert shown.state == "expired"
    line = await world.line()
    assert line is not None
    assert (line.packs_wanted, line.packs_pledged) == (10, 0)
    assert await world.told("aid.logistics.shipments.v1") == [
        "ShipmentExpected", "BoxAdded", "ShipmentDispatched", "DiscrepancyFound", "ShipmentReceived",
        "ShipmentClosed",
    ]  # fmt: skip
    # It came after all: surplus goes to the shelf, and no story of a closed shipment begins again.
    assert await world.receive(label, 2 * PACK) == "accepted"
    assert await world.stock() == (0, 2 * PACK, 0)
    assert (await world.told("aid.logistics.shipments.v1"))[-1] == "ShipmentClosed"


async def test_what_arrived_is_not_asked_for_twice_while_matching_takes_it_in(world: World) -> None:
    line_id = await world.published(10)
    _, label = await world.sent(line_id, 10)
    await world.receive(label, 10 * PACK)
    with pytest.raises(Refusal, match="line-covered"):
        await world.pledge(line_id, 1)
    await world.shortfall(0)
    await world.advance(HOUR)
    line = await world.line()
    assert line is not None
    assert line.state == "fulfilled"
    with pytest.raises(Refusal, match="line-closed"):
        await world.pledge(line_id, 1)
    await world.advance(HOUR)
    assert await world.line() is None
    await world.shortfall(4)
    await world.advance(2 * HOUR)
    assert (await world.pledge(line_id, 9)).packs == 4


async def test_short_and_damaged_boxes_reopen_the_line(world: World) -> None:
    line_id = await world.published(6)
    boxes = [await world.sent(line_id, 2) for _ in range(3)]
    assert await world.receive(boxes[0][1], 2 * PACK - 1) == "short"
    assert await world.receive(boxes[1][1], PACK, damaged=PACK) == "damaged"
    assert await world.receive(boxes[2][1], 2 * PACK + 5) == "over"
    assert (await world.pledge(line_id, 6)).packs == 2


async def test_without_a_warehouse_nothing_can_be_pledged(world: World) -> None:
    line_id = await world.published(5)
    await world.database.pool.execute("DELETE FROM stock")
    await world.database.pool.execute("DELETE FROM warehouse")
    with pytest.raises(Refusal, match="nowhere-to-send"):
        await world.pledge(line_id)


async def test_ticks_stand_at_whole_hours_and_survive_a_restart(world: World) -> None:
    await world.advance(timedelta(minutes=10))
    due = "SELECT due_at FROM timer WHERE kind = 'appeal-tick'"
    assert (await world.database.pool.fetchval(due)).hour == 13
    world.clock.advance(timedelta(hours=5))
    await _another(world).advance(timedelta(0))
    assert (await world.database.pool.fetchval(due)).hour == 18
    answer = await world.ask("GetAppeal", pb.GetAppealRequest())
    assert (answer.as_of.ToDatetime().hour, answer.as_of.ToDatetime().minute) == (17, 0)


async def test_a_known_item_keeps_its_pack_size(world: World) -> None:
    same = pb.PutItemRequest(item=pb.Item(item_id=ITEM, name="Newborn diapers", pack_size=PACK))
    await world.ask("PutItem", same, OPERATOR)
    other = pb.PutItemRequest(item=pb.Item(item_id=ITEM, name="Newborn diapers", pack_size=PACK + 1))
    with pytest.raises(Refusal, match="pack-size-fixed"):
        await world.ask("PutItem", other, OPERATOR)
    new = pb.PutItemRequest(item=pb.Item(item_id="potty", name="Potty", pack_size=1))
    await world.ask("PutItem", new, OPERATOR)
    assert await world.stock("potty") == (0, 0, 0)
    answer = await world.ask("ListItems", pb.ListItemsRequest())
    assert "Newborn diapers" in [item.name for item in answer.items]
    with pytest.raises(AidError, match="role-not-allowed"):
        await world.ask("PutItem", new)


def _another(world: World) -> World:
    """A second process on the same database."""
    app = assembled(world.database, world.clock, world.points, Metrics())
    return World(app, world.database, world.clock, world.points, world.metrics, world.warehouse)
