"""A household is never sent where it must not go, and of one that was erased nothing stays known."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as said
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.call import Principal
from services.chassis.ids import uuid7
from tests.support.matching import HUB, INTAKE, REFERRALS, World, facts, lodging, matching, reported
from tests.support.stack import RunningStack

# Providers whose agencies are named as in the region: by UUID.
NORTH = Principal("north-desk", str(uuid7()), frozenset({"provider"}))
SOUTH = Principal("south-desk", str(uuid7()), frozenset({"provider"}))
WORKER = Principal("worker", str(uuid7()), frozenset({"case_manager"}))


@pytest.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as made:
        yield made


def changed(case_id: str, *avoid: str, revision: int = 2, **more: Any) -> intake.HouseholdChanged:
    return intake.HouseholdChanged(case_id=case_id, facts=facts(revision=revision, avoid=avoid, **more))


async def held(world: World, case_id: str, need: common.Need, of: common.Facts) -> str:
    """Where the need is referred to, by name; "" when nowhere."""
    answer = await world.tonight(of, need, case_id)
    return str(answer.held.place) if answer.HasField("held") else ""


async def test_neither_the_place_nor_any_place_of_its_provider_is_proposed(world: World) -> None:
    place = await world.offer(1, who=NORTH, name="North one")
    await world.offer(5, who=NORTH, name="North two")
    assert await held(world, str(uuid7()), lodging(), facts(avoid=[place])) == "North two"
    assert await held(world, str(uuid7()), lodging(), facts(avoid=[NORTH.agency])) == ""
    await world.offer(5, who=SOUTH, name="South")
    assert await held(world, str(uuid7()), lodging(), facts(avoid=[NORTH.agency])) == "South"
    await world.offer(1, who=NORTH, name="North three")
    avoiding = facts(avoid=[NORTH.agency, str(uuid7())])
    assert await held(world, str(uuid7()), lodging(), avoiding) == "South"


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_place_that_is_held_or_agreed_is_let_go_when_the_household_must_not_go_there(
    world: World, accepted: bool
) -> None:
    await world.offer(1, who=NORTH, name="North")
    case_id = str(uuid7())
    await world.hear(reported(case_id, lodging(), facts()))
    [proposed] = await world.said(REFERRALS, case_id)
    assert isinstance(proposed, said.ReferralProposed)
    if accepted:
        await world.client(case_id, proposed.referral_id, accepted=True)
        await world.provider(proposed.referral_id, accepted=True, who=NORTH)
    await world.offer(1, who=SOUTH, name="South")
    await world.hear(changed(case_id, NORTH.agency))
    told = await world.told(case_id)
    assert told[-2:] == ["ReferralWithdrawn", "ReferralProposed"]
    again = (await world.said(REFERRALS, case_id))[-1]
    assert await world.described(case_id, again) == [("South", "555-0142")]
    await world.consistent()


async def test_workers_pick_places_by_name_and_a_hidden_one_is_not_there(world: World) -> None:
    place = await world.offer(1, who=NORTH, name="Harbour Motel")
    await world.offer(1, who=HUB, name="Harbour Safe House", confidential=True)
    await world.offer(1, who=SOUTH, name="Old Mill", area="hillside")
    answer = await world.ask("ListPlaces", pb.ListPlacesRequest(name="harbour"), WORKER)
    assert list(answer.places) == [
        pb.NamedPlace(offer_id=place, provider_id=NORTH.agency, name="Harbour Motel", area="riverside")
    ]
    everything = await world.ask("ListPlaces", pb.ListPlacesRequest(), WORKER)
    assert [each.name for each in everything.places] == ["Harbour Motel", "Old Mill"]
    with pytest.raises(Exception, match="role"):
        await world.ask("ListPlaces", pb.ListPlacesRequest(), INTAKE)


async def test_of_an_erased_case_nothing_stays_known(world: World) -> None:
    await world.offer(2, who=NORTH)
    case_id, avoided = str(uuid7()), str(uuid7())
    known = facts(adults=2, children=3, avoid=[avoided], pets=True)
    await world.hear(
        reported(case_id, lodging(nights=3), known, "ACDE3467"),
        reported(case_id, lodging(nights=9), known, "ACDE3467"),
    )
    await world.hear(intake.CaseErased(case_id=case_id))
    assert (await world.told(case_id))[
        -1
    ] == "ReferralWithdrawn" or "ReferralProposed" not in await world.told(case_id)
    row = await world.database.pool.fetchrow("SELECT * FROM household WHERE case_id = $1::uuid", case_id)
    assert row is not None
    left = {name: value for name, value in row.items() if name not in ("case_id", "revision")}
    assert left == {
        "adults": 0, "children": 0, "infants": 0, "newborn_week": "", "wheelchair": False, "pets": False,
        "unsheltered": False, "confidential": False, "area": "", "arrival_code": "", "avoid": [],
        "one_place": None, "one_place_revision": 0, "closed": True,
    }  # fmt: skip
    codes = await world.database.pool.fetch(
        "SELECT arrival_code FROM referral WHERE case_id = $1::uuid", case_id
    )
    assert {row["arrival_code"] for row in codes} <= {""}
    unreferred = (
        "SELECT count(*) FROM need WHERE case_id = $1::uuid AND need_id NOT IN (SELECT need_id FROM referral)"
    )
    assert await world.database.pool.fetchval(unreferred, case_id) == 0
    await world.hear(changed(case_id, revision=9, adults=2))
    assert (
        await world.database.pool.fetchval("SELECT adults FROM household WHERE case_id = $1::uuid", case_id)
        == 0
    )
    await world.consistent()
