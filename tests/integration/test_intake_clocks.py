"""What happens by itself with a household: its stay ends, a child is due, a question comes back, a follow-up rings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import stays_pb2 as stays
from aid.matching.v1 import events_pb2 as matching

from services.chassis.errors import AidError, Kind
from services.chassis.migrate import read
from services.intake.domain.refusal import Refusal
from tests.support.clocks import DAY, day, days_pass, moves_in, opened_case, ring, told
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    NOON,
    OFFICER,
    OPERATOR,
    OUTREACH,
    Intake,
    household,
    lodging,
    new_id,
    opened_intake,
)
from tests.support.messaging import until
from tests.support.stack import RunningStack


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def needs(intake: Intake, case_id: str, who: Any = OUTREACH) -> list[messages.NeedView]:
    return list((await intake.case(case_id, who)).needs)


async def alarms(intake: Intake, who: Any = OUTREACH) -> list[stays.AlarmView]:
    return list((await intake.ask("ListAlarms", stays.ListAlarmsRequest(), who)).alarms)


async def tasks(intake: Intake, who: Any = OUTREACH) -> list[stays.TaskView]:
    return list((await intake.ask("ListTasks", stays.ListTasksRequest(), who)).tasks)


def alarm_count(intake: Intake) -> float:
    return intake.metrics.registry.get_sample_value("stays_ended_without_next_total") or 0


async def accepted(intake: Intake, case_id: str, *, first: int, nights: int) -> str:
    """The need for which a place from that day on is agreed on; nobody has moved in."""
    request = messages.ReportNeedRequest(case_id=case_id, need=lodging(nights, from_date=day(first)))
    need_id: str = (await intake.ask("ReportNeed", request, OUTREACH)).need_id
    of: dict[str, Any] = {"case_id": case_id, "referral_id": new_id(), "need_id": need_id}
    proposed = matching.ReferralProposed(**of, from_date=day(first), nights=nights)
    proposed.expires_at.FromDatetime(NOON + timedelta(hours=2))
    await intake.hear(proposed, matching.ReferralAccepted(**of))
    return need_id


_DUE = "SELECT count(*) FROM timer WHERE due_at <= $1"


# Stays


async def test_seven_three_and_one_days_before_the_last_night_the_search_for_the_next_place_is_on(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    await days_pass(intake, 1)
    assert [each.state for each in await needs(intake, opened.case_id)] == ["met"]
    await days_pass(intake, 8)
    endings = await told(intake, opened.case_id, events.StayEnding)
    assert [(each.days_left, each.last_night) for each in endings] == [(7, day(9)), (3, day(9)), (1, day(9))]
    met, next_one = await needs(intake, opened.case_id)
    assert {each.need_id for each in endings} == {next_one.need.need_id}
    assert (next_one.need.kind, next_one.need.from_date) == (common.NEED_KIND_LODGING, day(10))
    assert next_one.need.urgency == common.URGENCY_PLANNED
    reported = await told(intake, opened.case_id, events.NeedReported)
    assert [each.need.need_id for each in reported] == [met.need.need_id, next_one.need.need_id]


async def test_a_search_that_is_on_is_not_begun_again(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    request = messages.ReportNeedRequest(case_id=opened.case_id, need=lodging(5, from_date=day(10)))
    asked = (await intake.ask("ReportNeed", request, OUTREACH)).need_id
    await days_pass(intake, 9)
    assert [each.need_id for each in await told(intake, opened.case_id, events.StayEnding)] == [asked] * 3
    assert len(await needs(intake, opened.case_id)) == 2


async def test_a_search_for_other_nights_does_not_stop_that_for_the_night_after(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    request = messages.ReportNeedRequest(case_id=opened.case_id, need=lodging(5, from_date=day(90)))
    far = (await intake.ask("ReportNeed", request, OUTREACH)).need_id
    await days_pass(intake, 9)
    [begun] = {each.need_id for each in await told(intake, opened.case_id, events.StayEnding)}
    assert begun != far
    searched = {each.need.need_id: each.need for each in await needs(intake, opened.case_id)}
    assert (searched[begun].from_date, searched[begun].nights) == (day(10), 7)


async def test_until_the_place_that_is_agreed_on_another_is_looked_for(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    later = await accepted(intake, opened.case_id, first=14, nights=5)
    await days_pass(intake, 9)
    [begun] = {each.need_id for each in await told(intake, opened.case_id, events.StayEnding)}
    assert begun != later
    searched = {each.need.need_id: each.need for each in await needs(intake, opened.case_id)}
    assert (searched[begun].from_date, searched[begun].nights) == (day(10), 4)


async def test_with_a_place_for_the_night_after_nothing_is_searched_and_the_end_is_no_alarm(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    await moves_in(intake, opened.case_id, 30, first=10)
    await days_pass(intake, 12)
    endings = await told(intake, opened.case_id, events.StayEnding)
    assert [(each.days_left, each.need_id) for each in endings] == [(7, ""), (3, ""), (1, "")]
    assert len(await needs(intake, opened.case_id)) == 1
    [ended] = await told(intake, opened.case_id, events.StayEnded)
    assert ended.until_date == day(10)
    assert await alarms(intake) == []


async def test_meals_are_no_place_to_sleep(intake: Intake) -> None:
    meals = messages.NeedInput(kind=common.NEED_KIND_FOOD, nights=30)
    opened = await opened_case(intake, lodging(10), meals)
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    eats: dict[str, Any] = {"case_id": opened.case_id, "referral_id": new_id(), "need_id": opened.need_ids[1]}
    proposed = matching.ReferralProposed(**eats, from_date=day(0), nights=30)
    proposed.expires_at.FromDatetime(NOON)
    await intake.hear(
        proposed,
        matching.ReferralAccepted(**eats),
        matching.OccupancyStarted(**eats, from_date=day(0), last_night=day(29)),
    )
    await days_pass(intake, 10)
    assert all(each.need_id for each in await told(intake, opened.case_id, events.StayEnding))
    assert len(await alarms(intake)) == 1


async def test_of_a_short_stay_only_what_is_still_ahead_is_told(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await ring(intake)
    assert [each.days_left for each in await told(intake, opened.case_id, events.StayEnding)] == [3]
    await days_pass(intake, 2)
    assert [each.days_left for each in await told(intake, opened.case_id, events.StayEnding)] == [3, 1]


async def test_an_extension_begins_the_clocks_anew(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(8))
    referral_id = await moves_in(intake, opened.case_id, 8, need_id=opened.need_ids[0])
    await days_pass(intake, 4)
    assert [each.days_left for each in await told(intake, opened.case_id, events.StayEnding)] == [7, 3]
    [stay] = (await intake.ask("ListStays", stays.ListStaysRequest(case_id=opened.case_id), OUTREACH)).stays
    extend = stays.ExtendStayRequest(case_id=opened.case_id, stay_id=stay.stay_id, last_night=day(21))
    for _ in range(2):  # the second time it is known already
        assert (await intake.ask("ExtendStay", extend, COLLEAGUE)).last_night == day(21)
    assert len(intake.matching.extended) == 1
    await intake.hear(
        matching.OccupancyExtended(case_id=opened.case_id, referral_id=referral_id, last_night=day(21))
    )
    await days_pass(intake, 16)
    endings = await told(intake, opened.case_id, events.StayEnding)
    assert [(each.days_left, each.last_night) for each in endings] == [
        (7, day(7)), (3, day(7)), (7, day(21)), (3, day(21)), (1, day(21)),
    ]  # fmt: skip
    assert [(each.state, each.need.from_date) for each in await needs(intake, opened.case_id)] == [
        ("met", day(0)), ("withdrawn", day(8)), ("reported", day(22)),
    ]  # fmt: skip


async def test_what_matching_refuses_changes_nothing(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(8))
    await moves_in(intake, opened.case_id, 8, need_id=opened.need_ids[0])
    intake.matching.refuses = AidError(Kind.REFUSED, "nights-full", "The place is full.")
    with pytest.raises(AidError, match="full"):
        await intake.ask(
            "ExtendStay", stays.ExtendStayRequest(case_id=opened.case_id, last_night=day(9)), OUTREACH
        )
    [stay] = (await intake.ask("ListStays", stays.ListStaysRequest(case_id=opened.case_id), OUTREACH)).stays
    assert stay.last_night == day(7)


@pytest.mark.parametrize(
    ("last_night", "reason"),
    [
        (day(7), "last-night-not-later"),
        (day(-1), "last-night-not-later"),
        (day(98 + 1), "nights-out-of-range"),
        ("soon", "date-malformed"),
    ],
)
async def test_an_extension_that_is_none_is_refused(intake: Intake, last_night: str, reason: str) -> None:
    opened = await opened_case(intake, lodging(9))
    await moves_in(intake, opened.case_id, 9, need_id=opened.need_ids[0])
    with pytest.raises(Refusal) as no:
        await intake.ask(
            "ExtendStay", stays.ExtendStayRequest(case_id=opened.case_id, last_night=last_night), OUTREACH
        )
    assert no.value.reason == reason
    assert intake.matching.extended == []


async def test_a_stay_that_ends_with_nothing_next_is_an_alarm_until_somebody_says_what_was_done(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 3)
    [alarm] = await alarms(intake)
    assert (alarm.case_id, alarm.ended_on, alarm.arrival_code) == (opened.case_id, day(3), "")
    assert alarm_count(intake) == 1
    assert (
        await alarms(intake, MANAGER) == await alarms(intake, HUB_DESK) == await alarms(intake, OFFICER) == []
    )
    ended = [each for each in await told(intake, opened.case_id) if isinstance(each, events.StayEnded)]
    assert [each.until_date for each in ended] == [day(3)]
    acknowledge = stays.AcknowledgeAlarmRequest(
        alarm_id=alarm.alarm_id, action=stays.ALARM_ACTION_FOUND_SAFE, note="With her sister Zelda."
    )
    with pytest.raises(Refusal, match="nothing of that name"):
        await intake.ask("AcknowledgeAlarm", acknowledge, MANAGER)
    await intake.ask("AcknowledgeAlarm", acknowledge, COLLEAGUE)
    assert await alarms(intake) == []
    with pytest.raises(Refusal, match="before"):
        await intake.ask("AcknowledgeAlarm", acknowledge, OUTREACH)
    kept = await intake.database.pool.fetchrow("SELECT action, acknowledged_by, sealed FROM alarm")
    assert kept is not None
    assert (kept["action"], kept["acknowledged_by"]) == ("found-safe", "colleague")
    assert kept["sealed"] and b"Zelda" not in kept["sealed"]


async def test_whoever_says_that_the_household_left_first_is_believed_once(intake: Intake) -> None:
    """Matching ends a stay at eleven, intake's own clock at noon."""
    opened = await opened_case(intake, lodging(3))
    referral_id = await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    left = matching.OccupancyEnded(case_id=opened.case_id, referral_id=referral_id, until_date=day(3))
    intake.clock.advance(3 * DAY - timedelta(hours=1))
    await intake.hear(left)
    await days_pass(intake, 2)
    await intake.hear(left)
    assert len(await told(intake, opened.case_id, events.StayEnded)) == 1
    assert len(await alarms(intake)) == 1
    assert alarm_count(intake) == 1


