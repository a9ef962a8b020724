"""A need that becomes another: what is held for it follows, and what is set aside stays as far as it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.ids import uuid7
from tests.support.matching import (
    REFERRALS,
    SHELTER,
    World,
    cases,
    facts,
    goods,
    lodging,
    matching,
    reported,
    stock,
)
from tests.support.stack import RunningStack

ALLOCATIONS = "aid.matching.allocations.v1"
ROUND = timedelta(minutes=15)
ITEM, OTHER = "clothes-infant", "clothes-toddler"
EAST = str(uuid7())


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        await world.advance(timedelta(0))
        yield world
        await world.consistent()


def another(need: common.Need, **changes: Any) -> common.Need:
    """The need with some of its fields changed."""
    changed = common.Need()
    changed.CopyFrom(need)
    for field, value in changes.items():
        if field == "constraints":
            changed.constraints[:] = value
        else:
            setattr(changed, field, value)
    return changed


def changed(case_id: str, need: common.Need, of: common.Facts | None = None) -> intake.NeedChanged:
    return intake.NeedChanged(case_id=case_id, need=need, facts=of or facts())


async def kept(world: World, need: common.Need) -> Any:
    return await world.database.pool.fetchrow("SELECT * FROM need WHERE need_id = $1", need.need_id)


async def test_a_waiting_need_takes_what_it_has_become(world: World) -> None:
    [case_id], need = cases(1), lodging(nights=5)
    offer_id = await world.offer(2, max_nights=3)
    await world.hear(reported(case_id, need, facts()))
    assert await world.told(case_id) == ["NeedUnmatched"]
    await world.hear(changed(case_id, another(need, nights=2)))
    assert await world.told(case_id) == ["NeedUnmatched", "ReferralProposed"]
    assert (await world.nights(offer_id, 3)) == [(2, 1), (2, 1), (2, 0)]


async def test_a_hold_for_other_nights_is_withdrawn_and_matched_anew(world: World) -> None:
    [case_id], need = cases(1), lodging(nights=3)
    offer_id = await world.offer(2)
    await world.hear(reported(case_id, need, facts()))
    await world.hear(changed(case_id, another(need, from_date="2026-03-03", nights=2)))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralWithdrawn", "ReferralProposed"]
    assert (await world.nights(offer_id, 4)) == [(2, 0), (2, 1), (2, 1), (2, 0)]


async def test_a_hold_that_still_fits_is_kept_and_the_same_event_again_says_nothing(world: World) -> None:
    [case_id], need = cases(1), lodging(nights=2)
    await world.offer(2)
    await world.hear(reported(case_id, need, facts()))
    later = another(need, latest_date="2026-03-05", urgency=common.URGENCY_SOON)
    await world.hear(changed(case_id, later), changed(case_id, later))
    assert await world.told(case_id) == ["ReferralProposed"]
    assert (await kept(world, need))["urgency"] == "soon"


async def test_an_accepted_place_is_kept_whatever_the_need_has_become(world: World) -> None:
    [case_id], need = cases(1), lodging(nights=2)
    await world.offer(2)
    await world.hear(reported(case_id, need, facts()))
    [proposed] = await world.said(REFERRALS, case_id)
    await world.client(case_id, proposed.referral_id, True)
    await world.provider(proposed.referral_id, True)
    await world.hear(changed(case_id, another(need, nights=4)))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralAccepted"]


async def test_a_window_finds_the_first_night_on_which_there_is_room(world: World) -> None:
    first, second = cases(2)
    await world.offer(1)
    await world.hear(reported(first, lodging(nights=2), facts()))
    need = lodging(nights=2, urgency=common.URGENCY_SOON)
    await world.hear(reported(second, another(need, latest_date="2026-03-03"), facts()))
    assert await world.told(second) == ["NeedUnmatched"]
    await world.hear(changed(second, another(need, latest_date="2026-03-04")))
    [_, proposed] = await world.said(REFERRALS, second)
    assert (proposed.from_date, proposed.nights) == ("2026-03-04", 2)


async def test_a_private_room_is_a_room_and_other_words_are_kept(world: World) -> None:
    [case_id] = cases(1)
    need = another(lodging(), constraints=["private-room", "quiet"])
    await world.offer(4)
    await world.hear(reported(case_id, need, facts()))
    [none] = await world.said(REFERRALS, case_id)
    assert none.reason == common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE
    assert (await kept(world, need))["constraints"] == ["private-room", "quiet"]
    await world.hear(changed(case_id, another(need, constraints=["quiet"])))
    assert await world.told(case_id) == ["NeedUnmatched", "ReferralProposed"]


async def test_more_pieces_are_asked_for_beside_those_set_aside(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 4)
    await world.hear(stock(EAST, ITEM, 20), reported(case_id, need, facts()))
    await world.advance(ROUND)
    await world.hear(changed(case_id, another(need, quantity=6)))
    await world.advance(ROUND)
    assert [each.quantity for each in await world.said(ALLOCATIONS)] == [4, 2]


async def test_fewer_pieces_take_nothing_back_that_was_set_aside(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 10)
    await world.hear(stock(EAST, ITEM, 6), reported(case_id, need, facts()))
    await world.advance(ROUND)
    assert await world.told(case_id) == ["NeedAllocated", "NeedUnmatched"]
    await world.hear(changed(case_id, another(need, quantity=3)), stock(EAST, ITEM, 6))
    await world.advance(ROUND)
    assert await world.told(case_id) == ["NeedAllocated", "NeedUnmatched"]
    assert [each.quantity for each in await world.said(ALLOCATIONS)] == [6]


async def test_goods_of_another_size_or_item_are_taken_back(world: World) -> None:
    [case_id], need = cases(1), another(goods(ITEM, 2), size="62")
    await world.hear(stock(EAST, ITEM, 9), stock(EAST, OTHER, 9), reported(case_id, need, facts()))
    await world.advance(ROUND)
    [first] = await world.said(ALLOCATIONS)
    assert first.size == "62"
    await world.hear(logistics.AllocationReserved(allocation_id=first.allocation_id, bag_code="B"))
    await world.hear(changed(case_id, another(need, size="68")))
    assert await world.told(case_id) == ["NeedAllocated", "NeedDeallocated"]
    await world.advance(ROUND)
    await world.hear(changed(case_id, another(need, size="68", item_id=OTHER)))
    await world.advance(ROUND)
    told = ["NeedAllocated", "NeedDeallocated"]
    assert await world.told(case_id) == [*told, *told, "NeedAllocated"]
    proposed = [each for each in await world.said(ALLOCATIONS) if hasattr(each, "item_id")]
    assert [each.item_id for each in proposed] == [ITEM, ITEM, OTHER]


async def test_homes_services_and_jobs_wait_and_are_told_once(world: World) -> None:
    [case_id] = cases(1)
    asked = [
        common.Need(need_id=str(uuid7()), kind=common.NEED_KIND_HOUSING, from_date="2026-03-02"),
        common.Need(
            need_id=str(uuid7()), kind=common.NEED_KIND_SERVICES, item_id="legal-aid", from_date="2026-03-02"
        ),
        common.Need(
            need_id=str(uuid7()), kind=common.NEED_KIND_JOB, from_date="2026-03-09", constraints=["part-time"]
        ),
    ]
    home = pb.Offer(
        offer_id=str(uuid7()), kind=common.NEED_KIND_HOUSING, name="Flat", contact="555-0142",
        unit=pb.UNIT_ROOM, capacity=3,
        rules=pb.Rules(children=True, without_children=True, wheelchair=True, pets=True),
    )  # fmt: skip
    await world.hear(*(reported(case_id, need, facts()) for need in asked))
    await world.ask("PutOffer", pb.PutOfferRequest(offer=home), SHELTER)
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=facts(children=1, revision=2)))
    said = await world.said(REFERRALS, case_id)
    assert [(type(each).__name__, each.reason) for each in said] == [
        ("NeedUnmatched", common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE)
    ] * 3
    assert {each.need_id for each in said} == {need.need_id for need in asked}
    await world.hear(changed(case_id, another(asked[2], constraints=["full-time"])))
    assert len(await world.said(REFERRALS, case_id)) == 4


async def test_a_snapshot_brings_what_a_lost_change_said(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 4)
    await world.hear(reported(case_id, need, facts()))
    await world.hear(
        intake.CaseSnapshot(case_id=case_id, facts=facts(), open_needs=[another(need, quantity=7, size="74")])
    )
    row = await kept(world, need)
    assert (row["quantity"], row["size"], row["state"]) == (7, "74", "waiting")


async def test_a_change_that_comes_after_the_end_brings_nothing_back(world: World) -> None:
    [case_id], need = cases(1), lodging()
    await world.hear(
        reported(case_id, need, facts()), intake.NeedWithdrawn(case_id=case_id, need_id=need.need_id)
    )
    await world.hear(changed(case_id, another(need, nights=2)))
    row = await kept(world, need)
    assert (row["state"], row["nights"]) == ("closed", 1)


async def test_who_asks_for_tonight_is_answered_for_the_need_as_it_is_now(world: World) -> None:
    [case_id], need = cases(1), lodging(nights=3)
    offer_id = await world.offer(2)
    await world.tonight(facts(), need, case_id)
    shorter = another(need, nights=1)
    answer = await world.tonight(facts(), shorter, case_id)
    assert answer.held.nights == 1
    assert (await world.nights(offer_id, 3)) == [(2, 1), (2, 0), (2, 0)]
    await world.hear(reported(case_id, need, facts()), changed(case_id, shorter))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralWithdrawn", "ReferralProposed"]
