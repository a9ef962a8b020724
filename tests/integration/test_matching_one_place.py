"""One household that two agencies entered gets one place for a night, whatever comes first."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import matching_pb2 as pb

from services.matching.domain.refusal import Refusal
from tests.support.matching import (
    HUB_PHONE,
    INTAKE,
    MOTEL,
    REFERRALS,
    SHELTER,
    World,
    cases,
    facts,
    lodging,
    matching,
    owner,
    reported,
)
from tests.support.stack import RunningStack


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        yield world
        await world.consistent()
        await one_case_a_night(world)


async def one_case_a_night(world: World) -> None:
    """What the rows of households' nights say is what holds and stays say, for each household and night."""
    wrong = await world.database.pool.fetch(
        """
        SELECT r.one_place, night::date, r.case_id, count(*) AS places
        FROM referral AS r LEFT JOIN occupancy AS o USING (referral_id)
        CROSS JOIN generate_series(
            r.from_date, COALESCE(o.until_date, r.from_date + r.nights) - 1, interval '1 day'
        ) AS night
        WHERE r.one_place IS NOT NULL AND r.shares IS NULL AND r.state IN ('proposed', 'accepted')
          AND o.ended IS NOT TRUE AND night >= $1
        GROUP BY 1, 2, 3
        EXCEPT SELECT one_place, on_night, case_id, places FROM one_place_night
        """,
        world.clock.now(),
    )
    assert wrong == []


def known(key: str | None = None, revision: int = 1, **more: Any) -> common.Facts:
    told = facts(**more)
    told.one_place.CopyFrom(common.OnePlace(key=KEY if key is None else key, revision=revision))
    return told


KEY = str(uuid.uuid4())


async def tonight(world: World, case_id: str, need: common.Need, **more: Any) -> pb.FindTonightResponse:
    return await world.tonight(known(**more), need, case_id)


async def described(world: World, case_id: str, referral_id: str) -> tuple[str, str]:
    """What intake may show of the place, and whom to call."""
    request = pb.DescribeReferralsRequest(case_id=case_id, referral_ids=[referral_id])
    [shown] = (await world.ask("DescribeReferrals", request, INTAKE)).referrals
    return shown.place, shown.contact


async def test_a_second_agency_is_given_the_same_place_and_no_second_bed_is_taken(world: World) -> None:
    offer_id = await world.offer(1)
    other = await world.offer(5, who=MOTEL, name="West motel")
    first, second = cases(2)
    one = await tonight(world, first, lodging(nights=3))
    two = await tonight(world, second, lodging(nights=2))
    assert (one.held.place, two.held.place) == ("East shelter", "")
    assert (one.held.contact, two.held.contact) == ("555-0142", HUB_PHONE)
    assert (two.held.state, two.held.nights, two.held.head_count) == ("proposed", 2, 1)
    assert one.held.referral_id != two.held.referral_id
    assert await world.nights(offer_id, 4) == [(1, 1), (1, 1), (1, 1), (1, 0)]
    assert await world.nights(other, 1, MOTEL) == [(5, 0)]
    assert await world.told(first) == await world.told(second) == ["ReferralProposed"]
    listed = await world.ask("ListReferrals", pb.ListReferralsRequest(), SHELTER)
    ids = [two.held.referral_id, one.held.referral_id]
    assert [(each.referral_id, each.units) for each in listed.referrals] == list(
        zip(ids, (0, 1), strict=True)
    )
    assert len({each.arrival_code for each in listed.referrals}) == 1


async def test_a_full_region_gives_the_second_case_the_one_place_as_well(world: World) -> None:
    offer_id = await world.offer(1)
    first, second = cases(2)
    held = (await tonight(world, first, lodging())).held
    again = (await tonight(world, second, lodging())).held
    assert (held.place, again.place) == ("East shelter", "")
    stranger = await world.tonight(known(str(uuid.uuid4())), lodging())
    assert stranger.WhichOneof("answer") == "none"
    assert await world.nights(offer_id, 1) == [(1, 1)]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("together", [False, True])