async def test_a_place_that_was_kept_after_all_settles_the_alarm(intake: Intake) -> None:
    """The service was away while the household was given more nights."""
    opened = await opened_case(intake, lodging(3))
    referral_id = await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 4)
    assert len(await alarms(intake)) == 1
    await intake.hear(
        matching.OccupancyExtended(case_id=opened.case_id, referral_id=referral_id, last_night=day(20))
    )
    assert await alarms(intake) == []
    await days_pass(intake, 17)
    assert len(await alarms(intake)) == 1


async def test_a_household_whose_worker_knows_where_it_went_is_no_alarm(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 2)
    home = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=422)
    assert not (await intake.ask("RecordLivingSituation", home, OUTREACH)).need_id
    await days_pass(intake, 2)
    assert len(await told(intake, opened.case_id, events.StayEnded)) == 1
    assert await alarms(intake) == []


async def test_the_alarm_of_a_household_in_hiding_is_its_workers_and_the_hubs_and_in_no_figure(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(3), who=ADVOCATE, fleeing=True)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    with pytest.raises(Refusal) as no:
        await intake.ask(
            "ExtendStay", stays.ExtendStayRequest(case_id=opened.case_id, last_night=day(9)), ADVOCATE
        )
    assert no.value.reason == "with-the-hub"
    await days_pass(intake, 3)
    assert [each.case_id for each in await alarms(intake, ADVOCATE)] == [opened.case_id]
    [seen_by_hub] = await alarms(intake, HUB_DESK)
    code = await intake.database.pool.fetchval("SELECT arrival_code FROM case_file")
    assert (seen_by_hub.case_id, seen_by_hub.arrival_code) == ("", code)
    assert await alarms(intake) == []
    assert alarm_count(intake) == 0
    assert intake.metrics.registry.get_sample_value("stays_ending_total") == 0
    await intake.ask(
        "AcknowledgeAlarm",
        stays.AcknowledgeAlarmRequest(alarm_id=seen_by_hub.alarm_id, action=stays.ALARM_ACTION_PLACED),
        HUB_DESK,
    )
    assert await alarms(intake, ADVOCATE) == []


