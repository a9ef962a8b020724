"""Matching and the stays that intake tells of: longer ones, searches that become urgent, places that were left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as said
from aid.matching.v1 import matching_pb2 as pb

from deploy.kafka.topics import FILE as TOPICS
from services.chassis.operate import operate
from services.chassis.topics import Topics
from services.matching.domain.refusal import Refusal
from tests.support.matching import (
    INTAKE,
    OPERATOR,
    REFERRALS,
    TONIGHT,
    World,
    cases,
    facts,
    lodging,
    matching,
    reported,
)
from tests.support.stack import RunningStack

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        yield world


async def moved_in(world: World, nights: int = 3) -> tuple[str, str]:
    """A household that lives in a place from tonight on; its case and the referral that led there."""
    (case_id,) = cases(1)
    held = (await world.tonight(facts(), lodging(nights), case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    await world.check_in(held.referral_id)
    return case_id, held.referral_id


def longer(case_id: str, referral_id: str, last_night: str) -> pb.ExtendOccupancyRequest:
    return pb.ExtendOccupancyRequest(case_id=case_id, referral_id=referral_id, last_night=last_night)


async def test_a_stay_is_extended_once_however_often_it_is_asked_for(world: World) -> None:
    offer_id = await world.offer(2)
    case_id, referral_id = await moved_in(world)
    for _ in range(2):
        answer = await world.ask("ExtendOccupancy", longer(case_id, referral_id, "2026-03-06"), INTAKE)
        assert answer.last_night == "2026-03-06"
    assert await world.nights(offer_id) == [(2, 1)] * 5 + [(2, 0)] * 2
    [extended] = [each for each in await world.said(REFERRALS) if isinstance(each, said.OccupancyExtended)]
    assert (extended.case_id, extended.last_night) == (case_id, "2026-03-06")
    await world.consistent()
    await world.advance(4 * DAY)
    assert "OccupancyEnded" not in await world.told(case_id)
    await world.advance(DAY)
    assert (await world.told(case_id))[-1] == "OccupancyEnded"
    await world.consistent()


async def test_nights_that_are_full_and_stays_that_are_too_long_are_refused(world: World) -> None:
    await world.offer(1, max_nights=5)
    case_id, referral_id = await moved_in(world)
    (other,) = cases(1)
    assert (await world.tonight(facts(), lodging(1, "2026-03-06"), other)).held.referral_id
    for last_night, reason in (
        ("2026-03-06", "nights-full"),
        ("2026-03-07", "max-stay-reached"),
        ("2026-03-03", "last-night-not-later"),
        ("9999-12-31", "nights-out-of-range"),
    ):
        with pytest.raises(Refusal) as no:
            await world.ask("ExtendOccupancy", longer(case_id, referral_id, last_night), INTAKE)
        assert no.value.reason == reason
    with pytest.raises(Refusal, match="not-found"):
        await world.ask("ExtendOccupancy", longer(other, referral_id, "2026-03-05"), INTAKE)
    answer = await world.ask("ExtendOccupancy", longer(case_id, referral_id, "2026-03-05"), INTAKE)
    assert answer.last_night == "2026-03-05"
    await world.consistent()


async def test_a_stay_that_has_ended_is_not_extended(world: World) -> None:
    await world.offer(1)
    case_id, referral_id = await moved_in(world)
    await world.check_out(referral_id)
    with pytest.raises(Refusal) as no:
        await world.ask("ExtendOccupancy", longer(case_id, referral_id, "2026-03-09"), INTAKE)
    assert no.value.reason == "stay-ended"


async def test_a_search_for_what_comes_next_becomes_urgent_and_no_longer_rests(world: World) -> None:
    (case_id,) = cases(1)
    planned = lodging(7, "2026-03-05", common.URGENCY_PLANNED)
    await world.hear(reported(case_id, planned, facts()))
    rests = "UPDATE need SET rests_until = '2026-03-09' WHERE state = 'waiting'"
    await world.database.pool.execute(rests)
    await world.offer(1)
    assert "ReferralProposed" not in await world.told(case_id)
    ending = intake.StayEnding(case_id=case_id, last_night="2026-03-04", days_left=3, need_id=planned.need_id)
    await world.hear(ending)
    assert (await world.told(case_id))[-1] == "ReferralProposed"
    assert await world.database.pool.fetchval("SELECT urgency FROM need") == "soon"


async def test_what_became_urgent_stays_so_when_the_need_is_changed(world: World) -> None:
    """Intake, whose clock it is, goes on calling it planned: that is not what was changed."""
    [case_id] = cases(1)
    planned = lodging(nights=2, urgency=common.URGENCY_PLANNED)
    await world.hear(reported(case_id, planned, facts()))
    ending = intake.StayEnding(case_id=case_id, last_night="2026-03-04", days_left=3, need_id=planned.need_id)
    await world.hear(ending)
    changed = lodging(3, urgency=common.URGENCY_PLANNED, need_id=planned.need_id)
    pool = world.database.pool
    for rests in (None, "2026-03-09"):  # told again it is no news, and nobody is asked again
        await pool.execute("UPDATE need SET rests_until = $1::text::timestamptz", rests)
        await world.hear(intake.NeedChanged(case_id=case_id, need=changed, facts=facts()))
        [row] = await pool.fetch("SELECT nights, urgency, rests_until IS NOT NULL FROM need")
        assert tuple(row) == (3, "soon", rests is not None)
    tonight = lodging(3, need_id=planned.need_id)
    await world.hear(intake.NeedChanged(case_id=case_id, need=tonight, facts=facts()))
    assert await pool.fetchval("SELECT urgency FROM need") == "tonight"


@pytest.mark.parametrize(("extended", "ends"), [(False, True), (True, False)])
async def test_a_place_that_was_left_by_intakes_word_is_free_unless_it_was_extended_meanwhile(
    world: World, extended: bool, ends: bool
) -> None:
    offer_id = await world.offer(1)
    case_id, referral_id = await moved_in(world)
    if extended:
        await world.ask("ExtendOccupancy", longer(case_id, referral_id, "2026-03-06"), INTAKE)
    ended = intake.StayEnded(
        case_id=case_id, referral_id=referral_id, from_date=TONIGHT, until_date="2026-03-05"
    )
    for _ in range(2):
        await world.hear(ended)
    assert ("OccupancyEnded" in await world.told(case_id)) == ends
    assert (await world.nights(offer_id))[4] == ((1, 0) if ends else (1, 1))
    await world.consistent()


async def test_a_place_of_an_import_is_free_when_intake_knows_that_it_was_left(world: World) -> None:
    (case_id,) = cases(1)
    bed = pb.ImportedOffer(
        source_key="bed",
        offer=pb.Offer(
            kind=common.NEED_KIND_LODGING, name="House", unit=pb.UNIT_BED, capacity=1,
            rules=pb.Rules(children=True, without_children=True),
        ),
    )  # fmt: skip
    taken = pb.ImportedOccupancy(
        source_key="stay", offer_source_key="bed", case_id=case_id, persons=1, from_date="2026-01-01"
    )
    await world.ask(
        "ImportOffers", pb.ImportOffersRequest(source_id="s", as_of=TONIGHT, offers=[bed]), OPERATOR
    )
    await world.ask(
        "ImportOccupancies",
        pb.ImportOccupanciesRequest(source_id="s", as_of=TONIGHT, occupancies=[taken]),
        OPERATOR,
    )
    await world.hear(intake.StayEnded(case_id=case_id, from_date="2026-01-01", until_date="2026-03-03"))
    assert await world.told(case_id) == ["OccupancyStarted", "OccupancyEnded"]
    await world.consistent()


@pytest.mark.parametrize("together", [True, False])
async def test_a_case_that_goes_on_after_it_was_closed_is_matched_again(world: World, together: bool) -> None:
    await world.offer(1)
    (case_id,) = cases(1)
    outside = facts(unsheltered=True, revision=7)
    closed = [reported(case_id, lodging(), facts(revision=6)), intake.CaseClosed(case_id=case_id)]
    again = [
        intake.CaseReopened(case_id=case_id, facts=outside, arrival_code=""),
        reported(case_id, lodging(), outside),
    ]
    for batch in [closed + again] if together else [closed, again]:
        await world.hear(*batch)
    assert (await world.told(case_id))[-1] == "ReferralProposed"
    row = await world.database.pool.fetchrow("SELECT closed, unsheltered, revision FROM household")
    assert row is not None
    assert tuple(row) == (False, True, 7)


async def test_a_snapshot_tells_the_places_that_are_taken(world: World) -> None:
    await world.offer(2)
    case_id, referral_id = await moved_in(world)
    app = world.app
    await operate(
        ["reseed", "--topic", REFERRALS, "--key", case_id], database=world.database, works=app.works, handlers=app.handlers,
        snapshots=app.snapshots, topics=Topics.load(TOPICS), say=lambda _: None,
    )  # fmt: skip
    snapshot = (await world.said(REFERRALS, case_id))[-1]
    [taken] = snapshot.occupancies
    assert (taken.referral_id, taken.from_date, taken.last_night) == (referral_id, TONIGHT, "2026-03-04")


async def lodged(world: World, nights: int, *, of: common.Facts) -> tuple[str, common.Need, str]:
    """A household that lives in the first place that is found for it; its case, its need and its referral."""
    (case_id,) = cases(1)
    need = lodging(nights)
    held = (await world.tonight(of, need, case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    await world.check_in(held.referral_id)
    return case_id, need, held.referral_id


def grown(case_id: str, of: common.Facts) -> intake.HouseholdChanged:
    return intake.HouseholdChanged(case_id=case_id, facts=of)


async def outgrown(world: World) -> list[said.PlaceOutgrown]:
    return [each for each in await world.said(REFERRALS) if isinstance(each, said.PlaceOutgrown)]


async def test_of_a_place_that_a_household_grew_out_of_is_told_once_for_so_many_heads(world: World) -> None:
    await world.offer(6)
    case_id, need, referral_id = await lodged(world, 4, of=facts(2))
    told = said.PlaceOutgrown(case_id=case_id, referral_id=referral_id, need_id=need.need_id)

    await world.hear(grown(case_id, facts(2, revision=2, pets=True)))
    assert await outgrown(world) == []
    bigger = grown(case_id, facts(2, infants=1, revision=3))
    await world.hear(bigger)
    await world.hear(bigger)
    await world.hear(grown(case_id, facts(2, infants=1, revision=4, pets=True)))
    assert await outgrown(world) == [told]

    await world.hear(grown(case_id, facts(2, infants=2, revision=5)))
    assert await outgrown(world) == [told, told]
    await world.hear(grown(case_id, facts(2, revision=6)), grown(case_id, facts(2, revision=7)))
    await world.hear(grown(case_id, facts(2, infants=2, revision=8)))
    assert await outgrown(world) == [told, told, told]
    await world.check_out(referral_id)
    await world.hear(grown(case_id, facts(2, infants=3, revision=9)))
    assert len(await outgrown(world)) == 3


async def test_a_newborn_who_comes_during_the_stay_counts_and_one_who_comes_later_does_not(
    world: World,
) -> None:
    await world.offer(6)
    case_id, _, referral_id = await lodged(world, 3, of=facts(1))
    await world.hear(grown(case_id, facts(1, revision=2, newborn_space_from_week="2026-W11")))
    assert await outgrown(world) == []
    # The stay lasts into that week now.
    await world.ask("ExtendOccupancy", longer(case_id, referral_id, "2026-03-09"), INTAKE)
    assert [each.referral_id for each in await outgrown(world)] == [referral_id]


async def test_a_room_is_outgrown_by_its_limit_or_by_a_child_where_none_may_live(world: World) -> None:
    adults = pb.Rules(max_persons=2, children=False, without_children=True, wheelchair=True, pets=True)
    await world.offer(2, unit=pb.UNIT_ROOM, rules=adults)
    crowded, _, first = await lodged(world, 3, of=facts(1))
    parent, _, second = await lodged(world, 3, of=facts(1))
    await world.hear(grown(crowded, facts(2, revision=2)), grown(parent, facts(1, infants=1, revision=2)))
    assert [each.referral_id for each in await outgrown(world)] == [second]
    await world.hear(grown(crowded, facts(3, revision=3)))
    assert [each.referral_id for each in await outgrown(world)] == [second, first]


async def test_who_moves_into_a_larger_place_no_longer_has_the_one_before(world: World) -> None:
    before = await world.offer(1)
    after = await world.offer(2, name="West shelter")
    case_id, _, first = await lodged(world, 4, of=facts(1))
    if await world.nights(before) != [(1, 1)] * 4 + [(1, 0)] * 3:
        before, after = after, before
    bigger = facts(1, infants=1, revision=2)
    await world.hear(grown(case_id, bigger))
    await world.advance(DAY)
    next_one = lodging(3, "2026-03-03", common.URGENCY_SOON)
    held = (await world.tonight(bigger, next_one, case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    assert "OccupancyEnded" not in await world.told(case_id)
    await world.check_in(held.referral_id)
    assert (await world.told(case_id))[-2:] == ["OccupancyStarted", "OccupancyEnded"]
    [left] = [each for each in await world.said(REFERRALS) if isinstance(each, said.OccupancyEnded)]
    assert (left.referral_id, left.until_date) == (first, "2026-03-03")
    assert [taken for _, taken in await world.nights(before)] == [0] * 7
    assert [taken for _, taken in await world.nights(after)][:4] == [2, 2, 2, 0]
    assert len(await outgrown(world)) == 1
    await world.consistent()