async def test_in_whatever_order_the_events_come(world: World, swapped: bool, together: bool) -> None:
    offer_id = await world.offer(4)
    first, second = cases(2)
    heard = [reported(case_id, lodging(nights=2), known()) for case_id in (first, second)]
    heard = heard[::-1] if swapped else heard
    opened = [intake.CaseOpened(case_id=each.case_id, facts=each.facts) for each in heard]
    if together:
        await world.hear(*opened, *heard)
    else:
        for event in (*heard, *opened):
            await world.hear(event)
    assert await world.nights(offer_id, 2) == [(4, 1), (4, 1)]
    assert await world.told(first) == await world.told(second) == ["ReferralProposed"]


async def test_at_the_same_moment_one_place_is_taken(world: World) -> None:
    offer_id = await world.offer(9)
    answers = await asyncio.gather(*(tonight(world, case_id, lodging()) for case_id in cases(6)))
    assert sorted(each.held.place for each in answers) == [""] * 5 + ["East shelter"]
    assert await world.nights(offer_id, 1) == [(9, 1)]


async def test_a_need_that_overtook_its_case_and_older_names_change_nothing(world: World) -> None:
    offer_id = await world.offer(9)
    first, second = cases(2)
    need = lodging()
    await tonight(world, first, need, revision=2)
    await world.hear(intake.CaseOpened(case_id=first, facts=known(str(uuid.uuid4()), 1)))
    await world.hear(reported(first, need, facts()))
    await tonight(world, second, lodging())
    assert await world.nights(offer_id, 1) == [(9, 1)]