async def test_the_hub_extends_a_stay_by_the_code_that_the_household_said(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3), who=ADVOCATE, fleeing=True)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    code = await intake.database.pool.fetchval("SELECT arrival_code FROM case_file")
    extend = stays.ExtendStayRequest(arrival_code=code, last_night=day(9))
    assert (await intake.ask("ExtendStay", extend, HUB_DESK)).last_night == day(9)
    with pytest.raises(Refusal, match="Only the hub"):
        await intake.ask("ExtendStay", extend, ADVOCATE)


async def test_a_stay_of_an_import_gets_its_last_night_from_a_worker(intake: Intake) -> None:
    opened = await opened_case(intake)
    await intake.hear(matching.OccupancyStarted(case_id=opened.case_id, from_date=day(-400)))
    await days_pass(intake, 5)
    assert await told(intake, opened.case_id, events.StayEnding, events.FollowUpDue) == []
    extend = stays.ExtendStayRequest(case_id=opened.case_id, last_night=day(14))
    assert (await intake.ask("ExtendStay", extend, OUTREACH)).last_night == day(14)
    assert intake.matching.extended == []
    await days_pass(intake, 10)
    endings = await told(intake, opened.case_id, events.StayEnding)
    assert [each.days_left for each in endings] == [7, 3, 1]
    [ended] = await told(intake, opened.case_id, events.StayEnded)
    assert (ended.from_date, ended.until_date, ended.referral_id) == (day(-400), day(15), "")


async def test_a_closed_case_has_no_search_and_no_alarm(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(8))
    await moves_in(intake, opened.case_id, 8, need_id=opened.need_ids[0])
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await days_pass(intake, 10)
    assert await told(intake, opened.case_id, events.StayEnding) == []
    assert len(await told(intake, opened.case_id, events.StayEnded)) == 1
    assert await alarms(intake) == []


async def test_a_snapshot_brings_the_stays_that_a_gap_has_swallowed(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(8))
    gone = await moves_in(intake, opened.case_id, 8, need_id=opened.need_ids[0])
    stands = matching.OccupancyStarted(
        case_id=opened.case_id, referral_id=gone[:-4] + "0000", from_date=day(0), last_night=day(12)
    )
    await intake.hear(matching.ReferralsSnapshot(case_id=opened.case_id, occupancies=[stands]))
    shown = (await intake.ask("ListStays", stays.ListStaysRequest(case_id=opened.case_id), OUTREACH)).stays
    assert [(each.last_night, each.ended_on) for each in shown] == [(day(7), day(0)), (day(12), "")]
    assert await alarms(intake) == []


# Due dates, birthdays


def expecting(due: str) -> dict[str, Any]:
    return {
        "persons": [
            messages.Person(given_name="Mara", birth_date="1998-05-02", relationship=1, due_date=due),
            messages.Person(given_name="Ivo", birth_date="2024-12-20", relationship=2),
        ]
    }


async def test_a_child_that_becomes_two_is_told_as_one_that_is_not_an_infant_any_more(intake: Intake) -> None:
    opened = await opened_case(intake, **expecting(""))
    await days_pass(intake, 26)  # his birthday is a Sunday, which is not told to the day
    assert await told(intake, opened.case_id, events.HouseholdChanged) == []
    await days_pass(intake, 1)
    [changed] = await told(intake, opened.case_id, events.HouseholdChanged)
    assert (changed.facts.infants, changed.facts.children, changed.facts.revision) == (0, 1, 2)


async def test_a_due_date_is_followed_until_the_birth_is_recorded_or_asked_for(intake: Intake) -> None:
    opened = await opened_case(intake, **expecting(day(20)))
    [case] = await told(intake, opened.case_id, events.CaseOpened)
    assert case.facts.newborn_space_from_week == "2026-W49"
    await days_pass(intake, 40)  # due on a Monday, and asked for when it would be if it were a Sunday
    assert await tasks(intake) == []
    await days_pass(intake, 1)
    [task] = await tasks(intake)
    assert (task.kind, task.case_id, task.may_contact) == (
        stays.TASK_KIND_ASK_FOR_BIRTH, opened.case_id, False,
    )  # fmt: skip
    await days_pass(intake, 13)
    assert [each.task_id for each in await tasks(intake)] == [task.task_id]
    known = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=opened.case_id), OUTREACH)
    mother = known.household.persons[0].person_id
    birth = households.RecordBirthRequest(
        case_id=opened.case_id, expected_revision=known.household.revision, mother_id=mother,
        children=[messages.Person(given_name="Noor", birth_date=day(21), relationship=2)],
    )  # fmt: skip
    await intake.ask("RecordBirth", birth, OUTREACH)
    assert await tasks(intake) == []
    last = (await told(intake, opened.case_id, events.HouseholdChanged))[-1]
    assert (last.facts.infants, last.facts.newborn_space_from_week) == (1, "")


