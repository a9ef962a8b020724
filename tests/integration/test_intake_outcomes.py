"""What became of each need, from events that arrive in any order between the two topics."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import Message

from services.chassis.apply import PermanentError
from services.chassis.database import Database
from services.chassis.snapshots import reseed
from services.chassis.topics import Topics
from services.intake.adapters.wire import CASES
from services.intake.application.ports import Place
from services.intake.domain.ids import ReferralId
from tests.support.intake import (
    OUTREACH,
    TOPICS,
    Intake,
    goods,
    lodging,
    new_id,
    open_request,
    opened_intake,
    received,
)
from tests.support.stack import RunningStack

_SOMEBODY_WAITS = """
SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
               WHERE datname = current_database() AND NOT granted)
    OR EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')
"""


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


async def opened_case(intake: Intake, *needs: messages.NeedInput) -> messages.OpenCaseResponse:
    answer: messages.OpenCaseResponse = await intake.ask("OpenCase", open_request(*needs), OUTREACH)
    return answer


def proposed(opened: messages.OpenCaseResponse, referral_id: str) -> matching.ReferralProposed:
    event = matching.ReferralProposed(
        case_id=opened.case_id, referral_id=referral_id, need_id=opened.need_ids[0], place_handle=new_id(),
        contact="+1-555-0100", from_date="2026-11-24", nights=3,
    )  # fmt: skip
    event.expires_at.FromJsonString("2026-11-24T14:00:00Z")
    return event


async def state(intake: Intake, opened: messages.OpenCaseResponse) -> str:
    return (await intake.case(opened.case_id, OUTREACH)).needs[0].state


def told(opened: messages.OpenCaseResponse, referral_id: str) -> dict[str, str]:
    return {"case_id": opened.case_id, "referral_id": referral_id, "need_id": opened.need_ids[0]}


async def test_a_need_is_shown_as_far_as_it_has_come(intake: Intake) -> None:
    opened, referral_id, other = await opened_case(intake, lodging(3)), new_id(), new_id()
    steps: list[tuple[Message, str]] = [
        (
            matching.NeedUnmatched(
                case_id=opened.case_id, need_id=opened.need_ids[0], reason=common.UNMATCHED_REASON_ALL_FULL
            ),
            "unmatched",
        ),
        (proposed(opened, other), "referred"),
        (matching.ReferralExpired(**told(opened, other)), "unmatched"),
        (proposed(opened, referral_id), "referred"),
        (matching.ReferralAccepted(**told(opened, referral_id)), "placed"),
        (
            matching.OccupancyStarted(
                **told(opened, referral_id), from_date="2026-11-24", last_night="2026-11-26"
            ),
            "met",
        ),
        (
            matching.OccupancyEnded(case_id=opened.case_id, referral_id=referral_id, until_date="2026-11-27"),
            "met",
        ),
    ]
    for event, expected in steps:
        await intake.hear(event)
        assert await state(intake, opened) == expected
    [need] = (await intake.case(opened.case_id, OUTREACH)).needs
    assert [(each.state, each.contact, each.nights) for each in need.referrals] == [
        ("accepted", "+1-555-0100", 3),
        ("expired", "+1-555-0100", 3),
    ]
    announced = [type(each) for each in await intake.announced(opened.case_id)]
    assert announced[-3:] == [events.StayStarted, events.NeedMet, events.StayEnded]
    stay = await intake.database.pool.fetchrow(
        "SELECT last_night::text, ended_on::text FROM stay WHERE referral_id = $1::text::uuid", referral_id
    )
    assert stay is not None
    assert tuple(stay) == ("2026-11-26", "2026-11-27")


@pytest.mark.parametrize("word", ["Declined", "Rejected", "Expired", "Withdrawn"])
async def test_a_referral_that_came_to_nothing_leaves_the_need_open(intake: Intake, word: str) -> None:
    opened, referral_id = await opened_case(intake, lodging(3)), new_id()
    ended = getattr(matching, f"Referral{word}")(**told(opened, referral_id))
    await intake.hear_together(proposed(opened, referral_id), ended)
    [need] = (await intake.case(opened.case_id, OUTREACH)).needs
    assert (need.state, need.referrals[0].state) == ("reported", word.lower())


async def test_the_name_of_a_place_is_asked_for_when_the_case_is_shown(intake: Intake) -> None:
    opened, named, unnamed = await opened_case(intake, lodging(3)), new_id(), new_id()
    for referral_id in (named, unnamed):
        await intake.hear(proposed(opened, referral_id))
    intake.matching.named[ReferralId(UUID(named))] = Place("Hill House", "+1-555-0102")
    [need] = (await intake.case(opened.case_id, OUTREACH)).needs
    assert {each.referral_id: (each.place, each.contact) for each in need.referrals} == {
        named: ("Hill House", "+1-555-0102"),
        unnamed: ("", "+1-555-0100"),
    }
    views = intake.watch(opened.case_id, OUTREACH)
    async with asyncio.timeout(20), aclosing(views):
        assert "Hill House" in str((await anext(views)).case)


async def test_goods_are_met_by_the_last_bag_in_whatever_order_the_two_topics_tell_of_them(
    intake: Intake,
) -> None:
    """Each of the two topics keeps its own order; between them any interleaving may happen."""
    for pattern in set(itertools.permutations("MMLLLL")):
        opened = await opened_case(intake, goods(quantity=60))
        one, two = new_id(), new_id()
        by_matching: list[Message] = [
            matching.NeedAllocated(
                case_id=opened.case_id, need_id=opened.need_ids[0], allocation_id=each, quantity=30
            )
            for each in (one, two)
        ]
        by_logistics: list[Message] = [
            logistics.AllocationReserved(allocation_id=one, bag_code="AAA"),
            logistics.AllocationReserved(allocation_id=two, bag_code="BBB"),
            logistics.HandoverConfirmed(allocation_id=one, day="2026-11-25"),
            logistics.HandoverConfirmed(allocation_id=two, day="2026-11-25"),
        ]
        sources = {"M": iter(by_matching), "L": iter(by_logistics)}
        await intake.hear(*(next(sources[side]) for side in pattern))
        [need] = (await intake.case(opened.case_id, OUTREACH)).needs
        assert need.state == "met", pattern
        assert sorted((each.bag_code, each.state) for each in need.allocations) == [
            ("AAA", "handed over"),
            ("BBB", "handed over"),
        ]
        met = [each for each in await intake.announced(opened.case_id) if isinstance(each, events.NeedMet)]
        assert len(met) == 1, pattern


async def test_two_bags_that_arrive_at_the_same_moment_still_meet_the_need(intake: Intake) -> None:
    for _ in range(10):
        opened = await opened_case(intake, goods(quantity=2))
        bags = [new_id(), new_id()]
        for bag in bags:
            await intake.hear(
                matching.NeedAllocated(
                    case_id=opened.case_id, need_id=opened.need_ids[0], allocation_id=bag, quantity=1
                )
            )
        await asyncio.gather(
            *(intake.hear(logistics.HandoverConfirmed(allocation_id=bag, day="2026-11-25")) for bag in bags)
        )
        assert await state(intake, opened) == "met"


async def test_meals_meet_a_need_and_are_no_stay(intake: Intake) -> None:
    food = messages.NeedInput(kind=common.NEED_KIND_FOOD, nights=3, urgency=common.URGENCY_TONIGHT)
    opened = await opened_case(intake, food)
    told = matching.OccupancyStarted(
        case_id=opened.case_id, referral_id=new_id(), need_id=opened.need_ids[0], from_date="2026-11-24",
        last_night="2026-11-26",
    )  # fmt: skip
    await intake.hear(told)
    assert await state(intake, opened) == "met"
    said = await intake.announced(opened.case_id)
    assert not any(isinstance(each, events.StayStarted) for each in said)
    assert any(isinstance(each, events.NeedMet) for each in said)


async def test_goods_set_aside_while_a_case_is_closed_stay_joined_to_nobody(intake: Intake) -> None:
    opened = await opened_case(intake, goods(quantity=2))
    told = matching.NeedAllocated(
        case_id=opened.case_id, need_id=opened.need_ids[0], allocation_id=new_id(), quantity=2
    )
    close = messages.CloseCaseRequest(case_id=opened.case_id)
    async with intake.application.works() as work:
        await intake.application.handlers[told.DESCRIPTOR.full_name](received(told), work)
        closing = asyncio.create_task(intake.ask("CloseCase", close, OUTREACH))
        async with asyncio.timeout(10):
            # Only PostgreSQL knows.
            while not closing.done() and not await intake.database.pool.fetchval(_SOMEBODY_WAITS):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await closing
    await intake.hear(told)
    joined = "SELECT count(*) FROM allocation WHERE case_id = $1"
    assert await intake.database.pool.fetchval(joined, UUID(opened.case_id)) == 0


async def test_goods_taken_back_wait_again_and_a_handed_over_bag_stays(intake: Intake) -> None:
    opened = await opened_case(intake, goods(quantity=10))
    gone, kept = new_id(), new_id()
    case_id, need_id = opened.case_id, opened.need_ids[0]
    for allocation in (gone, kept):
        await intake.hear(
            matching.NeedAllocated(case_id=case_id, need_id=need_id, allocation_id=allocation, quantity=5)
        )
    assert await state(intake, opened) == "allocated"
    short = matching.NeedUnmatched(case_id=case_id, need_id=need_id, reason=common.UNMATCHED_REASON_NO_STOCK)
    await intake.hear(
        logistics.AllocationRefused(allocation_id=gone, available=0),
        matching.NeedDeallocated(case_id=case_id, need_id=need_id, allocation_id=gone),
        short,
        logistics.HandoverConfirmed(allocation_id=kept, day="2026-11-25"),
        matching.NeedDeallocated(case_id=case_id, need_id=need_id, allocation_id=kept),
    )
    [need] = (await intake.case(case_id, OUTREACH)).needs
    assert (need.state, need.reason) == ("allocated", common.UNMATCHED_REASON_NO_STOCK)
    assert {each.allocation_id: each.state for each in need.allocations} == {
        gone: "refused",
        kept: "handed over",
    }


async def test_a_snapshot_of_matching_replaces_what_was_known(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3), goods(quantity=5))
    stale, standing, allocation = new_id(), new_id(), new_id()
    await intake.hear(
        proposed(opened, stale),
        matching.NeedAllocated(
            case_id=opened.case_id, need_id=opened.need_ids[1], allocation_id=new_id(), quantity=5
        ),
    )
    snapshot = matching.ReferralsSnapshot(case_id=opened.case_id)
    snapshot.referrals.add(proposal=proposed(opened, standing), state="accepted", occupied=True)
    snapshot.allocations.add(
        case_id=opened.case_id, need_id=opened.need_ids[1], allocation_id=allocation, quantity=5
    )
    await intake.hear(snapshot)
    await intake.hear(snapshot)
    place, things = (await intake.case(opened.case_id, OUTREACH)).needs
    assert (place.state, [each.referral_id for each in place.referrals]) == ("met", [standing])
    assert sorted(each.state for each in things.allocations) == ["proposed", "withdrawn"]
    await intake.hear(logistics.AllocationState(allocation_id=allocation, state="handed over", bag_code="C"))
    assert [each.state for each in (await intake.case(opened.case_id, OUTREACH)).needs] == ["met", "met"]


async def test_what_cannot_be_meant_is_parked_by_a_word(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(1))
    bad = [
        (matching.ReferralAccepted(case_id="x"), "malformed-field"),
        (matching.NeedUnmatched(case_id=opened.case_id, need_id=opened.need_ids[0]), "reason-unknown"),
    ]
    for event, slug in bad:
        with pytest.raises(PermanentError, match=slug):
            await intake.hear(event)
    garbled = received(matching.ReferralAccepted())
    handler = intake.application.handlers[garbled.type]
    async with intake.application.works() as work:
        with pytest.raises(PermanentError, match="undecodable"):
            await handler(replace(garbled, payload=b"\xff\xff"), work)


async def test_a_referral_of_a_case_that_was_never_opened_changes_nothing(intake: Intake) -> None:
    unknown = messages.OpenCaseResponse(case_id=new_id(), need_ids=[new_id()])
    before = await intake.count("referral")
    with pytest.raises(Exception, match="there is no such case"):
        await intake.hear(proposed(unknown, new_id()))
    assert await intake.count("referral") == before


async def test_every_event_of_the_consumed_topics_has_a_handler(intake: Intake) -> None:
    declared = {event for topic in Topics.load(TOPICS).consumed_by("intake") for event in topic.events}
    assert set(intake.application.handlers) == declared


async def test_a_reseed_says_the_whole_case_under_the_next_sequence(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(2), goods())
    withdrawal = messages.WithdrawNeedRequest(case_id=opened.case_id, need_id=opened.need_ids[0])
    await intake.ask("WithdrawNeed", withdrawal, OUTREACH)
    source = intake.application.snapshots[CASES]
    assert await reseed(intake.application.works, CASES, opened.case_id, source)
    *_, last = await intake.announced(opened.case_id)
    assert isinstance(last, events.CaseSnapshot)
    assert [need.need_id for need in last.open_needs] == [opened.need_ids[1]]
    assert (last.facts.adults, last.closed) == (1, False)
    assert await _sequences(intake.database, opened.case_id) == [1, 2, 3, 4, 5]
    async with intake.application.works() as work:
        keys = [key async for key in source.keys(work.connection)]
    assert opened.case_id in keys
    assert len(keys) == await intake.count("case_file")


async def _sequences(database: Database, key: str) -> list[int]:
    rows = await database.pool.fetch("SELECT sequence FROM outbox WHERE key = $1 ORDER BY id", key)
    return [row["sequence"] for row in rows]
