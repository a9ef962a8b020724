"""Intake and matching together: a stay comes to its end, and nobody leaves it unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aid.intake.v1 import stays_pb2 as stays

from services.chassis.errors import AidError
from services.chassis.timers import Timers
from tests.support.clocks import DAY, day
from tests.support.intake import OUTREACH, call, lodging, open_request
from tests.support.stack import RunningStack
from tests.support.twins import Twin, twin


async def asked(world: Twin, method: str, request: Any) -> Any:
    [service] = [each for each in world.application.services if method in each.rules]
    return await getattr(service.implementation, method)(request, call(method, OUTREACH, None))


async def days_pass(world: Twin, days: int) -> None:
    """One after the other, for both; what intake's clocks say is heard by matching, and the other way round."""
    timers = Timers(
        world.intake.database, world.intake.clock, world.application.works, world.application.deadlines
    )
    for _ in range(days):
        await world.advance(DAY)
        while await timers.keep():
            pass
        await world.deliver()


async def moves_in(world: Twin, case_id: str, referral_id: str) -> None:
    await world.matching.client(case_id, referral_id, True)
    await world.matching.provider(referral_id, True)
    await world.matching.check_in(referral_id)
    await world.deliver()


async def test_a_household_whose_stay_ends_is_held_the_next_place_before_it_has_to_leave(
    stack: RunningStack, tmp_path: Path
) -> None:
    async with twin(stack, tmp_path) as world:
        await world.matching.offer(3, name="East shelter", max_nights=9)
        opened = await asked(world, "OpenCase", open_request(lodging(8), find_tonight=True))
        first = opened.tonight.held.referral_id
        await world.deliver()
        await moves_in(world, opened.case_id, first)

        await days_pass(world, 2)
        longer = stays.ExtendStayRequest(case_id=opened.case_id, last_night=day(8))
        assert (await asked(world, "ExtendStay", longer)).last_night == day(8)
        await world.deliver()
        try:
            await asked(
                world, "ExtendStay", stays.ExtendStayRequest(case_id=opened.case_id, last_night=day(20))
            )
            raise AssertionError("the place allows nine nights")
        except AidError as no:
            assert no.reason == "max-stay-reached"

        # It was looked for from the old last night on; that is taken back, and looked for from the new one.
        await days_pass(world, 1)
        shown = (await world.intake.case(opened.case_id, OUTREACH)).needs
        assert [each.state for each in shown] == ["met", "withdrawn", "referred"]
        [held] = shown[2].referrals
        assert held.from_date == day(9)
        await world.matching.client(opened.case_id, held.referral_id, True)
        await world.matching.provider(held.referral_id, True)
        await days_pass(world, 6)
        await world.matching.check_in(held.referral_id)
        await world.deliver()
        await days_pass(world, 1)
        lived = (await asked(world, "ListStays", stays.ListStaysRequest(case_id=opened.case_id))).stays
        assert [(each.from_date, each.ended_on) for each in lived] == [(day(0), day(9)), (day(9), "")]
        assert (await asked(world, "ListAlarms", stays.ListAlarmsRequest())).alarms == []
        await world.matching.consistent()

        await days_pass(world, 9)
        [alarm] = (await asked(world, "ListAlarms", stays.ListAlarmsRequest())).alarms
        assert (alarm.case_id, alarm.ended_on) == (opened.case_id, day(16))