async def test_no_row_of_a_promise_tells_a_birthday_that_is_far(intake: Intake) -> None:
    """Ivo is two on 20 December: four weeks before, the row tells only when somebody looks again."""
    await opened_case(intake, persons=[messages.Person(birth_date="2025-02-10", relationship=2)])
    row = await intake.database.pool.fetchrow("SELECT kind, about, due_at FROM reminder")
    assert row is not None
    assert (row["kind"], row["about"]) == ("look-again", "")
    assert row["due_at"] - NOON < timedelta(days=28)


# Questions that come back


async def test_whether_somebody_looks_for_them_is_asked_again_and_again(intake: Intake) -> None:
    opened = await opened_case(intake, who=ADVOCATE, fleeing=True)
    await days_pass(intake, 89)
    assert await tasks(intake, ADVOCATE) == []
    await days_pass(intake, 1)
    [task] = await tasks(intake, ADVOCATE)
    assert (task.kind, task.asked, task.due_on) == (stays.TASK_KIND_ASK_AGAIN, 1, day(90))
    assert await tasks(intake) == []
    await days_pass(intake, 90)
    assert [(each.task_id, each.asked) for each in await tasks(intake, ADVOCATE)] == [(task.task_id, 2)]
    answer = stays.AnswerTaskRequest(task_id=task.task_id, answer=1, note="He was seen in Elm Street.")
    await intake.ask("AnswerTask", answer, ADVOCATE)
    assert await tasks(intake, ADVOCATE) == []
    await days_pass(intake, 90)
    assert [(each.asked, each.due_on) for each in await tasks(intake, ADVOCATE)] == [(1, day(270))]
    assert (await intake.case(opened.case_id, ADVOCATE)).confidential
    assert await intake.database.pool.fetchval("SELECT code FROM task WHERE outcome = 'answered'") is None


# Follow-ups


async def test_follow_ups_ring_after_a_placement_and_wait_until_somebody_asked(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 2)
    home = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=410)
    await intake.ask("RecordLivingSituation", home, OUTREACH)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await days_pass(intake, 182)
    due = await told(intake, opened.case_id, events.FollowUpDue)
    assert [each.days for each in due] == [30, 90, 180]
    waiting = await tasks(intake)
    assert [(each.days, each.due_on, each.may_contact) for each in waiting] == [
        (30, day(32), False), (90, day(92), False), (180, day(182), False),
    ]  # fmt: skip
    reached = stays.RecordFollowUpRequest(
        task_id=waiting[2].task_id, outcome=stays.FOLLOW_UP_OUTCOME_REACHED, living_situation=410,
        came_by_itself=True,
    )  # fmt: skip
    assert not (await intake.ask("RecordFollowUp", reached, OUTREACH)).reopened
    assert [each.days for each in await tasks(intake)] == [30, 90]


async def test_each_follow_up_rings_once_also_when_the_one_before_was_answered(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 400, need_id=opened.need_ids[0])
    rung = []
    for _ in range(30):
        await days_pass(intake, 10)
        for each in await tasks(intake):
            rung.append(each.days)
            home = stays.RecordFollowUpRequest(
                task_id=each.task_id, outcome=stays.FOLLOW_UP_OUTCOME_REACHED, living_situation=410,
                came_by_itself=True,
            )  # fmt: skip
            await intake.ask("RecordFollowUp", home, OUTREACH)
    assert rung == [30, 90, 180]
    assert [each.days for each in await told(intake, opened.case_id, events.FollowUpDue)] == rung


async def test_a_home_that_is_said_again_is_no_move(intake: Intake) -> None:
    opened = await opened_case(intake)

    async def lives(code: int) -> None:
        said = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=code)
        await intake.ask("RecordLivingSituation", said, OUTREACH)

    for code, days in ((410, 20), (410, 10), (116, 5), (435, 30)):
        await lives(code)
        await days_pass(intake, days)
    assert [each.due_on for each in await tasks(intake)] == [day(30), day(65)]
    await moves_in(intake, opened.case_id, 5, first=65)
    await days_pass(intake, 5)
    await lives(410)
    await days_pass(intake, 30)
    assert [each.due_on for each in await tasks(intake)] == [day(30), day(65), day(100)]


async def test_only_the_way_that_the_household_set_is_shown_and_its_reading_logged(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    known = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=opened.case_id), OUTREACH)
    way = households.SafeContact(
        channel=households.CHANNEL_TEXT, address="+1-555-0177", earliest="09:00", latest="12:00"
    )
    request = households.SetSafeContactRequest(
        case_id=opened.case_id, expected_revision=known.household.revision, safe_contact=way
    )
    await intake.ask("SetSafeContact", request, OUTREACH)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 30)
    [task] = await tasks(intake)
    assert (task.may_contact, task.safe_contact) == (True, way)
    assert not task.may_contact_now  # it is noon, when the hours are over
    intake.clock.advance(-timedelta(hours=1))
    [task] = await tasks(intake)
    assert task.may_contact_now
    intake.clock.advance(timedelta(hours=1))
    assert await intake.database.pool.fetchval("SELECT count(*) FROM access_log WHERE why = 'ListTasks'") == 2
    reached = stays.RecordFollowUpRequest(
        task_id=task.task_id, outcome=stays.FOLLOW_UP_OUTCOME_REACHED, living_situation=410
    )
    await intake.ask("RecordFollowUp", reached, OUTREACH)
    assert await tasks(intake) == []


