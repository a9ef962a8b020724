"""Needs that nobody has heard of get their places without the lock being held while it is decided: what changes in
between is found by the database, and the work decides again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.work import StaleError
from tests.support.matching import (
    HUB,
    SHELTER,
    World,
    cases,
    facts,
    heard,
    lodging,
    matching,
    reported,
)
from tests.support.stack import RunningStack

KEY = str(uuid.uuid4())


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        yield world
        await world.consistent()


async def counted(world: World, capacity: int, **terms: Any) -> str:
    """An offer whose nights are written down: one unit of one more was held."""
    offer_id = await world.offer(capacity + 1, **terms)
    await world.hear(reported(cases(1)[0], lodging(nights=3), facts()))
    return offer_id


async def hear(
    world: World,
    *needs: tuple[str, common.Need, common.Facts],
    meanwhile: Callable[[], Awaitable[object]] | None = None,
) -> int:
    """Hear of needs, once; when it was seen what is free, and before it is written, something else happens. How often
    what was seen was good for a decision."""
    glances = 0
    async with world.app.works() as work:
        look = work.newcomers.glance

        async def glance(*what: Any) -> Any:
            nonlocal glances
            book = await look(*what)
            glances += book is not None
            if meanwhile is not None:
                await meanwhile()
            return book

        work.newcomers.glance = glance  # type: ignore[assignment, method-assign]
        for case_id, need, of in needs:
            event = heard(reported(case_id, need, of))
            await world.app.handlers[event.type](event, work)
    return glances


def of_household(key: str = KEY, **more: Any) -> common.Facts:
    told = facts(**more)
    told.one_place.CopyFrom(common.OnePlace(key=key, revision=1))
    return told


async def states(world: World, *needs: common.Need) -> list[str]:
    ids = [uuid.UUID(need.need_id) for need in needs]
    found = await world.database.pool.fetch("SELECT need_id, state FROM need WHERE need_id = ANY($1)", ids)
    by_id = {row["need_id"]: row["state"] for row in found}
    return [by_id.get(need_id, "unknown") for need_id in ids]


async def test_needs_of_many_households_are_given_their_places_in_one_look(world: World) -> None:
    offer_id = await counted(world, 5)
    needs = [lodging() for _ in range(5)]
    told = [(case, need, facts()) for case, need in zip(cases(5), needs, strict=True)]
    assert await hear(world, *told) == 1
    assert await states(world, *needs) == ["referred"] * 5
    assert (await world.nights(offer_id))[0] == (6, 6)
    for case_id, need, _ in told:
        assert await world.told(case_id) == ["ReferralProposed"]
        again = await world.tonight(facts(), need, case_id)
        assert again.held.place == "East shelter"


async def test_what_is_said_of_the_households_is_written_down_with_their_needs(world: World) -> None:
    await counted(world, 3)
    [case_id] = cases(1)
    assert await hear(world, (case_id, lodging(), facts(children=1))) == 1
    assert await hear(world, (case_id, lodging(), facts(children=2, revision=2, pets=True))) == 1
    [row] = await world.database.pool.fetch(
        "SELECT children, pets, revision FROM household WHERE case_id = $1", uuid.UUID(case_id)
    )
    assert tuple(row) == (2, True, 2)


async def test_a_bed_that_is_taken_meanwhile_is_not_given_twice(world: World) -> None:
    offer_id = await counted(world, 1)
    need, [case_id, other] = lodging(), cases(2)

    async def taken() -> None:
        assert (await world.tonight(facts(), lodging(), other)).held.place == "East shelter"

    with pytest.raises(StaleError):
        await hear(world, (case_id, need, facts()), meanwhile=taken)
    assert await states(world, need) == ["unknown"]
    await world.hear(reported(case_id, need, facts()))
    assert await world.told(case_id) == ["NeedUnmatched"]
    assert (await world.nights(offer_id))[0] == (2, 2)


async def test_a_bed_that_its_provider_takes_back_meanwhile_is_not_given(world: World) -> None:
    offer_id = await counted(world, 1)
    need, [case_id] = lodging(), cases(1)
    lowered = pb.SetCapacityRequest(offer_id=offer_id, from_date="2026-03-02", nights=1, capacity=1)
    with pytest.raises(StaleError):
        await hear(
            world,
            (case_id, need, facts()),
            meanwhile=lambda: world.ask("SetCapacity", lowered, SHELTER),
        )
    assert (await world.nights(offer_id))[0] == (1, 1)


async def test_a_need_that_is_asked_for_tonight_meanwhile_has_one_place(world: World) -> None:
    offer_id = await counted(world, 4)
    need, [case_id] = lodging(), cases(1)
    with pytest.raises(StaleError):
        await hear(world, (case_id, need, facts()), meanwhile=lambda: world.tonight(facts(), need, case_id))
    await world.hear(reported(case_id, need, facts()))
    assert await world.told(case_id) == ["ReferralProposed"]
    assert (await world.nights(offer_id))[0] == (5, 2)


async def test_a_household_that_gets_a_place_meanwhile_by_another_case_gets_no_second_one(
    world: World,
) -> None:
    offer_id = await counted(world, 4)
    need, [case_id, other] = lodging(), cases(2)
    with pytest.raises(StaleError):
        await hear(
            world,
            (case_id, need, of_household()),
            meanwhile=lambda: world.tonight(of_household(), lodging(), other),
        )
    await world.hear(reported(case_id, need, of_household()))
    assert await states(world, need) == ["referred"]
    assert (await world.nights(offer_id))[0] == (5, 2)


async def test_a_household_that_has_a_place_by_another_case_is_not_given_one_at_once(world: World) -> None:
    offer_id = await counted(world, 4)
    [case_id, other] = cases(2)
    assert await hear(world, (other, lodging(nights=2), of_household())) == 1
    # It needs the night before, too, and nights of another case that begin later are looked for apart.
    assert await hear(world, (case_id, lodging(nights=3), of_household())) == 0
    assert (await world.nights(offer_id))[0] == (5, 2)


@pytest.mark.parametrize("before", ["newer", "in-hiding"])
async def test_who_is_known_otherwise_than_told_is_decided_on_under_the_lock(
    world: World, before: str
) -> None:
    await counted(world, 4)
    need, [case_id] = lodging(), cases(1)
    known = facts(revision=5, confidential=before == "in-hiding")
    await world.hear(reported(case_id, lodging(), known))
    assert await hear(world, (case_id, need, facts(revision=4))) == 0
    assert await states(world, need) == ["referred" if before == "newer" else "waiting"]


async def test_who_begins_to_hide_with_a_need_is_compared_with_nobody_any_more(world: World) -> None:
    await counted(world, 4)
    await world.offer(2, who=HUB, confidential=True, name="Quiet house")
    [case_id] = cases(1)
    await world.tonight(of_household(), lodging(), case_id)
    hidden = facts(confidential=True, revision=2)
    assert await hear(world, (case_id, lodging(), hidden)) == 0
    keyed = "SELECT count(*) FROM one_place_night WHERE case_id = $1"
    assert await world.database.pool.fetchval(keyed, uuid.UUID(case_id)) == 0


async def test_it_waits_for_whoever_gives_places_and_holds_no_night_while_it_waits(world: World) -> None:
    offer_id = await counted(world, 4)
    need, [case_id] = lodging(), cases(1)
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    async with asyncio.timeout(20), world.app.works() as other:
        await other.places.lock()
        written = asyncio.create_task(hear(world, (case_id, need, facts())))
        while not await world.database.pool.fetchval(waits):  # noqa: ASYNC110 - it is another session that waits
            await asyncio.sleep(0.005)
        assert not written.done()
        # Whoever has the lock may change the night, and what is written next goes on from there.
        changed = await other.connection.execute("UPDATE night SET capacity = capacity + 2, said = true")
        assert changed != "UPDATE 0"
    assert await written == 1
    assert (await world.nights(offer_id))[0] == (7, 2)


async def test_of_many_at_once_as_many_are_given_a_bed_as_there_are(world: World) -> None:
    offer_id = await counted(world, 7)
    needs = [lodging() for _ in range(24)]
    told = list(zip(cases(24), needs, strict=True))

    async def some(number: int) -> None:
        for case_id, need in told[number::6]:
            if number % 2:
                await world.tonight(facts(), need, case_id)
            await world.hear(reported(case_id, need, facts()))

    await asyncio.gather(*map(some, range(6)))
    found = await states(world, *needs)
    assert (found.count("referred"), found.count("waiting")) == (7, 17)
    assert (await world.nights(offer_id))[0] == (8, 8)
