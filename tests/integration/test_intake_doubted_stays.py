"""A household that is found outside while it was to sleep somewhere: looked for once, and again when the stay ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aid.intake.v1 import stays_pb2 as stays
from aid.matching.v1 import events_pb2 as matching

from tests.support.clocks import day, days_pass, moves_in, opened_case
from tests.support.intake import COLLEAGUE, OUTREACH, Intake, lodging, opened_intake
from tests.support.stack import RunningStack


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def sleeps_there(intake: Intake) -> tuple[str, str]:
    """A case that has a place for long, and the referral that led there."""
    opened = await opened_case(intake, lodging(90), unsheltered=False)
    return opened.case_id, await moves_in(intake, opened.case_id, 90, need_id=opened.need_ids[0])


async def found_outside(intake: Intake, case_id: str, after: int) -> None:
    request = stays.RecordLivingSituationRequest(case_id=case_id, living_situation=116, on_date=day(after))
    await intake.ask("RecordLivingSituation", request, OUTREACH)


async def left(intake: Intake, case_id: str, referral_id: str, after: int) -> None:
    await intake.hear(
        matching.OccupancyEnded(case_id=case_id, referral_id=referral_id, until_date=day(after))
    )


async def alarms(intake: Intake) -> list[stays.AlarmView]:
    return list((await intake.ask("ListAlarms", stays.ListAlarmsRequest(), OUTREACH)).alarms)


async def acknowledge(intake: Intake) -> None:
    [alarm] = await alarms(intake)
    seen = stays.AcknowledgeAlarmRequest(alarm_id=alarm.alarm_id, action=stays.ALARM_ACTION_FOUND_SAFE)
    await intake.ask("AcknowledgeAlarm", seen, COLLEAGUE)


async def test_however_often_it_is_found_outside_there_is_one_alarm_until_somebody_looked(
    intake: Intake,
) -> None:
    case_id, _ = await sleeps_there(intake)
    for after in (1, 2):
        await days_pass(intake, 1)
        await found_outside(intake, case_id, after)
    assert [each.ended_on for each in await alarms(intake)] == [day(1)]
    await acknowledge(intake)
    await found_outside(intake, case_id, 2)
    assert [each.ended_on for each in await alarms(intake)] == [day(2)]


async def test_the_end_of_the_stay_is_an_alarm_of_its_own_though_somebody_looked_that_day(
    intake: Intake,
) -> None:
    case_id, referral_id = await sleeps_there(intake)
    await days_pass(intake, 1)
    await found_outside(intake, case_id, 1)
    await acknowledge(intake)
    for _ in range(2):
        await left(intake, case_id, referral_id, 1)
        assert [each.ended_on for each in await alarms(intake)] == [day(1)]
    await acknowledge(intake)
    actions = await intake.database.pool.fetch("SELECT doubted, action FROM alarm ORDER BY doubted")
    assert [(each["doubted"], each["action"]) for each in actions] == [
        (False, "found-safe"),
        (True, "found-safe"),
    ]


async def test_whoever_is_looked_for_already_is_looked_for_by_one_alarm_when_the_stay_ends(
    intake: Intake,
) -> None:
    case_id, referral_id = await sleeps_there(intake)
    await days_pass(intake, 1)
    await found_outside(intake, case_id, 1)
    [before] = await alarms(intake)
    await days_pass(intake, 1)
    await left(intake, case_id, referral_id, 2)
    [after] = await alarms(intake)
    assert (after.alarm_id, before.ended_on, after.ended_on) == (before.alarm_id, day(1), day(2))