async def test_a_household_without_a_safe_way_is_not_reached_unless_it_comes_by_itself(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(3))
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 30)
    [task] = await tasks(intake)
    assert (task.may_contact, task.may_contact_now) == (False, False)
    reached = stays.RecordFollowUpRequest(
        task_id=task.task_id, outcome=stays.FOLLOW_UP_OUTCOME_REACHED, living_situation=302
    )
    with pytest.raises(Refusal) as no:
        await intake.ask("RecordFollowUp", reached, OUTREACH)
    assert no.value.reason == "no-safe-channel"
    reached.came_by_itself = True
    await intake.ask("RecordFollowUp", reached, OUTREACH)
    assert await tasks(intake) == []


async def test_what_is_asked_of_a_household_in_hiding_that_nobody_is_assigned_to_is_asked_by_the_hub(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(3), who=OFFICER, fleeing=True)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 91)
    code = await intake.database.pool.fetchval("SELECT arrival_code FROM case_file")
    asked = sorted(await tasks(intake, HUB_DESK), key=lambda each: (each.kind, each.days))
    assert [(each.kind, each.days) for each in asked] == [
        (stays.TASK_KIND_FOLLOW_UP, 30),
        (stays.TASK_KIND_FOLLOW_UP, 90),
        (stays.TASK_KIND_ASK_AGAIN, 0),
    ]
    for each in asked:
        assert (each.case_id, each.arrival_code) == ("", code)
        assert (each.may_contact, each.may_contact_now, each.HasField("safe_contact")) == (
            False,
            False,
            False,
        )
    for who in (OUTREACH, ADVOCATE, MANAGER, OFFICER):
        assert await tasks(intake, who) == []
    still = stays.AnswerTaskRequest(task_id=asked[2].task_id, answer=1)
    with pytest.raises(Refusal, match="nothing of that name"):
        await intake.ask("AnswerTask", still, ADVOCATE)
    await intake.ask("AnswerTask", still, HUB_DESK)
    safe = stays.RecordFollowUpRequest(
        task_id=asked[0].task_id, outcome=stays.FOLLOW_UP_OUTCOME_REACHED, living_situation=302
    )
    with pytest.raises(Refusal) as no:
        await intake.ask("RecordFollowUp", safe, HUB_DESK)
    assert no.value.reason == "no-safe-channel"
    safe.came_by_itself = True
    await intake.ask("RecordFollowUp", safe, HUB_DESK)
    assert [each.days for each in await tasks(intake, HUB_DESK)] == [90]
    # From now on an advocate stands by the household, and asks.
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject)
    await intake.ask("AssignWorker", assign, HUB_DESK)
    assert await tasks(intake, HUB_DESK) == []
    [left] = await tasks(intake, ADVOCATE)
    assert (left.case_id, left.arrival_code) == (opened.case_id, "")
    with pytest.raises(Refusal, match="nothing of that name"):
        await intake.ask(
            "RecordFollowUp",
            stays.RecordFollowUpRequest(task_id=left.task_id, outcome=stays.FOLLOW_UP_OUTCOME_NOT_REACHED),
            HUB_DESK,
        )


_MANY_TASKS = """
INSERT INTO task (task_id, case_id, agency_id, kind, about, due_on, raised_at)
SELECT gen_random_uuid(), case_id, agency_id, 'follow-up', $2 || n, date '2026-01-01', $3
FROM case_file, generate_series(1, $4) AS n WHERE case_id = $1::text::uuid
"""
_MANY_ALARMS = """
INSERT INTO alarm (alarm_id, case_id, agency_id, stay_id, ended_on, raised_at)
SELECT gen_random_uuid(), case_id, agency_id, stay_id, date '2026-01-01' + n, $2
FROM stay, generate_series(1, $3) AS n WHERE case_id = $1::text::uuid
"""


async def test_what_somebody_may_not_see_shortens_no_page_and_pages_bring_all(intake: Intake) -> None:
    mine = await opened_case(intake, lodging(3))
    hers = await opened_case(intake, lodging(3), fleeing=True)
    for each in (mine, hers):
        await moves_in(intake, each.case_id, 3, need_id=each.need_ids[0])
    pool = intake.database.pool
    for case_id, many in ((hers.case_id, 600), (mine.case_id, 5)):
        await pool.execute(_MANY_TASKS, case_id, "2026-01-01:", NOON, many)
        await pool.execute(_MANY_ALARMS, case_id, NOON, many)
    for method, request, field in (
        ("ListTasks", stays.ListTasksRequest(page_size=2), "tasks"),
        ("ListAlarms", stays.ListAlarmsRequest(page_size=2), "alarms"),
    ):
        found, pages = [], []
        while True:
            page = await intake.ask(method, request, COLLEAGUE)
            pages.append(len(getattr(page, field)))
            found += getattr(page, field)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        assert pages == [2, 2, 1]
        assert {each.case_id for each in found} == {mine.case_id}
        assert len({each.SerializeToString() for each in found}) == 5
        hubs = await intake.ask(method, type(request)(), HUB_DESK)
        assert len(getattr(hubs, field)) == 50
        assert hubs.next_page_token
    with pytest.raises(Refusal) as no:
        await intake.ask("ListTasks", stays.ListTasksRequest(page_token="x"), COLLEAGUE)
    assert no.value.reason == "page-token-malformed"


async def test_whoever_moves_again_is_asked_about_the_new_place(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(20))
    await moves_in(intake, opened.case_id, 20, need_id=opened.need_ids[0])
    await days_pass(intake, 20)
    await moves_in(intake, opened.case_id, 60, first=20)
    await days_pass(intake, 60)
    assert [each.due_on for each in await tasks(intake)] == [day(50)]


async def test_a_return_to_the_street_opens_the_case_again(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3), unsheltered=False)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await days_pass(intake, 30)
    [task] = await tasks(intake)
    back = stays.RecordFollowUpRequest(
        task_id=task.task_id,
        outcome=stays.FOLLOW_UP_OUTCOME_REACHED,
        living_situation=116,
        note="By the bridge.",
        came_by_itself=True,
    )
    answer = await intake.ask("RecordFollowUp", back, OUTREACH)
    assert answer.reopened
    case = await intake.case(opened.case_id, OUTREACH)
    assert case.status == "open"
    [urgent] = [each for each in case.needs if each.need.need_id == answer.need_id]
    assert (urgent.need.urgency, urgent.need.from_date) == (common.URGENCY_TONIGHT, day(30))
    *_, reopened, reported = await intake.announced(opened.case_id)
    assert isinstance(reopened, events.CaseReopened)
    assert isinstance(reported, events.NeedReported)
    assert reopened.facts == reported.facts
    assert reopened.facts.unsheltered


