"""Goods are shared out in rounds that tell nobody who belongs together; what is missing is told pooled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as said

from services.chassis.ids import uuid7
from tests.support.matching import (
    AREA,
    REFERRALS,
    World,
    cases,
    facts,
    goods,
    matching,
    reported,
    stock,
)
from tests.support.stack import RunningStack

ALLOCATIONS = "aid.matching.allocations.v1"
SHORTFALLS = "aid.matching.shortfalls.v1"
ROUND = timedelta(minutes=15)
ITEM = "diapers-newborn"
EAST, WEST = str(uuid7()), str(uuid7())


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        await world.advance(timedelta(0))
        yield world
        await world.consistent()


async def test_a_round_allocates_known_stock_and_says_so_on_both_sides(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 30)
    await world.hear(stock(EAST, ITEM, 100), reported(case_id, need, facts()))
    assert await world.said(ALLOCATIONS) == []
    await world.advance(ROUND)
    [proposed] = await world.said(ALLOCATIONS)
    assert (proposed.item_id, proposed.quantity, proposed.area, proposed.week) == (
        ITEM, 30, AREA, "2026-W10",
    )  # fmt: skip
    [allocated] = await world.said(REFERRALS, case_id)
    assert (allocated.need_id, allocated.allocation_id, allocated.quantity) == (
        need.need_id, proposed.allocation_id, 30,
    )  # fmt: skip
    await world.advance(ROUND)
    assert len(await world.said(ALLOCATIONS)) == 1


async def test_own_open_proposals_are_not_given_twice(world: World) -> None:
    first, second = cases(2)
    await world.hear(stock(EAST, ITEM, 40), reported(first, goods(ITEM, 30), facts()))
    await world.advance(ROUND)
    await world.hear(reported(second, goods(ITEM, 30), facts()))
    await world.advance(ROUND)
    assert [each.quantity for each in await world.said(ALLOCATIONS)] == [30, 10]
    assert await world.told(second) == ["NeedAllocated", "NeedUnmatched"]


async def test_who_comes_first_is_served_first_from_the_own_area(world: World) -> None:
    single, mother = cases(2)
    await world.hear(
        stock(WEST, ITEM, 50, area="hillside"),
        stock(EAST, ITEM, 20),
        reported(single, goods(ITEM, 30), facts()),
        reported(mother, goods(ITEM, 30), facts(infants=1, unsheltered=True)),
    )
    await world.advance(ROUND)
    mothers = [each.quantity for each in await world.said(REFERRALS, mother)]
    assert sorted(mothers) == [10, 20]
    assert [each.quantity for each in await world.said(REFERRALS, single)] == [30]


async def test_a_refusal_corrects_the_stock_and_the_need_waits(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 30)
    await world.hear(stock(EAST, ITEM, 30), reported(case_id, need, facts()))
    await world.advance(ROUND)
    [proposed] = await world.said(ALLOCATIONS)
    refused = logistics.AllocationRefused(allocation_id=proposed.allocation_id, available=12)
    await world.hear(refused)
    await world.hear(refused)
    assert await world.told(case_id) == ["NeedAllocated", "NeedDeallocated"]
    await world.advance(ROUND)
    [_, again] = await world.said(ALLOCATIONS)
    assert again.quantity == 12
    assert (await world.told(case_id))[2:] == ["NeedAllocated", "NeedUnmatched"]
    [*_, unmatched] = await world.said(REFERRALS, case_id)
    assert unmatched.reason == common.UNMATCHED_REASON_NO_STOCK


async def test_what_was_handed_over_is_done_and_what_is_withdrawn_is_released(world: World) -> None:
    given, withdrawn = cases(2)
    needs = goods(ITEM, 10), goods(ITEM, 10)
    await world.hear(
        stock(EAST, ITEM, 20), reported(given, needs[0], facts()), reported(withdrawn, needs[1], facts())
    )
    await world.advance(ROUND)
    [one] = await world.said(REFERRALS, given)
    [other] = await world.said(REFERRALS, withdrawn)
    for each in (one, other):
        await world.hear(logistics.AllocationReserved(allocation_id=each.allocation_id, bag_code="B"))
    await world.hear(logistics.HandoverConfirmed(allocation_id=one.allocation_id, day="2026-03-03"))
    await world.hear(
        intake.NeedMet(case_id=given, need_id=needs[0].need_id),
        intake.NeedWithdrawn(case_id=withdrawn, need_id=needs[1].need_id),
    )
    assert await world.told(given) == ["NeedAllocated"]
    assert await world.told(withdrawn) == ["NeedAllocated", "NeedDeallocated"]
    assert {type(each) for each in await world.said(ALLOCATIONS)} == {said.AllocationProposed}
    await world.advance(ROUND)
    [*_, last] = await world.said(ALLOCATIONS)
    assert last == said.AllocationWithdrawn(allocation_id=other.allocation_id)


async def test_a_met_need_takes_nothing_back_although_its_handover_is_heard_of_later(world: World) -> None:
    """Intake and logistics speak on two topics: that all is handed over may come before the handover itself."""
    [case_id], need = cases(1), goods(ITEM, 10)
    await world.hear(stock(EAST, ITEM, 10), reported(case_id, need, facts()))
    await world.advance(ROUND)
    [allocated] = await world.said(REFERRALS, case_id)
    named = allocated.allocation_id
    await world.hear(logistics.AllocationReserved(allocation_id=named, bag_code="B"))
    await world.hear(intake.NeedMet(case_id=case_id, need_id=need.need_id))
    await world.hear(logistics.HandoverConfirmed(allocation_id=named, day="2026-03-03"))
    assert await world.told(case_id) == ["NeedAllocated"]
    assert [type(each) for each in await world.said(ALLOCATIONS)] == [said.AllocationProposed]
    assert await world.database.pool.fetchval("SELECT state FROM allocation") == "handed over"


async def test_closing_a_case_forgets_whose_the_allocations_were(world: World) -> None:
    [case_id], need = cases(1), goods(ITEM, 10)
    await world.hear(stock(EAST, ITEM, 20), reported(case_id, need, facts()))
    await world.advance(ROUND)
    await world.hear(intake.CaseClosed(case_id=case_id))
    assert await world.told(case_id) == ["NeedAllocated", "NeedDeallocated"]
    [row] = await world.database.pool.fetch("SELECT * FROM allocation")
    assert (row["need_id"], row["case_id"], row["state"]) == (None, None, "withdrawn")
    named = str(row["allocation_id"])
    await world.hear(
        logistics.AllocationReserved(allocation_id=named, bag_code="B"),
        logistics.AllocationRefused(allocation_id=named, available=0),
        logistics.HandoverConfirmed(allocation_id=named, day="2026-03-03"),
    )
    for _ in range(2):
        await world.advance(ROUND)
        [proposed, withdrawn] = await world.said(ALLOCATIONS)
        assert (proposed.allocation_id, withdrawn) == (named, said.AllocationWithdrawn(allocation_id=named))
    assert await world.told(case_id) == ["NeedAllocated", "NeedDeallocated"]


async def test_logistics_hears_of_what_is_taken_back_and_what_is_asked_for_in_one_shuffled_round(
    world: World,
) -> None:
    """Sixteen cases end and sixteen begin: told apart in the log, what ends would show itself as a block."""
    ending, beginning = cases(16), cases(16)
    await world.hear(stock(EAST, ITEM, 1000), *(reported(each, goods(ITEM, 2), facts()) for each in ending))
    await world.advance(ROUND)
    await world.hear(*(intake.CaseClosed(case_id=each) for each in ending))
    await world.hear(*(reported(each, goods(ITEM, 2), facts()) for each in beginning))
    await world.advance(ROUND)
    told = [type(each).__name__ for each in await world.said(ALLOCATIONS)][16:]
    assert sorted(told) == ["AllocationProposed"] * 16 + ["AllocationWithdrawn"] * 16
    changes = sum(one != other for one, other in pairwise(told))
    # Expected 16 of 31; one after the other it would be 1.
    assert changes > 4


async def test_a_shortfall_is_pooled_rounded_to_packs_and_silent_below_three_households(
    world: World,
) -> None:
    first, second, third = cases(3)
    needs = [goods(ITEM, 11) for _ in range(3)]
    await world.hear(stock(EAST, ITEM, 0), stock(WEST, ITEM, 0, area="hillside"))
    await world.hear(reported(first, needs[0], facts()), reported(second, needs[1], facts()))
    await world.advance(ROUND)
    assert await world.said(SHORTFALLS) == []
    await world.hear(reported(third, needs[2], facts()))
    await world.hear(*(reported(each, goods(ITEM, 1), facts(area="hillside")) for each in cases(2)))
    await world.advance(ROUND)
    assert await world.said(SHORTFALLS) == [
        said.ShortfallChanged(area=AREA, item_id=ITEM, packs=4, revision=1)
    ]
    await world.advance(ROUND)
    assert len(await world.said(SHORTFALLS)) == 1
    await world.hear(intake.NeedWithdrawn(case_id=third, need_id=needs[2].need_id))
    await world.advance(ROUND)
    [_, gone] = await world.said(SHORTFALLS)
    assert gone == said.ShortfallChanged(area=AREA, item_id=ITEM, packs=0, revision=2)


async def test_a_line_of_one_household_with_many_needs_is_not_told(world: World) -> None:
    [case_id] = cases(1)
    await world.hear(stock(EAST, ITEM, 0), *(reported(case_id, goods(ITEM, 9), facts()) for _ in range(5)))
    await world.advance(ROUND)
    assert await world.said(SHORTFALLS) == []


async def test_an_item_of_which_nobody_told_the_pack_size_is_not_told(world: World) -> None:
    await world.hear(*(reported(each, goods(ITEM, 9), facts()) for each in cases(4)))
    await world.advance(ROUND)
    assert await world.said(SHORTFALLS) == []


async def test_internal_events_carry_nothing_that_joins_them(world: World) -> None:
    households = cases(6)
    await world.hear(
        stock(EAST, ITEM, 100),
        stock(EAST, "blanket", 100),
        *(reported(each, goods(item, 2), facts()) for each in households for item in (ITEM, "blanket")),
    )
    await world.advance(ROUND)
    rows = await world.database.pool.fetch(
        "SELECT headers, key FROM outbox WHERE topic = $1 ORDER BY id", ALLOCATIONS
    )
    assert len(rows) == 12
    headers = [row["headers"] for row in rows]
    for name in ("ce_correlationid", "ce_causationid", "traceparent"):
        assert not any(name in each for each in headers)
    assert all('"ce_time":"2026-03-02T20:00:00+00:00"' in each.replace(" ", "") for each in headers)


async def test_the_order_of_allocations_is_not_the_order_of_households(world: World) -> None:
    """Thirty households ask for two things each: in announced order, neighbours belong together by chance only."""
    households = cases(30)
    await world.hear(
        stock(EAST, ITEM, 1000),
        stock(EAST, "blanket", 1000),
        *(reported(each, goods(item, 2), facts()) for each in households for item in (ITEM, "blanket")),
    )
    await world.advance(ROUND)
    case_of = {
        str(row["allocation_id"]): row["case_id"]
        for row in await world.database.pool.fetch("SELECT allocation_id, case_id FROM allocation")
    }
    order = [case_of[each.allocation_id] for each in await world.said(ALLOCATIONS)]
    together = sum(one == other for one, other in pairwise(order))
    # Expected 1 of 59 neighbours; ordered by need or case it would be about 30.
    assert together < 12


async def test_what_logistics_says_of_the_appeal_is_kept(world: World) -> None:
    line_id = str(uuid7())
    await world.hear(logistics.LinePublished(line_id=line_id, area=AREA, item_id=ITEM, packs=9))
    await world.hear(logistics.PledgesAdmitted(line_id=line_id, packs_pledged=5))
    await world.hear(logistics.PledgesExpired(line_id=line_id, packs_pledged=4))
    await world.hear(logistics.LineFulfilled(line_id=line_id))
    [row] = await world.database.pool.fetch("SELECT packs, pledged, state FROM appeal_line")
    assert tuple(row) == (9, 4, "fulfilled")
    await world.hear(
        logistics.LineSnapshot(
            line_id=line_id, area=AREA, item_id=ITEM, packs=7, packs_pledged=2, state="published"
        )
    )
    await world.hear(logistics.LineClosed(line_id=line_id))
    [row] = await world.database.pool.fetch("SELECT packs, pledged, state FROM appeal_line")
    assert tuple(row) == (7, 2, "closed")


async def test_an_allocation_seen_whole_does_what_the_missed_event_would_have(world: World) -> None:
    needs = {each: goods(ITEM, 10) for each in cases(3)}
    await world.hear(stock(EAST, ITEM, 30), *(reported(case, need, facts()) for case, need in needs.items()))
    await world.advance(ROUND)
    reserved, refused, handed = [each.allocation_id for each in await world.said(ALLOCATIONS)]
    await world.hear(
        logistics.AllocationState(allocation_id=reserved, state="reserved", bag_code="B"),
        logistics.AllocationState(allocation_id=refused, state="refused", available=3),
        logistics.AllocationState(allocation_id=handed, state="handed over", day="2026-03-03"),
    )
    rows = await world.database.pool.fetch("SELECT allocation_id::text, state FROM allocation")
    assert dict(map(tuple, rows)) == {reserved: "reserved", refused: "refused", handed: "handed over"}
