"""Capacity and occupancy of an export: idempotent, honest above capacity, and never in the way of a hold's truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.ids import uuid7
from services.matching.domain.refusal import Refusal
from tests.support.matching import (
    ANYBODY,
    HUB,
    OPERATOR,
    REFERRALS,
    World,
    cases,
    facts,
    lodging,
    matching,
)
from tests.support.stack import RunningStack

AS_OF = "2026-02-28"


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        yield world
        await world.consistent()


def exported(
    key: str, capacity: int, unit: pb.Unit.ValueType = pb.UNIT_BED, **terms: object
) -> pb.ImportedOffer:
    offer = pb.Offer(
        kind=common.NEED_KIND_LODGING, name=f"Shelter {key}", unit=unit, capacity=capacity, rules=ANYBODY,
        **terms,  # type: ignore[arg-type]
    )  # fmt: skip
    return pb.ImportedOffer(source_key=key, offer=offer)


def taken(key: str, offer: str, persons: int = 1, case_id: str = "", **more: str) -> pb.ImportedOccupancy:
    told = {"from_date": "2026-01-05", **more}
    return pb.ImportedOccupancy(
        source_key=key, offer_source_key=offer, case_id=case_id or str(uuid7()), persons=persons, **told
    )


async def offers(world: World, *rows: pb.ImportedOffer) -> list[tuple[str, str]]:
    request = pb.ImportOffersRequest(source_id="export", as_of=AS_OF, offers=rows)
    answer = await world.ask("ImportOffers", request, OPERATOR)
    return [(each.outcome, each.reason) for each in answer.results]


async def occupancies(world: World, *rows: pb.ImportedOccupancy) -> tuple[list[tuple[str, str]], int]:
    request = pb.ImportOccupanciesRequest(source_id="export", as_of=AS_OF, occupancies=rows)
    answer = await world.ask("ImportOccupancies", request, OPERATOR)
    return [(each.outcome, each.reason) for each in answer.results], answer.above_capacity


async def imported_id(world: World, key: str) -> str:
    return str(await world.database.pool.fetchval("SELECT offer_id FROM offer WHERE source_key = $1", key))


async def test_the_same_import_again_changes_nothing(world: World) -> None:
    rows = [exported("a", 4), exported("b", 2)]
    places = [taken("1", "a", persons=3), taken("2", "b")]
    assert await offers(world, *rows) == [("created", ""), ("created", "")]
    assert await occupancies(world, *places) == ([("created", ""), ("created", "")], 0)
    before = await world.database.pool.fetch("SELECT * FROM night ORDER BY offer_id, night")
    assert await offers(world, *rows) == [("unchanged", ""), ("unchanged", "")]
    assert await occupancies(world, *places) == ([("unchanged", ""), ("unchanged", "")], 0)
    assert await world.database.pool.fetch("SELECT * FROM night ORDER BY offer_id, night") == before
    assert len(await world.said(REFERRALS)) == 2


async def test_a_changed_row_replaces_the_old_one(world: World) -> None:
    await offers(world, exported("a", 4), exported("b", 4))
    await occupancies(world, taken("1", "a", persons=3))
    assert await offers(world, exported("a", 5)) == [("changed", "")]
    row = taken("1", "b", persons=2)
    assert (await occupancies(world, row))[0] == [("changed", "")]
    assert await world.nights(await imported_id(world, "a"), 1, HUB) == [(5, 0)]
    assert await world.nights(await imported_id(world, "b"), 1, HUB) == [(4, 2)]


async def test_occupancy_above_capacity_is_recorded_and_blocks_new_holds(world: World) -> None:
    await offers(world, exported("a", 2))
    outcomes, above = await occupancies(world, taken("1", "a", persons=2), taken("2", "a", persons=3))
    assert outcomes == [("created", ""), ("created", "")]
    assert above == 3
    offer_id = await imported_id(world, "a")
    assert await world.nights(offer_id, 2, HUB) == [(2, 5), (2, 5)]
    [case_id], need = cases(1), lodging()
    assert (await world.tonight(facts(), need, case_id)).none.reason == common.UNMATCHED_REASON_ALL_FULL
    await offers(world, exported("a", 6))
    assert (await world.tonight(facts(), need, case_id)).held.place == "Shelter a"
    assert await world.nights(offer_id, 2, HUB) == [(6, 6), (6, 5)]


async def test_an_import_over_nights_that_are_held_blocks_further_holds_and_a_release_works_it_off(
    world: World,
) -> None:
    await offers(world, exported("a", 2))
    [case_id] = cases(1)
    held = (await world.tonight(facts(adults=2), lodging(nights=2), case_id)).held
    assert (await occupancies(world, taken("1", "a", persons=1)))[1] == 0
    offer_id = await imported_id(world, "a")
    assert await world.nights(offer_id, 3, HUB) == [(2, 3), (2, 3), (2, 1)]
    assert (await world.tonight(facts())).none.reason == common.UNMATCHED_REASON_ALL_FULL
    await world.client(case_id, held.referral_id, False)
    assert await world.nights(offer_id, 3, HUB) == [(2, 2), (2, 1), (2, 1)]


async def test_a_room_is_one_unit_whoever_lives_in_it(world: World) -> None:
    await offers(world, exported("a", 2, pb.UNIT_ROOM))
    await occupancies(world, taken("1", "a", persons=5))
    assert await world.nights(await imported_id(world, "a"), 1, HUB) == [(2, 1)]


async def test_what_cannot_be_is_refused_row_by_row(world: World) -> None:
    assert await offers(world, exported("a", 1), exported("b", -1), exported("", 1)) == [
        ("created", ""), ("refused", "capacity-out-of-range"), ("refused", "source-key-missing"),
    ]  # fmt: skip
    outcomes, _ = await occupancies(
        world, taken("1", "a"), taken("2", "nowhere"), taken("3", "a", persons=0),
        taken("4", "a", from_date="2026-03-01"),
    )  # fmt: skip
    assert outcomes == [
        ("created", ""), ("refused", "offer-unknown"), ("refused", "occupancy-malformed"),
        ("refused", "occupancy-malformed"),
    ]  # fmt: skip
    with pytest.raises(Refusal, match="import-size"):
        await offers(world)
    with pytest.raises(Refusal, match="import-size"):
        await offers(world, *(exported(str(n), 1) for n in range(501)))


async def test_a_confidential_place_of_an_export_stays_hidden(world: World) -> None:
    await offers(world, exported("a", 5, confidential=True))
    assert (await world.tonight(facts())).none.reason == common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE
    assert await offers(world, exported("a", 5)) == [("refused", "offer-was-confidential")]


async def test_an_imported_stay_ends_with_its_case_or_by_the_hub(world: World) -> None:
    await offers(world, exported("a", 2))
    first, second = cases(2)
    await occupancies(world, taken("1", "a", case_id=first), taken("2", "a", case_id=second))
    await world.hear(intake.CaseClosed(case_id=first))
    assert await world.told(first) == ["OccupancyStarted", "OccupancyEnded"]
    offer_id = await imported_id(world, "a")
    assert await world.nights(offer_id, 2, HUB) == [(2, 1), (2, 1)]
    occupancy_id = await world.database.pool.fetchval(
        "SELECT occupancy_id FROM occupancy WHERE case_id = $1", second
    )
    with pytest.raises(Refusal, match="until-date-outside-stay"):
        await world.check_out(str(occupancy_id), "2026-03-09", HUB)
    await world.check_out(str(occupancy_id), who=HUB)
    assert await world.nights(offer_id, 2, HUB) == [(2, 0), (2, 0)]
    assert (await occupancies(world, taken("2", "a", case_id=second)))[0] == [("unchanged", "")]


async def test_a_referral_to_an_imported_place_is_answered_by_the_hub(world: World) -> None:
    await offers(world, exported("a", 2))
    [case_id] = cases(1)
    held = (await world.tonight(facts(), case_id=case_id)).held
    await world.client(case_id, held.referral_id, True)
    assert await world.provider(held.referral_id, True, HUB) == "accepted"
    await world.advance(timedelta(hours=1))
    await world.check_in(held.referral_id, HUB)


async def test_a_place_that_a_later_whole_export_does_not_tell_of_has_ended(world: World) -> None:
    await offers(world, exported("a", 4))
    await occupancies(world, taken("1", "a"), taken("2", "a"))
    assert await told_whole(world, AS_OF) == 0
    later = "2026-03-31"
    request = pb.ImportOccupanciesRequest(source_id="export", as_of=later, occupancies=[taken("1", "a")])
    await world.ask("ImportOccupancies", request, OPERATOR)
    assert await told_whole(world, later) == 1
    assert await told_whole(world, later) == 0
    assert await told_whole(world, AS_OF) == 0  # an older export takes nothing back
    rows = await world.database.pool.fetch(
        "SELECT source_key, ended FROM occupancy WHERE source_id = 'export' ORDER BY source_key"
    )
    assert [tuple(row) for row in rows] == [("1", False), ("2", True)]


async def told_whole(world: World, as_of: str) -> int:
    """How many places ended when the whole export of that day was told."""
    request = pb.ImportOccupanciesRequest(source_id="export", as_of=as_of, complete=True)
    return int((await world.ask("ImportOccupancies", request, OPERATOR)).ended)