@pytest.mark.parametrize(
    ("code", "on_date", "reason"),
    [
        (1, "", "living-situation-unknown"),
        (116, day(1), "date-out-of-range"),
        (116, day(-400), "date-out-of-range"),
        (116, "yesterday", "date-malformed"),
    ],
)
async def test_a_living_situation_that_is_none_is_refused(
    intake: Intake, code: int, on_date: str, reason: str
) -> None:
    opened = await opened_case(intake)
    request = stays.RecordLivingSituationRequest(
        case_id=opened.case_id, living_situation=code, on_date=on_date
    )
    with pytest.raises(Refusal) as no:
        await intake.ask("RecordLivingSituation", request, OUTREACH)
    assert no.value.reason == reason


async def test_whoever_sleeps_in_a_shelter_that_is_known_has_not_returned(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(9))
    await moves_in(intake, opened.case_id, 9, need_id=opened.need_ids[0])
    shelter = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=101)
    assert not (await intake.ask("RecordLivingSituation", shelter, OUTREACH)).need_id


async def test_whoever_is_found_outside_tonight_is_looked_for_tonight_whatever_is_agreed_on_for_later(
    intake: Intake,
) -> None:
    opened = await opened_case(intake)
    later = await accepted(intake, opened.case_id, first=1, nights=3)
    outside = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=116)
    answer = await intake.ask("RecordLivingSituation", outside, OUTREACH)
    searched = {each.need.need_id: each.need for each in await needs(intake, opened.case_id)}
    assert answer.need_id not in ("", later)
    assert (searched[answer.need_id].from_date, searched[answer.need_id].nights) == (day(0), 1)
    again = await intake.ask("RecordLivingSituation", outside, OUTREACH)
    assert again.need_id == answer.need_id


@pytest.mark.parametrize(
    ("code", "on_date", "back"), [(116, 0, True), (116, -1, True), (116, -2, False), (101, 0, False)]
)
async def test_a_stay_on_paper_does_not_hide_that_a_household_sleeps_outside(
    intake: Intake, code: int, on_date: int, back: bool
) -> None:
    opened = await opened_case(intake, lodging(90), unsheltered=False)
    await moves_in(intake, opened.case_id, 90, need_id=opened.need_ids[0])
    await days_pass(intake, 30)
    found = stays.RecordLivingSituationRequest(
        case_id=opened.case_id, living_situation=code, on_date=day(30 + on_date)
    )
    answer = await intake.ask("RecordLivingSituation", found, OUTREACH)
    assert bool(answer.need_id) == back
    assert [each.ended_on for each in await alarms(intake)] == [day(30)] * back
    searched = [each.need.from_date for each in await needs(intake, opened.case_id)]
    assert searched == [day(0), day(30)][: 1 + back]
    # The bed may be kept for them: the stay goes on, and so do its clocks.
    assert await told(intake, opened.case_id, events.StayEnded) == []


async def test_who_slept_outside_before_the_stay_has_a_place_now(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(9))
    await days_pass(intake, 1)
    await moves_in(intake, opened.case_id, 9, first=1, need_id=opened.need_ids[0])
    outside = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=116, on_date=day(0))
    assert not (await intake.ask("RecordLivingSituation", outside, OUTREACH)).need_id
    assert await alarms(intake) == []


# Time itself


