"""Intake and matching together: a stay comes to its end, and nobody leaves it unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import stays_pb2 as stays
from aid.intake.v1.intake_pb2 import NeedView, Person

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


async def test_a_household_that_grew_out_of_its_place_moves_into_a_larger_one(
    stack: RunningStack, tmp_path: Path
) -> None:
    async with twin(stack, tmp_path) as world:
        small = await world.matching.offer(2, name="East shelter")
        opened = await asked(world, "OpenCase", open_request(lodging(6), find_tonight=True))
        first = opened.tonight.held.referral_id
        await world.deliver()
        await moves_in(world, opened.case_id, first)
        large = await world.matching.offer(3, name="West shelter")

        newborn = households.AddPersonRequest(
            case_id=opened.case_id, expected_revision=1, person=Person(birth_date=day(0), relationship=2)
        )
        await asked(world, "AddPerson", newborn)
        await world.deliver()
        # It stays where it is until the larger place, from tomorrow on, is agreed on and taken.
        [_, larger] = await lodging_needs(world, opened.case_id)
        assert (larger.need.from_date, larger.need.nights, larger.need.urgency) == (
            day(1),
            5,
            common.URGENCY_SOON,
        )
        [held] = larger.referrals
        await world.matching.client(opened.case_id, held.referral_id, True)
        await world.matching.provider(held.referral_id, True)
        await days_pass(world, 1)
        await world.matching.check_in(held.referral_id)
        await world.deliver()

        lived = (await asked(world, "ListStays", stays.ListStaysRequest(case_id=opened.case_id))).stays
        assert [(each.from_date, each.ended_on) for each in lived] == [(day(0), day(1)), (day(1), "")]
        *had, following = await lodging_needs(world, opened.case_id)
        assert [each.state for each in had] == ["met", "met"]
        # Both places are theirs up to the same night: what comes after it is looked for already.
        assert (following.need.from_date, following.state) == (day(6), "referred")
        assert [taken for _, taken in await world.matching.nights(small)] == [0] * 7
        # Five nights lived in, and held from then on.
        assert [taken for _, taken in await world.matching.nights(large)] == [3] * 7
        assert (await asked(world, "ListAlarms", stays.ListAlarmsRequest())).alarms == []
        await world.matching.consistent()


async def lodging_needs(world: Twin, case_id: str) -> list[NeedView]:
    shown = (await world.intake.case(case_id, OUTREACH)).needs
    return [each for each in shown if each.need.kind == common.NEED_KIND_LODGING]