async def test_each_case_is_confirmed_and_arrives_by_itself_and_both_move_out_together(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    one = (await tonight(world, first, lodging(nights=2))).held
    two = (await tonight(world, second, lodging(nights=2))).held
    assert await world.client(second, two.referral_id, accepted=True) == "proposed"
    await world.provider(one.referral_id, accepted=True)
    assert await world.client(first, one.referral_id, accepted=True) == "accepted"
    assert await world.told(second) == ["ReferralProposed"]
    assert await described(world, second, two.referral_id) == ("", HUB_PHONE)
    await world.provider(two.referral_id, accepted=True)
    assert await world.told(second) == ["ReferralProposed", "ReferralAccepted"]
    assert await described(world, second, two.referral_id) == ("East shelter", "555-0142")
    with pytest.raises(Refusal) as early:
        await world.check_in(two.referral_id)
    assert early.value.reason == "stay-not-begun"
    await world.check_in(one.referral_id)
    assert await world.told(second) == ["ReferralProposed", "ReferralAccepted"]
    await world.check_in(two.referral_id)
    assert await world.told(second) == ["ReferralProposed", "ReferralAccepted", "OccupancyStarted"]
    assert await world.nights(offer_id, 2) == [(2, 1), (2, 1)]
    await world.check_out(one.referral_id, "2026-03-03")
    assert (await world.told(first))[-1] == (await world.told(second))[-1] == "OccupancyEnded"
    ended = [(await world.said(REFERRALS, case_id))[-1].until_date for case_id in (first, second)]
    assert ended == ["2026-03-03", "2026-03-03"]
    assert await world.nights(offer_id, 2) == [(2, 1), (2, 0)]
    third = (await tonight(world, cases(1)[0], lodging(from_date="2026-03-03"))).held
    assert third.place == "East shelter"
    assert await world.nights(offer_id, 2) == [(2, 1), (2, 1)]


async def test_whoever_asks_later_shares_the_place_that_is_lived_in(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    one = (await tonight(world, first, lodging(nights=5))).held
    await world.provider(one.referral_id, accepted=True)
    await world.client(first, one.referral_id, accepted=True)
    await world.check_in(one.referral_id)
    await world.advance(timedelta(days=1))
    two = (await tonight(world, second, lodging(nights=3, from_date="2026-03-03"))).held
    assert (two.place, two.nights, two.state) == ("", 3, "proposed")
    assert await world.client(second, two.referral_id, accepted=True) == "proposed"
    assert await world.told(second) == ["ReferralProposed"]
    await world.provider(two.referral_id, accepted=True)
    await world.check_in(two.referral_id)
    assert await world.told(second) == ["ReferralProposed", "ReferralAccepted", "OccupancyStarted"]
    assert await world.nights(offer_id, 4) == [(2, 1), (2, 1), (2, 1), (2, 1)]
    await world.advance(timedelta(days=4))
    assert (await world.told(first))[-1] == (await world.told(second))[-1] == "OccupancyEnded"


async def test_the_place_stays_the_households_when_one_agency_takes_its_need_back(world: World) -> None:
    offer_id = await world.offer(1)
    first, second, third = cases(3)
    need = lodging(nights=2)
    await tonight(world, first, need)
    two = (await tonight(world, second, lodging(nights=2))).held
    three = (await tonight(world, third, lodging(nights=2))).held
    await world.hear(intake.NeedWithdrawn(case_id=first, need_id=need.need_id))
    assert await world.told(first) == ["ReferralProposed", "ReferralWithdrawn"]
    assert await world.told(second) == await world.told(third) == ["ReferralProposed"]
    assert await world.nights(offer_id, 2) == [(1, 1), (1, 1)]
    listed = await world.ask("ListReferrals", pb.ListReferralsRequest(), SHELTER)
    held = [each.referral_id for each in listed.referrals if each.units]
    assert held == [two.referral_id]
    await world.provider(two.referral_id, accepted=True)
    assert await world.client(third, three.referral_id, accepted=True) == "proposed"


async def test_a_silent_first_case_leaves_the_place_to_the_second(world: World) -> None:
    offer_id = await world.offer(1)
    first, second = cases(2)
    await tonight(world, first, lodging())
    await world.advance(timedelta(hours=1))
    two = (await tonight(world, second, lodging())).held
    await world.client(second, two.referral_id, accepted=True)
    await world.advance(timedelta(hours=1, minutes=10))
    assert await world.told(first) == ["ReferralProposed", "ReferralExpired"]
    assert await world.told(second) == ["ReferralProposed"]
    assert await world.provider(two.referral_id, accepted=True) == "accepted"
    assert await world.nights(offer_id, 1) == [(1, 1)]


async def test_a_no_of_the_provider_is_a_no_for_both(world: World) -> None:
    await world.offer(1)
    motel = await world.offer(5, who=MOTEL, name="West motel")
    first, second = cases(2)
    one = (await tonight(world, first, lodging())).held
    await tonight(world, second, lodging())
    assert one.place == "East shelter"
    await world.provider(one.referral_id, accepted=False)
    for case_id in (first, second):
        assert await world.told(case_id) == ["ReferralProposed", "ReferralRejected", "ReferralProposed"]
    assert await world.nights(motel, 1, MOTEL) == [(5, 1)]


async def test_who_declines_through_one_agency_is_told_what_a_full_region_says(world: World) -> None:
    await world.offer(1)
    motel = await world.offer(5, who=MOTEL, name="West motel")
    first, second = cases(2)
    await tonight(world, first, lodging())
    need = lodging()
    two = (await tonight(world, second, need)).held
    assert await world.client(second, two.referral_id, accepted=False) == "declined"
    assert await world.told(second) == ["ReferralProposed", "ReferralDeclined", "NeedUnmatched"]
    again = await tonight(world, second, need)
    assert again.none.reason == common.UNMATCHED_REASON_ALL_FULL
    assert await world.told(first) == ["ReferralProposed"]
    assert await world.nights(motel, 1, MOTEL) == [(5, 0)]


async def test_nights_before_the_other_place_begins_are_found_on_their_own(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    await tonight(world, first, lodging(nights=2, from_date="2026-03-04"))
    two = (await tonight(world, second, lodging(nights=4))).held
    assert (two.from_date, two.nights) == ("2026-03-02", 2)
    assert await world.nights(offer_id, 4) == [(2, 1), (2, 1), (2, 1), (2, 1)]


async def test_a_household_in_hiding_is_compared_with_nobody(world: World) -> None:
    """A night that is held twice because one of the entries hides is accepted, and lapses."""
    open_place = await world.offer(2)
    hidden_place = await world.offer(2, name="Quiet house", confidential=True)
    first, second = cases(2)
    await tonight(world, first, lodging())
    await world.hear(reported(second, lodging(), facts(confidential=True), "HIDDEN23"))
    assert await world.nights(open_place, 1) == [(2, 1)]
    assert await world.nights(hidden_place, 1) == [(2, 1)]
    await world.advance(timedelta(hours=3))
    assert await world.nights(open_place, 1) == [(2, 0)]


async def test_who_begins_to_hide_lets_the_shared_place_go(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    await tonight(world, first, lodging())
    await tonight(world, second, lodging())
    hiding = facts(confidential=True, revision=2)
    hiding.one_place.CopyFrom(common.OnePlace(key="", revision=2))
    await world.hear(intake.HouseholdChanged(case_id=second, facts=hiding))
    assert await world.told(second) == ["ReferralProposed", "ReferralWithdrawn", "NeedUnmatched"]
    assert await world.told(first) == ["ReferralProposed"]
    assert await world.nights(offer_id, 1) == [(2, 1)]


async def test_cases_that_turn_out_to_be_one_household_share_and_part_again(world: World) -> None:
    offer_id = await world.offer(3)
    first, second = cases(2)
    own = str(uuid.uuid4())
    await tonight(world, first, lodging())
    await tonight(world, second, lodging(), key=own)
    assert await world.nights(offer_id, 1) == [(3, 2)]
    await world.hear(intake.HouseholdChanged(case_id=second, facts=known(revision=2)))
    assert await world.nights(offer_id, 1) == [(3, 1)]
    assert await world.told(second) == ["ReferralProposed", "ReferralWithdrawn", "ReferralProposed"]
    await world.hear(intake.HouseholdChanged(case_id=second, facts=known(own, revision=3)))
    assert await world.nights(offer_id, 1) == [(3, 2)]
    assert await world.told(first) == ["ReferralProposed"]


async def test_another_name_without_another_case_keeps_the_place(world: World) -> None:
    offer_id = await world.offer(3)
    [case_id] = cases(1)
    await tonight(world, case_id, lodging())
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=known(str(uuid.uuid4()), revision=2)))
    assert await world.told(case_id) == ["ReferralProposed"]
    assert await world.nights(offer_id, 1) == [(3, 1)]


async def test_a_longer_stay_is_the_longer_stay_of_who_has_the_place(world: World) -> None:
    offer_id = await world.offer(1)
    first, second = cases(2)
    one = (await tonight(world, first, lodging(nights=2))).held
    two = (await tonight(world, second, lodging(nights=2))).held
    for case_id, held in ((first, one), (second, two)):
        await world.client(case_id, held.referral_id, accepted=True)
        await world.provider(held.referral_id, accepted=True)
        await world.check_in(held.referral_id)

    async def extended(case_id: str, referral_id: str, last_night: str) -> None:
        request = pb.ExtendOccupancyRequest(case_id=case_id, referral_id=referral_id, last_night=last_night)
        await world.ask("ExtendOccupancy", request, INTAKE)

    with pytest.raises(Refusal) as full:
        await extended(second, two.referral_id, "2026-03-04")
    assert full.value.reason == "nights-full"
    await extended(first, one.referral_id, "2026-03-05")
    await extended(second, two.referral_id, "2026-03-04")
    assert await world.nights(offer_id, 5) == [(1, 1)] * 4 + [(1, 0)]


async def test_the_database_itself_refuses_a_second_case_for_a_night(world: World) -> None:
    await world.offer(2)
    await tonight(world, cases(1)[0], lodging())
    connection = await owner(world.database)
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "INSERT INTO one_place_night (one_place, on_night, case_id, places) VALUES ($1, $2, $3, 1)",
            uuid.UUID(KEY), await connection.fetchval("SELECT DATE '2026-03-02'"), uuid.uuid4(),
        )  # fmt: skip
    await connection.close()


async def living(world: World, case_id: str, nights: int = 5, **more: Any) -> pb.ReferralView:
    """The household lives in its place through that case."""
    held = (await tonight(world, case_id, lodging(nights=nights), **more)).held
    provider = MOTEL if held.place == "West motel" else SHELTER
    await world.provider(held.referral_id, accepted=True, who=provider)
    await world.client(case_id, held.referral_id, accepted=True)
    await world.check_in(held.referral_id, provider)
    return held


def hiding() -> common.Facts:
    told = facts(confidential=True, revision=2)
    told.one_place.CopyFrom(common.OnePlace(key="", revision=2))
    return told


async def keys(world: World, case_id: str) -> tuple[int, int]:
    """How many referrals, and how many nights, of the case go by a key."""
    of_case = uuid.UUID(case_id)
    pool = world.database.pool
    named = "SELECT count(*) FROM referral WHERE case_id = $1 AND one_place IS NOT NULL"
    nights = "SELECT count(*) FROM one_place_night WHERE case_id = $1"
    return await pool.fetchval(named, of_case), await pool.fetchval(nights, of_case)


async def test_where_a_household_lives_that_hides_now_is_told_to_no_other_case(world: World) -> None:
    offer_id = await world.offer(2)
    await world.offer(5, who=MOTEL, name="West motel")
    first, second, third = cases(3)
    held = await living(world, first)
    before = (await tonight(world, third, lodging(nights=2))).held
    await world.hear(intake.HouseholdChanged(case_id=first, facts=hiding()))
    assert await keys(world, first) == (0, 0)
    assert await world.told(third) == ["ReferralProposed", "ReferralExpired", "ReferralProposed"]
    assert await described(world, third, before.referral_id) == ("", HUB_PHONE)
    after = (await tonight(world, second, lodging(nights=2))).held
    shares = "SELECT shares FROM referral WHERE case_id = $1 AND state = 'proposed'"
    [one] = await world.database.pool.fetch(shares, uuid.UUID(third))
    assert one["shares"] is None and after.place == ""
    [taken, *_] = await world.nights(offer_id, 1)
    assert taken[1] == 2
    await world.check_out(held.referral_id)
    assert (await world.told(first))[-1] == "OccupancyEnded"


async def test_an_entry_of_somebodys_name_tells_nothing_of_where_they_sleep(world: World) -> None:
    """The answers are alike wherever that is, also to a case that avoids one of the places."""
    shelter = await world.offer(1)
    motel = await world.offer(1, who=MOTEL, name="West motel")
    victims = [str(uuid.uuid4()) for _ in range(2)]
    places = [(await living(world, cases(1)[0], key=key)).place for key in victims]
    assert sorted(places) == ["East shelter", "West motel"]
    told = []
    for key in victims:
        for avoid in ([], [shelter], [motel]):
            [sham] = cases(1)
            facts_told = known(key)
            facts_told.avoid.extend(avoid)
            held = (await world.tonight(facts_told, lodging(nights=2), sham)).held
            assert await world.client(sham, held.referral_id, accepted=True) == "proposed"
            assert await described(world, sham, held.referral_id) == ("", HUB_PHONE)
            assert await world.told(sham) == ["ReferralProposed"]
            held.referral_id = held.arrival_code = ""
            told.append(held.SerializeToString())
    assert len(set(told)) == 1


async def test_of_a_household_that_is_erased_no_key_is_left(world: World) -> None:
    offer_id = await world.offer(2)
    first, second = cases(2)
    await living(world, first)
    assert await keys(world, first) == (1, 5)
    await world.hear(intake.CaseErased(case_id=first))
    assert await keys(world, first) == (0, 0)
    held = (await tonight(world, second, lodging(nights=2))).held
    assert held.place == "East shelter"
    assert await world.nights(offer_id, 1) == [(2, 2)]


async def test_nights_that_are_over_are_nobodys(world: World) -> None:
    await world.offer(2)
    [case_id] = cases(1)
    await living(world, case_id)
    await world.advance(timedelta(days=3))
    assert await keys(world, case_id) == (1, 2)
