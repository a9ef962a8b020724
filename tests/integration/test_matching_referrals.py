"""A place is held until a stated time, given when both sides said yes, and free again when it is not taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import matching_pb2 as pb

from services.chassis.errors import AidError
from services.chassis.ids import uuid7
from services.matching.adapters.gauges import Gauges
from services.matching.domain.refusal import Refusal
from services.matching.settings import HubSettings, MatchingTerms
from tests.support.matching import (
    ANYBODY,
    AREA,
    HUB,
    HUB_PHONE,
    INTAKE,
    LOGISTICS,
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


async def test_tonight_holds_a_place_and_says_until_when(world: World) -> None:
    offer_id = await world.offer(3)
    answer = await world.tonight(facts(adults=1, children=1), lodging(nights=3))
    held = answer.held
    assert (held.state, held.place, held.nights, held.units, held.head_count) == (
        "proposed", "East shelter", 3, 2, 2,
    )  # fmt: skip
    assert held.expires_at.ToDatetime(UTC) == world.clock.now() + timedelta(hours=2)
    assert len(held.arrival_code) == 8
    assert (await world.nights(offer_id))[:4] == [(3, 2), (3, 2), (3, 2), (3, 0)]


async def test_asking_again_finds_the_same_hold_and_the_late_report_changes_nothing(world: World) -> None:
    offer_id = await world.offer(3)
    [case_id], need = cases(1), lodging()
    first = await world.tonight(facts(), need, case_id)
    second = await world.tonight(facts(), need, case_id)
    assert first.held.referral_id == second.held.referral_id
    await world.hear(
        intake.CaseOpened(case_id=case_id, facts=facts()), reported(case_id, need, facts(revision=0))
    )
    assert await world.nights(offer_id, 1) == [(3, 1)]
    assert await world.told(case_id) == ["ReferralProposed"]


async def test_the_report_alone_finds_a_place_too(world: World) -> None:
    await world.offer(3)
    [case_id], need = cases(1), lodging(urgency=common.URGENCY_SOON)
    await world.hear(intake.CaseOpened(case_id=case_id, facts=facts()), reported(case_id, need, facts()))
    [proposed] = await world.said(REFERRALS, case_id)
    assert (proposed.need_id, proposed.contact) == (need.need_id, HUB_PHONE)
    assert await world.described(case_id, proposed) == [("East shelter", "555-0142")]
    assert proposed.expires_at.ToDatetime(UTC) == world.clock.now() + timedelta(hours=24)
    assert (await world.tonight(facts(), need, case_id)).held.referral_id == proposed.referral_id


async def test_a_topic_says_nothing_of_a_place_whoever_it_belongs_to(world: World) -> None:
    await world.offer(3)
    await world.offer(3, who=HUB, name="Safe house", confidential=True)
    for case_id, of in zip(cases(2), (facts(), facts(confidential=True)), strict=True):
        await world.hear(reported(case_id, lodging(), of, "HKRW4477"))
    said = await world.database.pool.fetch("SELECT headers::text, payload FROM outbox")
    assert len(said) == 2
    for word in (b"East shelter", b"555-0142", b"Safe house", b"HKRW4477"):
        assert not [row for row in said if word in row["payload"] or word.decode() in row["headers"]]


async def test_only_the_cases_own_referrals_are_described_and_only_to_intake(world: World) -> None:
    await world.offer(3)
    mine, theirs = cases(2)
    proposed = []
    for case_id in (mine, theirs):
        await world.hear(reported(case_id, lodging(), facts()))
        proposed += await world.said(REFERRALS, case_id)
    assert await world.described(mine, *proposed) == [("East shelter", "555-0142")]
    assert await world.described(str(uuid7()), *proposed) == []
    with pytest.raises(Refusal, match="too-many-referrals"):
        await world.described(mine, *proposed[:1] * 101)
    request = pb.DescribeReferralsRequest(case_id=mine, referral_ids=[proposed[0].referral_id])
    for who, reason in ((SHELTER, "role-not-allowed"), (LOGISTICS, "caller-not-allowed")):
        with pytest.raises(AidError, match=reason):
            await world.ask("DescribeReferrals", request, who)


async def test_no_place_is_answered_with_the_reason_and_the_fact_that_would_change_it(world: World) -> None:
    answer = await world.tonight(facts())
    assert (answer.none.reason, answer.none.would_change) == (
        common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE, common.WOULD_CHANGE_UNSPECIFIED,
    )  # fmt: skip
    await world.offer(1, area="hillside", rules=pb.Rules(children=True, without_children=True))
    assert (await world.tonight(facts())).none.would_change == common.WOULD_CHANGE_AREA
    assert (await world.tonight(facts(area="hillside", pets=True))).none.would_change == (
        common.WOULD_CHANGE_PETS
    )
    await world.offer(1, max_nights=2)
    longer = await world.tonight(facts(), lodging(nights=3))
    assert (longer.none.reason, longer.none.would_change) == (
        common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE, common.WOULD_CHANGE_AREA,
    )  # fmt: skip
    full = await world.tonight(facts(adults=2))
    assert full.none.reason == common.UNMATCHED_REASON_ALL_FULL


async def test_both_must_say_yes_and_then_the_household_moves_in(world: World) -> None:
    offer_id = await world.offer(2)
    [case_id] = cases(1)
    held = (await world.tonight(facts(adults=2), lodging(nights=2), case_id)).held
    assert await world.client(case_id, held.referral_id, True) == "proposed"
    with pytest.raises(Refusal, match="not-accepted"):
        await world.check_in(held.referral_id)
    assert await world.provider(held.referral_id, True) == "accepted"
    assert await world.provider(held.referral_id, True) == "accepted"
    await world.advance(timedelta(hours=6))
    assert await world.check_in(held.referral_id) == "2026-03-03"
    assert await world.check_in(held.referral_id) == "2026-03-03"
    with pytest.raises(Refusal, match="already-arrived"):
        await world.client(case_id, held.referral_id, False)
    assert await world.told(case_id) == ["ReferralProposed", "ReferralAccepted", "OccupancyStarted"]
    await world.consistent()
    await world.advance(timedelta(days=2))
    assert await world.told(case_id) == [
        "ReferralProposed", "ReferralAccepted", "OccupancyStarted", "OccupancyEnded",
    ]  # fmt: skip
    [*_, ended] = await world.said(REFERRALS, case_id)
    assert ended.until_date == "2026-03-04"
    assert await world.nights(offer_id, 2) == [(2, 0), (2, 0)]


async def test_a_hold_expires_by_itself_and_the_next_in_line_gets_the_place(world: World) -> None:
    await world.offer(1)
    silent, next_in_line = cases(2)
    held = (await world.tonight(facts(), case_id=silent)).held
    answer = await world.tonight(facts(), case_id=next_in_line)
    assert answer.none.reason == common.UNMATCHED_REASON_ALL_FULL
    await world.advance(timedelta(hours=1, minutes=59))
    assert await world.told(silent) == ["ReferralProposed"]
    await world.advance(timedelta(minutes=1))
    assert await world.told(silent) == ["ReferralProposed", "ReferralExpired"]
    assert await world.told(next_in_line) == ["NeedUnmatched", "ReferralProposed"]
    for late in (world.client(silent, held.referral_id, True), world.provider(held.referral_id, False)):
        with pytest.raises(Refusal, match="referral-expired"):
            await late


async def test_an_answer_after_the_time_is_refused_also_before_the_timer_has_fired(world: World) -> None:
    await world.offer(1)
    [case_id] = cases(1)
    held = (await world.tonight(facts(), case_id=case_id)).held
    world.clock.advance(timedelta(hours=2))
    with pytest.raises(Refusal, match="referral-expired"):
        await world.client(case_id, held.referral_id, True)


async def test_a_no_frees_the_place_and_the_household_is_offered_another(world: World) -> None:
    first, second = await world.offer(1), await world.offer(1, who=MOTEL, name="Motel")
    [case_id], need = cases(1), lodging()
    held = (await world.tonight(facts(), need, case_id)).held
    owner_of = {"East shelter": SHELTER, "Motel": MOTEL}
    assert await world.provider(held.referral_id, False, owner_of[held.place]) == "rejected"
    again = (await world.tonight(facts(), need, case_id)).held
    assert {held.place, again.place} == {"East shelter", "Motel"}
    assert await world.client(case_id, again.referral_id, False) == "declined"
    assert await world.client(case_id, again.referral_id, False) == "declined"
    assert (await world.tonight(facts(), need, case_id)).none.reason == (
        common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE
    )
    assert await world.nights(first, 1) == [(1, 0)]
    assert await world.nights(second, 1, MOTEL) == [(1, 0)]


async def test_a_silent_provider_is_passed_over(world: World) -> None:
    await world.offer(1)
    [case_id] = cases(1)
    held = (await world.tonight(facts(), case_id=case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.offer(1, who=MOTEL, name="Motel")
    await world.advance(timedelta(hours=2))
    [*_, proposed] = await world.said(REFERRALS, case_id)
    assert await world.described(case_id, proposed) == [("Motel", "555-0142")]


async def test_who_does_not_come_loses_the_place_after_the_first_night(world: World) -> None:
    offer_id = await world.offer(1)
    [case_id] = cases(1)
    held = (await world.tonight(facts(), lodging(nights=3), case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    await world.advance(datetime(2026, 3, 3, 11, 59, tzinfo=UTC) - world.clock.now())
    assert await world.nights(offer_id, 1) == [(1, 1)]
    await world.advance(timedelta(minutes=1))
    assert (await world.told(case_id))[-1] == "ReferralExpired"
    assert await world.nights(offer_id, 1) == [(1, 0)]


async def test_who_leaves_early_frees_the_remaining_nights(world: World) -> None:
    offer_id = await world.offer(1)
    [case_id], waiting = cases(1), cases(1)[0]
    held = (await world.tonight(facts(), lodging(nights=5), case_id)).held
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    await world.check_in(held.referral_id)
    await world.tonight(facts(), lodging(from_date="2026-03-04"), waiting)
    assert await world.told(waiting) == ["NeedUnmatched"]
    with pytest.raises(Refusal, match="until-date-outside-stay"):
        await world.check_out(held.referral_id, "2026-03-09")
    await world.check_out(held.referral_id, "2026-03-04")
    await world.check_out(held.referral_id, "2026-03-04")
    assert await world.told(waiting) == ["NeedUnmatched", "ReferralProposed"]
    assert (await world.nights(offer_id))[:4] == [(1, 1), (1, 1), (1, 1), (1, 0)]


async def test_a_need_that_is_withdrawn_lets_go_at_once(world: World) -> None:
    offer_id = await world.offer(1)
    [case_id], need = cases(1), lodging()
    await world.hear(reported(case_id, need, facts()))
    await world.hear(intake.NeedWithdrawn(case_id=case_id, need_id=need.need_id))
    await world.hear(intake.NeedWithdrawn(case_id=case_id, need_id=need.need_id))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralWithdrawn"]
    assert await world.nights(offer_id, 1) == [(1, 0)]
    with pytest.raises(Refusal, match="need-closed"):
        await world.tonight(facts(), need, case_id)


async def test_all_events_of_a_case_in_one_batch_leave_nothing_behind(world: World) -> None:
    await world.offer(1)
    [case_id], need = cases(1), lodging()
    await world.hear(
        intake.CaseOpened(case_id=case_id, facts=facts()),
        reported(case_id, need, facts()),
        intake.CaseClosed(case_id=case_id),
    )
    assert await world.told(case_id) == []
    row = await world.database.pool.fetchrow("SELECT * FROM household WHERE case_id = $1", case_id)
    assert row is not None
    assert (row["closed"], row["adults"], row["area"]) == (True, 0, "")
    with pytest.raises(Refusal, match="case-closed"):
        await world.tonight(facts(), lodging(), case_id)


async def test_a_snapshot_stands_in_for_events_that_were_missed(world: World) -> None:
    await world.offer(1)
    [case_id], gone, here = cases(1), lodging(), lodging(from_date="2026-03-04")
    await world.hear(reported(case_id, gone, facts()))
    await world.hear(intake.CaseSnapshot(case_id=case_id, facts=facts(revision=2), open_needs=[here]))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralWithdrawn", "ReferralProposed"]


async def test_a_household_that_begins_to_hide_leaves_the_place_that_others_know_of(world: World) -> None:
    await world.offer(1)
    await world.offer(1, who=HUB, name="Safe house", confidential=True)
    [case_id], need = cases(1), lodging()
    await world.hear(reported(case_id, need, facts()))
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=facts(confidential=True, revision=2)))
    first, withdrawn, second = await world.said(REFERRALS, case_id)
    assert await world.described(case_id, first, second) == [("East shelter", "555-0142"), ("", HUB_PHONE)]
    assert withdrawn.referral_id == first.referral_id


async def test_older_facts_are_ignored(world: World) -> None:
    await world.offer(5)
    [case_id] = cases(1)
    answer = await world.tonight(facts(adults=3, revision=5), case_id=case_id)
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=facts(adults=1, revision=4)))
    assert answer.held.head_count == 3
    row = await world.database.pool.fetchrow("SELECT adults FROM household WHERE case_id = $1", case_id)
    assert row is not None
    assert row["adults"] == 3


async def test_a_household_in_hiding_goes_through_the_hub_and_nobody_else_sees_it(world: World) -> None:
    await world.offer(9)
    safe = await world.offer(4, who=HUB, name="Safe house", confidential=True)
    with pytest.raises(Refusal, match="hub-only"):
        await world.tonight(facts(confidential=True))
    [case_id], need = cases(1), lodging(nights=2)
    hiding = facts(adults=1, children=1, confidential=True, newborn_space_from_week="2026-W10")
    await world.hear(reported(case_id, need, hiding, "HKRW4477"))
    [proposed] = await world.said(REFERRALS, case_id)
    assert await world.described(case_id, proposed) == [("", HUB_PHONE)]
    [entry] = (await world.ask("ListHubDesk", pb.ListHubDeskRequest(), HUB)).entries
    assert (entry.arrival_code, entry.head_count, entry.nights) == ("HKRW4477", 3, 2)
    assert (entry.referral.place, entry.referral.arrival_code) == ("Safe house", "HKRW4477")
    for outsider in (SHELTER, MOTEL):
        with pytest.raises(Refusal, match="not-found"):
            await world.provider(proposed.referral_id, True, outsider)
        assert list((await world.ask("ListReferrals", pb.ListReferralsRequest(), outsider)).referrals) == []
    assert await world.provider(proposed.referral_id, True, HUB) == "proposed"
    assert await world.client(case_id, proposed.referral_id, True) == "accepted"
    await world.check_in(proposed.referral_id, HUB)
    assert list((await world.ask("ListHubDesk", pb.ListHubDeskRequest(), HUB)).entries) == []
    assert await world.nights(safe, 1, HUB) == [(4, 3)]


async def test_without_a_confidential_place_the_hub_sees_the_request_and_why(world: World) -> None:
    await world.offer(9)
    [case_id] = cases(1)
    await world.hear(reported(case_id, lodging(), facts(confidential=True), "HKRW4477"))
    [entry] = (await world.ask("ListHubDesk", pb.ListHubDeskRequest(), HUB)).entries
    assert not entry.HasField("referral")
    assert entry.none.reason == common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE
    with pytest.raises(AidError, match="role-not-allowed"):
        await world.ask("ListHubDesk", pb.ListHubDeskRequest(), SHELTER)


async def test_food_is_counted_in_portions_and_given_beside_the_bed(world: World) -> None:
    await world.offer(3)
    kitchen = await world.offer(10, unit=pb.UNIT_PORTION, name="Kitchen")
    [case_id] = cases(1)
    food = common.Need(need_id=str(uuid7()), kind=common.NEED_KIND_FOOD, from_date="2026-03-02", nights=3)
    await world.hear(reported(case_id, lodging(), facts(adults=2)), reported(case_id, food, facts(adults=2)))
    shown = await world.described(case_id, *await world.said(REFERRALS, case_id))
    assert {place for place, _ in shown} == {"East shelter", "Kitchen"}
    assert await world.nights(kitchen, 4) == [(10, 2), (10, 2), (10, 2), (10, 0)]


async def test_who_needs_it_most_comes_first_when_a_place_becomes_free(world: World) -> None:
    first, single, mother = cases(3)
    offer_id = await world.offer(2)
    held = (await world.tonight(facts(adults=2), case_id=first)).held
    await world.tonight(facts(adults=2), case_id=single)
    await world.tonight(facts(adults=1, infants=1, unsheltered=True), case_id=mother)
    await world.client(first, held.referral_id, False)
    assert await world.told(mother) == ["NeedUnmatched", "ReferralProposed"]
    assert await world.told(single) == ["NeedUnmatched"]
    await world.ask(
        "SetCapacity",
        pb.SetCapacityRequest(offer_id=offer_id, from_date="2026-03-02", nights=1, capacity=4),
        SHELTER,
    )
    assert await world.told(single) == ["NeedUnmatched", "ReferralProposed"]


async def test_at_the_turn_of_the_day_all_that_wait_are_tried_again(world: World) -> None:
    offer_id = await world.offer(1)
    [case_id] = cases(1)
    await world.ask(
        "SetCapacity",
        pb.SetCapacityRequest(offer_id=offer_id, from_date="2026-03-02", nights=1, capacity=0),
        SHELTER,
    )
    await world.tonight(facts(), case_id=case_id)
    assert await world.told(case_id) == ["NeedUnmatched"]
    await world.advance(timedelta(hours=4))
    [_, proposed] = await world.said(REFERRALS, case_id)
    assert proposed.from_date == "2026-03-03"


async def test_many_at_once_never_get_more_than_there_is(world: World) -> None:
    await world.offer(3)
    await world.offer(2, unit=pb.UNIT_ROOM, name="Rooms")
    answers = await asyncio.gather(*(world.tonight(facts(), lodging(nights=2)) for _ in range(60)))
    held = [each for each in answers if each.HasField("held")]
    assert len(held) == 5
    assert {each.none.reason for each in answers if each.HasField("none")} == {
        common.UNMATCHED_REASON_ALL_FULL
    }
    taken = await world.database.pool.fetchval("SELECT sum(taken) FROM night")
    assert taken == 10
    assert await world.database.pool.fetchval("SELECT count(*) FROM night WHERE taken > capacity") == 0


async def test_many_answers_reports_and_expiries_at_once_wait_for_each_other_and_not_in_a_circle(
    world: World,
) -> None:
    await world.offer(4)
    many = cases(30)
    await world.hear(*(reported(case_id, lodging(), facts()) for case_id in many))
    rows = await world.database.pool.fetch("SELECT referral_id, case_id FROM referral")
    assert len(rows) == 4
    answers = [world.client(str(row["case_id"]), str(row["referral_id"]), False) for row in rows[:2]]
    world.clock.advance(timedelta(hours=1))
    more = [world.hear(reported(case_id, lodging(), facts())) for case_id in many]
    searches = [world.tonight(facts()) for _ in range(10)]
    await asyncio.gather(*answers, *more, *searches, world.advance(timedelta(minutes=59)))
    await world.consistent()
    deadlocks = await world.database.pool.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0
    assert await world.database.pool.fetchval("SELECT count(*) FROM hold") == 4


async def test_the_database_itself_refuses_a_hold_above_capacity(world: World) -> None:
    offer_id = await world.offer(1)
    await world.tonight(facts())
    connection = await owner(world.database)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="night_not_overbooked"):
            await connection.execute("UPDATE night SET taken = taken + 1 WHERE offer_id = $1", offer_id)
    finally:
        await connection.close()


async def test_the_same_command_is_acted_on_once_and_its_key_serves_no_other(world: World) -> None:
    await world.offer(2)
    [case_id] = cases(1)
    held = (await world.tonight(facts(), case_id=case_id)).held
    request = pb.AnswerReferralRequest(case_id=case_id, referral_id=held.referral_id, accepted=True)
    for _ in range(2):
        assert (await world.ask("AnswerReferral", request, INTAKE, "key-1")).state == "proposed"
    request.accepted = False
    with pytest.raises(AidError, match="idempotency-key-reused"):
        await world.ask("AnswerReferral", request, INTAKE, "key-1")
    with pytest.raises(AidError, match="idempotency-key-missing"):
        await world.ask("AnswerReferral", request, INTAKE, "")
    with pytest.raises(Refusal, match="not-found"):
        await world.client(cases(1)[0], held.referral_id, True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": " "}, "offer-name"),
        ({"capacity": -1}, "capacity-out-of-range"),
        ({"max_nights": 400}, "offer-limits"),
        ({"unit": pb.UNIT_PORTION}, "offer-unit"),
        ({"kind": common.NEED_KIND_GOODS}, "offer-kind"),
        ({"rules": pb.Rules()}, "rules-take-nobody"),
        ({"offer_id": "nonsense"}, "offer-id-invalid"),
    ],
)
async def test_an_offer_that_cannot_be_meant_is_refused(
    world: World, change: dict[str, object], reason: str
) -> None:
    terms: dict[str, object] = {
        "offer_id": str(uuid7()), "kind": common.NEED_KIND_LODGING, "name": "Shelter", "area": AREA,
        "unit": pb.UNIT_BED, "capacity": 1, "rules": ANYBODY,
    }  # fmt: skip
    offer = pb.Offer(**{**terms, **change})  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refusal:
        await world.ask("PutOffer", pb.PutOfferRequest(offer=offer), SHELTER)
    assert refusal.value.reason == reason
    assert await world.database.pool.fetchval("SELECT count(*) FROM offer") == 0


async def test_an_offer_belongs_to_who_made_it(world: World) -> None:
    offer_id = await world.offer(1)
    with pytest.raises(Refusal, match="not-found"):
        await world.offer(9, who=MOTEL, offer_id=offer_id)
    hidden = await world.offer(1, confidential=True, name="Safe house")
    assert await world.nights(hidden, 1, HUB) == [(1, 0)]
    with pytest.raises(Refusal, match="offer-was-confidential"):
        await world.offer(1, offer_id=hidden)
    with pytest.raises(Refusal, match="offer-kind-changed"):
        await world.offer(1, offer_id=offer_id, unit=pb.UNIT_ROOM)


async def test_lowered_capacity_blocks_new_holds_and_moves_nobody(world: World) -> None:
    offer_id = await world.offer(2)
    await world.tonight(facts(), lodging(nights=2))
    await world.tonight(facts(), lodging(nights=2))
    await world.offer(1, offer_id=offer_id)
    assert await world.nights(offer_id, 3) == [(1, 2), (1, 2), (1, 0)]
    assert (await world.tonight(facts())).none.reason == common.UNMATCHED_REASON_ALL_FULL
    await world.advance(timedelta(hours=2))
    assert await world.nights(offer_id, 1) == [(1, 1)]


async def test_a_household_that_rested_is_tried_again_when_its_rest_is_over(world: World) -> None:
    offer_id = await world.offer(1)
    [case_id] = cases(1)
    await world.tonight(facts(), case_id=case_id)
    await world.advance(timedelta(hours=2))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralExpired"]
    await world.advance(timedelta(hours=11, minutes=59))
    assert await world.nights(offer_id, 1) == [(1, 0)]
    await world.advance(timedelta(minutes=1))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralExpired", "ReferralProposed"]


async def test_who_asks_again_need_not_rest(world: World) -> None:
    await world.offer(1)
    [case_id], need = cases(1), lodging()
    first = await world.tonight(facts(), need, case_id)
    await world.advance(timedelta(hours=2))
    again = await world.tonight(facts(), need, case_id)
    assert again.held.referral_id not in ("", first.held.referral_id)


async def test_who_began_to_hide_is_answered_alike_whether_a_place_is_free_or_not(world: World) -> None:
    """The caller's facts may be older than the flight; the answer must not tell what confidential places know."""
    [case_id], need = cases(1), lodging()
    await world.hear(reported(case_id, need, facts(confidential=True, revision=2), "HKRW4477"))
    with pytest.raises(Refusal, match="hub-only"):
        await world.tonight(facts(), need, case_id)
    await world.offer(1, who=HUB, name="Safe house", confidential=True)
    with pytest.raises(Refusal, match="hub-only"):
        await world.tonight(facts(), need, case_id)