async def test_a_service_that_was_away_over_every_due_time_keeps_all_in_order(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    intake.clock.advance(200 * DAY)
    await ring(intake)
    _, *endings, ended, thirty, ninety, half_a_year = await told(intake, opened.case_id)
    assert [each.days_left for each in endings] == [7, 3, 1]
    assert ended.until_date == day(10)
    assert [each.days for each in (thirty, ninety, half_a_year)] == [30, 90, 180]
    assert len(await alarms(intake)) == 1
    _, searched = await needs(intake, opened.case_id)
    assert searched.need.from_date == day(200)


@pytest.mark.parametrize("jump", [-1, 1])
async def test_a_clock_that_jumps_by_a_day_loses_nothing_and_repeats_nothing(
    intake: Intake, jump: int
) -> None:
    opened = await opened_case(intake, lodging(10))
    await moves_in(intake, opened.case_id, 10, need_id=opened.need_ids[0])
    await days_pass(intake, 2)
    intake.clock.advance(jump * DAY)
    await ring(intake)
    await days_pass(intake, 3)
    intake.clock.advance(jump * DAY)
    await days_pass(intake, 9)
    assert [each.days_left for each in await told(intake, opened.case_id, events.StayEnding)] == [7, 3, 1]
    assert len(await told(intake, opened.case_id, events.StayEnded)) == 1
    assert len(await needs(intake, opened.case_id)) == 2


async def test_clocks_that_ring_while_workers_act_on_the_same_households_lose_and_repeat_nothing(
    intake: Intake,
) -> None:
    """A clock locks its timer and then the case, a command the case and then the timer: both come through."""
    opened = [await opened_case(intake) for _ in range(6)]
    for each in opened:
        await intake.hear(matching.OccupancyStarted(case_id=each.case_id, from_date=day(-3)))
    for last_night in (9, 12, 20):
        intake.clock.advance(2 * DAY)
        extensions = [
            stays.ExtendStayRequest(case_id=each.case_id, last_night=day(last_night)) for each in opened
        ]
        answers = await asyncio.gather(
            *(intake.ask("ExtendStay", each, OUTREACH) for each in extensions), ring(intake), ring(intake)
        )
        assert [each.last_night for each in answers[:6]] == [day(last_night)] * 6
    intake.clock.advance(30 * DAY)

    async def nothing_is_due() -> bool:
        await ring(intake)
        return not await intake.database.pool.fetchval(_DUE, intake.clock.now())

    await until(nothing_is_due, within_s=60, what="that all is kept")
    for each in opened:
        endings = await told(intake, each.case_id, events.StayEnding)
        assert [one.days_left for one in endings if one.last_night == day(20)] == [7, 3, 1]
        assert len({(one.last_night, one.days_left) for one in endings}) == len(endings)
        assert len(await told(intake, each.case_id, events.StayEnded)) == 1
    assert len(await alarms(intake)) == 6


async def test_for_a_household_that_grew_out_of_its_place_a_larger_one_is_looked_for_once(
    intake: Intake,
) -> None:
    opened = await opened_case(intake, lodging(10))
    [met] = opened.need_ids
    referral_id = await moves_in(intake, opened.case_id, 10, need_id=met)
    grown = matching.PlaceOutgrown(case_id=opened.case_id, referral_id=referral_id, need_id=met)
    await intake.hear_together(grown, grown)
    await intake.hear(grown)
    _, larger = await needs(intake, opened.case_id)
    assert (larger.need.kind, larger.need.urgency) == (common.NEED_KIND_LODGING, common.URGENCY_SOON)
    assert (larger.need.from_date, larger.need.nights) == (day(1), 9)
    reports = await told(intake, opened.case_id, events.NeedReported)
    assert [each.need.need_id for each in reports] == [met, larger.need.need_id]


async def test_no_larger_place_is_looked_for_when_the_stay_is_over_or_the_search_has_ended(
    intake: Intake,
) -> None:
    for over in (True, False):
        opened = await opened_case(intake, lodging(10))
        [met] = opened.need_ids
        referral_id = await moves_in(intake, opened.case_id, 10, need_id=met)
        if over:
            ended = matching.OccupancyEnded(
                case_id=opened.case_id, referral_id=referral_id, until_date=day(0)
            )
            await intake.hear(ended)
        else:
            await search_ended(intake, opened.case_id)
        await intake.hear(
            matching.PlaceOutgrown(case_id=opened.case_id, referral_id=referral_id, need_id=met)
        )
        assert [each.need.need_id for each in await needs(intake, opened.case_id)] == [met]


async def search_allowed(intake: Intake, case_id: str, until: int) -> str:
    """The household allows the search, in writing, up to that day; the consent."""
    text = consents.ConsentText(
        version="search-1", language="en", purpose=consents.CONSENT_PURPOSE_SEARCH, body="May we go on?"
    )
    await intake.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)
    seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    mother = seen.household.persons[0].person_id
    given = consents.RecordConsentRequest(
        case_id=case_id, person_ids=[mother], signer_id=mother, text_version="search-1", text_language="en",
        purpose=consents.CONSENT_PURPOSE_SEARCH, evidence=consents.CONSENT_EVIDENCE_PAPER, until_date=day(until),
    )  # fmt: skip
    consent_id: str = (await intake.ask("RecordConsent", given, OUTREACH)).consent_id
    return consent_id


async def search_ended(intake: Intake, case_id: str) -> None:
    """The household allowed the search, in writing, and does not any more."""
    consent_id = await search_allowed(intake, case_id, 60)
    ended = consents.RevokeConsentRequest(case_id=case_id, consent_id=consent_id)
    await intake.ask("RevokeConsent", ended, OUTREACH)


@pytest.mark.parametrize(("until", "asked_on"), [(60, 46), (10, 5)])
async def test_before_a_search_ends_with_its_consent_somebody_is_told_to_ask(
    intake: Intake, until: int, asked_on: int
) -> None:
    opened = await opened_case(intake, lodging(3))
    await search_allowed(intake, opened.case_id, until)
    await days_pass(intake, asked_on - 1)
    assert await tasks(intake) == []
    await days_pass(intake, 1)
    assert [(each.kind, each.due_on) for each in await tasks(intake)] == [
        (stays.TASK_KIND_RENEW_CONSENT, day(asked_on))
    ]
    # Nobody answers: the search ends as it was allowed, and what was asked stays to be asked.
    await days_pass(intake, until - asked_on + 1)
    assert [each.state for each in await needs(intake, opened.case_id)] == ["withdrawn"]
    [left_to_ask] = await tasks(intake)
    answer = stays.AnswerTaskRequest(task_id=left_to_ask.task_id, answer=0)
    await intake.ask("AnswerTask", answer, OUTREACH)
    assert await tasks(intake) == []


async def test_who_allows_the_search_anew_or_ends_it_is_not_asked(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3))
    await search_allowed(intake, opened.case_id, 40)
    await days_pass(intake, 26)
    assert len(await tasks(intake)) == 1
    longer = await search_allowed(intake, opened.case_id, 80)
    assert await tasks(intake) == []
    await days_pass(intake, 20)
    assert [each.state for each in await needs(intake, opened.case_id)] == ["reported"]
    await days_pass(intake, 20)
    assert len(await tasks(intake)) == 1
    revoke = consents.RevokeConsentRequest(case_id=opened.case_id, consent_id=longer)
    await intake.ask("RevokeConsent", revoke, OUTREACH)
    assert await tasks(intake) == []


async def migrated_again(intake: Intake) -> None:
    """The migration that arms what was promised before there was a reminder of it."""
    [migration] = [each for each in read("services.intake") if each.name == "renewals_and_reads"]
    settings = intake.settings
    owner = await asyncpg.connect(settings.owner_dsn, password=settings.owner_password())
    try:
        await owner.execute("DROP INDEX access_log_case, access_log_read")
        await owner.execute(migration.sql)
    finally:
        await owner.close()


