"""A need that may begin later than on its first night, of a household that has a place then by another case."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import matching_pb2 as pb

from tests.support.matching import REFERRALS, SHELTER, World, cases, facts, lodging, matching, reported
from tests.support.stack import RunningStack

KEY = str(uuid.uuid4())


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        yield world
        await world.consistent()


def known() -> common.Facts:
    told = facts()
    told.one_place.CopyFrom(common.OnePlace(key=KEY, revision=1))
    return told


def open_until(latest_date: str, nights: int = 1) -> common.Need:
    need = lodging(nights=nights)
    need.latest_date = latest_date
    return need


async def full(world: World, units: int, nights: int) -> None:
    """So many units are held by strangers, from tonight on."""
    for case_id in cases(units):
        await world.hear(reported(case_id, lodging(nights=nights), facts()))


async def begins(world: World, case_id: str) -> str:
    """The first night of the one thing that was proposed."""
    [proposed] = await world.said(REFERRALS, case_id)
    return str(proposed.from_date)


async def test_it_does_not_begin_on_a_night_that_the_other_case_has(world: World) -> None:
    offer_id = await world.offer(2)
    first, second, stranger = cases(3)
    await world.hear(reported(first, lodging(nights=2, from_date="2026-03-05"), known()))
    await full(world, 2, nights=3)
    # Who is heard of in the same work is served whatever becomes of it.
    await world.hear(
        reported(second, open_until("2026-03-10"), known()),
        reported(stranger, lodging(from_date="2026-03-05"), facts()),
    )
    assert await world.told(first) == ["ReferralProposed"]
    assert await world.told(second) == ["NeedUnmatched"]
    assert await world.told(stranger) == ["ReferralProposed"]
    assert await world.nights(offer_id, 5) == [(2, 2), (2, 2), (2, 2), (2, 2), (2, 1)]


async def test_it_begins_later_where_there_are_nights_enough_before(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    await world.hear(reported(first, lodging(nights=2, from_date="2026-03-05"), known()))
    await full(world, 2, nights=1)
    await world.hear(reported(second, open_until("2026-03-10", nights=2), known()))
    assert await begins(world, second) == "2026-03-03"
    assert await world.nights(offer_id, 5) == [(2, 2), (2, 1), (2, 1), (2, 1), (2, 1)]


async def test_a_round_that_includes_both_cases_serves_everybody_in_it(world: World) -> None:
    offer_id = await world.offer(0)
    first, second, stranger = cases(3)
    await world.hear(reported(first, lodging(nights=2, from_date="2026-03-05"), known()))
    await world.hear(reported(second, open_until("2026-03-10"), known()))
    await world.hear(reported(stranger, lodging(from_date="2026-03-05"), facts()))
    raised = pb.SetCapacityRequest(offer_id=offer_id, from_date="2026-03-05", nights=2, capacity=3)
    await world.ask("SetCapacity", raised, SHELTER)
    assert (await world.told(first))[-1] == (await world.told(stranger))[-1] == "ReferralProposed"
    assert await world.told(second) == ["NeedUnmatched"]
    assert (await world.nights(offer_id, 5))[3:] == [(3, 2), (3, 1)]