async def test_a_need_of_another_case_is_as_if_closed(world: World) -> None:
    await world.offer(5)
    need, (mine, theirs) = lodging(), cases(2)
    await world.tonight(facts(), need, mine)
    with pytest.raises(Refusal, match="need-closed"):
        await world.tonight(facts(), need, theirs)


async def test_how_many_places_are_held_and_taken_is_counted(world: World) -> None:
    await world.offer(5)
    [case_id] = cases(1)
    held = (await world.tonight(facts(), case_id=case_id)).held
    await world.tonight(facts())
    await world.client(case_id, held.referral_id, True)
    await world.provider(held.referral_id, True)
    await world.check_in(held.referral_id)
    calendar = MatchingTerms().terms(HubSettings()).calendar
    await Gauges(world.database, world.clock, calendar, world.metrics).count()
    told = world.metrics.exposition().decode()
    assert "\nholds_open 1.0\n" in told
    assert "\noccupancies_open 1.0\n" in told
    assert 'referrals_total{outcome="proposed"} 2.0' in told


async def test_a_victim_service_provider_offers_no_place_openly(stack: RunningStack) -> None:
    async with matching(stack, hiding_places=[SHELTER.agency]) as world:
        with pytest.raises(Refusal, match="must-be-confidential"):
            await world.offer(1)
        hidden = await world.offer(1, confidential=True)
        with pytest.raises(Refusal, match="must-be-confidential"):
            await world.offer(1, offer_id=hidden)
        assert await world.nights(hidden, 1) == [(1, 0)]
        await world.offer(1, who=MOTEL, name="Motel")


