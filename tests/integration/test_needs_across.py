"""Intake's word on needs, heard by matching: both know the same needs, whatever became of the household."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import needs_pb2 as needs

from services.chassis.timers import Timers
from tests.support.intake import OUTREACH, Intake, goods, lodging, open_request, opened_intake
from tests.support.matching import World, matching
from tests.support.stack import RunningStack

_STANDING = """
SELECT need_id::text, kind, item_id, quantity, COALESCE(from_date::text, ''), nights, urgency, size,
       COALESCE(latest_date::text, ''), constraints
FROM need WHERE case_id = $1 AND state <> 'closed' ORDER BY need_id
"""


async def test_matching_knows_the_needs_that_intake_has(stack: RunningStack, tmp_path: Path) -> None:
    async with opened_intake(stack, tmp_path) as intake, matching(stack) as world:
        asked = [
            lodging(2, constraints=["quiet"], latest_date="2026-11-27"),
            goods("shoes-toddler", 1, size="eu-22"),
            messages.NeedInput(kind=common.NEED_KIND_HOUSING, constraints=["near-school"]),
            messages.NeedInput(kind=common.NEED_KIND_SERVICES, item_id="legal-aid"),
            messages.NeedInput(kind=common.NEED_KIND_JOB, constraints=["part-time"]),
        ]
        opened = await intake.ask("OpenCase", open_request(*asked), OUTREACH)
        case_id, heard = opened.case_id, 0
        heard = await agree(intake, world, case_id, heard)
        await intake.ask("DeriveNeeds", needs.DeriveNeedsRequest(case_id=case_id), OUTREACH)
        heard = await agree(intake, world, case_id, heard)
        known = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
        child = messages.Person(birth_date="2026-10-25", relationship=2)
        joins = households.AddPersonRequest(
            case_id=case_id, expected_revision=known.household.revision, person=child
        )
        await intake.ask("AddPerson", joins, OUTREACH)
        heard = await agree(intake, world, case_id, heard)
        word = needs.OverruleNeedRequest(case_id=case_id, norm="clothes", not_needed=True, reason="enough")
        await intake.ask("OverruleNeed", word, OUTREACH)
        longer = needs.ChangeNeedRequest(case_id=case_id, need_id=opened.need_ids[0], need=lodging(5))
        await intake.ask("ChangeNeed", longer, OUTREACH)
        heard = await agree(intake, world, case_id, heard)
        await pass_days(intake, 45)
        await agree(intake, world, case_id, heard)


async def pass_days(intake: Intake, days: int) -> None:
    intake.clock.advance(timedelta(days=days))
    timers = Timers(
        intake.database, intake.clock, intake.application.works, intake.application.deadlines,
        metrics=intake.metrics,
    )  # fmt: skip
    while await timers.keep():
        pass


async def agree(intake: Intake, world: World, case_id: str, heard: int) -> int:
    """Tell matching what it has not heard yet; how much it has heard then."""
    told = await intake.announced(case_id)
    assert len(told) > heard
    await world.hear(*told[heard:])
    ours = await intake.database.pool.fetch(
        _STANDING.replace("state <> 'closed'", "withdrawn_at IS NULL AND met_at IS NULL"), case_id
    )
    theirs = await world.database.pool.fetch(_STANDING, case_id)
    assert [tuple(row) for row in ours] == [tuple(row) for row in theirs]
    assert len(ours) >= 5
    return len(told)
