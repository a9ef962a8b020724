"""Intake's clocks in tests: time is stepped, and what falls due is kept as the running service keeps it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import Message

from services.chassis.call import Principal
from services.chassis.timers import Timers
from tests.support.intake import OUTREACH, Intake, household, new_id, open_request

TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)


def day(after: int) -> str:
    return (TODAY + after * DAY).isoformat()


async def ring(intake: Intake) -> int:
    """Keep all that is due now, as one worker of the running service does; how many promises that was."""
    timers = Timers(intake.database, intake.clock, intake.application.works, intake.application.deadlines)
    kept = 0
    while now := await timers.keep():
        kept += now
    return kept


async def days_pass(intake: Intake, days: int) -> None:
    """One day after the other, and on each what falls due on it."""
    for _ in range(days):
        intake.clock.advance(DAY)
        await ring(intake)


async def until(intake: Intake, moment: datetime) -> None:
    """At once, as a clock that was set."""
    intake.clock.advance(moment - intake.clock.now())
    await ring(intake)


async def opened_case(
    intake: Intake, *needs: messages.NeedInput, who: Principal = OUTREACH, **changes: Any
) -> messages.OpenCaseResponse:
    request = open_request(*needs, household=household(**changes))
    answer: messages.OpenCaseResponse = await intake.ask("OpenCase", request, who)
    return answer


async def moves_in(intake: Intake, case_id: str, nights: int, *, first: int = 0, need_id: str = "") -> str:
    """The household takes a place of which matching tells; the referral that led there."""
    referral_id = new_id()
    await intake.hear(
        matching.OccupancyStarted(
            case_id=case_id,
            referral_id=referral_id,
            need_id=need_id,
            from_date=day(first),
            last_night=day(first + nights - 1),
        )
    )
    return referral_id


async def told(intake: Intake, case_id: str, *types: type[Message]) -> list[Any]:
    """What the case has announced, of these types, in order."""
    wanted = types or (events.StayStarted, events.StayEnding, events.StayEnded, events.FollowUpDue)
    return [each for each in await intake.announced(case_id) if isinstance(each, wanted)]