async def test_a_household_that_grew_is_matched_again(world: World) -> None:
    await world.offer(2, name="Small")
    [case_id], need = cases(1), lodging()
    await world.hear(reported(case_id, need, facts(adults=2)))
    await world.offer(9, name="Large")
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=facts(adults=2, infants=1, revision=2)))
    first, _, second = await world.said(REFERRALS, case_id)
    assert [place for place, _ in await world.described(case_id, first, second)] == ["Small", "Large"]
    await world.hear(intake.HouseholdChanged(case_id=case_id, facts=facts(adults=1, infants=1, revision=3)))
    assert await world.told(case_id) == ["ReferralProposed", "ReferralWithdrawn", "ReferralProposed"]


async def test_a_need_that_somebody_else_works_on_is_left_to_them_and_the_place_to_the_next(
    world: World,
) -> None:
    await world.offer(1)
    holder, first, second = cases(3)
    held = (await world.tonight(facts(), case_id=holder)).held
    await world.tonight(facts(infants=1, unsheltered=True), case_id=first)
    await world.tonight(facts(), case_id=second)
    connection = await owner(world.database)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM need WHERE case_id = $1 FOR UPDATE", first)
            await world.client(holder, held.referral_id, False)
    finally:
        await connection.close()
    assert await world.told(first) == ["NeedUnmatched"]
    assert await world.told(second) == ["NeedUnmatched", "ReferralProposed"]


async def test_freed_places_reach_only_who_could_take_them(world: World) -> None:
    plain = pb.Rules(children=True, without_children=True)
    await world.offer(1, rules=plain, max_nights=2)
    holder, *waiting = cases(6)
    held = (await world.tonight(facts(), case_id=holder)).held
    for case_id, of, nights in zip(
        waiting,
        (facts(pets=True), facts(wheelchair=True), facts(area="hillside"), facts(), facts(area="")),
        (1, 1, 1, 3, 2),
        strict=True,
    ):
        await world.tonight(of, lodging(nights), case_id)
    await world.client(holder, held.referral_id, False)
    proposed = [case_id for case_id in waiting if "ReferralProposed" in await world.told(case_id)]
    assert proposed == waiting[-1:]