@pytest.mark.parametrize(("until", "asked_on"), [(60, 46), (11, 6)])
async def test_a_search_that_was_allowed_before_anybody_asked_in_time_is_asked_for_as_well(
    intake: Intake, until: int, asked_on: int
) -> None:
    opened = await opened_case(intake, lodging(3))
    await search_allowed(intake, opened.case_id, until)
    await search_ended(intake, (await opened_case(intake, lodging(3))).case_id)
    armed = await intake.database.pool.fetch(_REMINDERS)
    await intake.database.pool.execute("DELETE FROM reminder WHERE kind = 'consent-ends-soon'")
    await intake.database.pool.execute("DELETE FROM timer WHERE kind = 'case-clock'")
    for _ in range(2):
        await migrated_again(intake)
        assert await intake.database.pool.fetch(_REMINDERS) == armed
    await days_pass(intake, asked_on - 1)
    assert await tasks(intake) == []
    await days_pass(intake, 1)
    [asked] = await tasks(intake)
    assert asked.case_id == opened.case_id


# What exports tell


def exported(as_of: int, *exits: messages.ImportedExit, key: str = "h1", **changes: Any) -> Any:
    """An export of that day: one household, which has left if it has an exit."""
    fields: dict[str, Any] = {
        "source_key": key, "agency_source_key": "o1", "household": household(unsheltered=False),
        "person_source_keys": [f"{key}p1", f"{key}p2"], "opened_on": day(-60), "closed": bool(exits), "exits": exits,
    }  # fmt: skip
    return messages.ImportHouseholdsRequest(
        source_id="hmis:exits", as_of=day(as_of), households=[messages.ImportedHousehold(**fields | changes)],
        agencies=[messages.ImportedAgency(source_key="o1", name="Harbor")],
    )  # fmt: skip


def left(on: int, destination: int) -> messages.ImportedExit:
    return messages.ImportedExit(entered_on=day(-60), exited_on=day(on), destination=destination, persons=2)


async def outcome(intake: Intake, request: messages.ImportHouseholdsRequest) -> tuple[str, str]:
    """The case of the one household, and what the export was to it."""
    [result] = (await intake.ask("ImportHouseholds", request, OPERATOR)).results
    return result.case_id, result.outcome


async def imported(intake: Intake, request: messages.ImportHouseholdsRequest) -> str:
    case_id, _ = await outcome(intake, request)
    return case_id


async def is_open(intake: Intake, case_id: str) -> bool:
    closed_at = await intake.database.pool.fetchval(
        "SELECT closed_at FROM case_file WHERE case_id = $1::text::uuid", case_id
    )
    return closed_at is None


async def sleeps_outside(intake: Intake, case_id: str) -> bool:
    return bool(await intake.database.pool.fetchval(_UNSHELTERED, case_id))


_REMINDERS = """
SELECT case_id, agency_id, about, (due_at AT TIME ZONE 'UTC')::date FROM reminder WHERE kind = 'consent-ends-soon'
"""
_UNSHELTERED = """
SELECT unsheltered FROM household JOIN case_file USING (household_id) WHERE case_id = $1::text::uuid
"""
_WANTED = "SELECT from_date::text, urgency FROM need WHERE case_id = $1::text::uuid AND withdrawn_at IS NULL"


@pytest.mark.parametrize(("destination", "urgency"), [(116, "tonight"), (101, "soon"), (118, "soon")])
async def test_an_exit_to_the_street_keeps_the_case_open_and_looks_for_a_place(
    intake: Intake, destination: int, urgency: str
) -> None:
    gone = left(0, destination)
    known = await imported(intake, exported(-1))
    assert await outcome(intake, exported(0, gone)) == (known, "changed")
    new = await imported(intake, exported(0, gone, key="h2"))
    outside = destination == 116
    assert await sleeps_outside(intake, known) == outside
    for case_id in (known, new):
        assert await is_open(intake, case_id)
        [need] = await intake.database.pool.fetch(_WANTED, case_id)
        assert tuple(need) == (day(0), urgency)
        assert not await told(intake, case_id, events.CaseClosed)
    # What later exports say again neither closes the case nor looks once more.
    await days_pass(intake, 10)
    for after in (9, 10):
        assert await outcome(intake, exported(after, gone)) == (known, "unchanged")
        assert await is_open(intake, known)
        assert await sleeps_outside(intake, known) == outside
        assert len(await intake.database.pool.fetch(_WANTED, known)) == 1


async def test_an_exit_to_the_street_opens_a_closed_case_once(intake: Intake) -> None:
    unknown, street = left(0, 99), left(0, 116)
    case_id = await imported(intake, exported(-1))
    await imported(intake, exported(0, unknown))
    assert not await is_open(intake, case_id)
    await days_pass(intake, 1)
    assert await imported(intake, exported(1, street)) == case_id
    assert await is_open(intake, case_id)
    assert len(await told(intake, case_id, events.CaseReopened)) == 1
    agency = await intake.database.pool.fetchval("SELECT agency_id::text FROM case_file")
    worker = type(OUTREACH)("harbor", agency, frozenset({"case_manager"}))
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), worker)
    await imported(intake, exported(2, street))
    assert not await is_open(intake, case_id)


async def test_an_exit_to_the_street_that_lies_back_is_history(intake: Intake) -> None:
    case_id = await imported(intake, exported(-1, left(-8, 116)))
    assert not await is_open(intake, case_id)
    assert not await told(intake, case_id, events.NeedReported)


async def test_an_exit_to_a_home_is_followed_up_from_its_day(intake: Intake) -> None:
    home = left(-2, 410)
    new = await imported(intake, exported(-1, home))
    known = await imported(intake, exported(-3, key="h2"))
    await imported(intake, exported(-1, home, key="h2"))
    assert [await is_open(intake, each) for each in (new, known)] == [False, False]
    await days_pass(intake, 40)
    await imported(intake, exported(40, home, key="h2"))
    await days_pass(intake, 140)
    for case_id in (new, known):
        assert [each.days for each in await told(intake, case_id, events.FollowUpDue)] == [30, 90, 180]
    due = await intake.database.pool.fetch("SELECT due_on::text FROM task ORDER BY due_on, task_id")
    assert [row["due_on"] for row in due] == [day(after) for after in (28, 28, 88, 88, 178, 178)]
