"""An entry that is told again for as long as it is accepted, is applied once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aid.intake.v1 import intake_pb2 as intake_messages
from aid.intake.v1 import stays_pb2 as stays

from services.chassis import idempotency
from services.chassis.timers import Timers
from tests.integration.test_intake_entries import entry, entry_key, met, outcomes, sealed, told
from tests.support.clocks import days_pass
from tests.support.intake import NOON, OUTREACH, Intake, new_id, opened_intake
from tests.support.stack import RunningStack


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def answers_purged_daily(intake: Intake) -> None:
    application = intake.application
    timers = Timers(intake.database, intake.clock, application.works, application.deadlines)
    await timers.start()
    await timers.drain()


async def kept(intake: Intake) -> tuple[int, int]:
    """Answers to entries, and all others."""
    row = await intake.database.pool.fetchrow(
        "SELECT count(*) FILTER (WHERE key LIKE 'entry:%') AS entries, "
        "count(*) FILTER (WHERE key NOT LIKE 'entry:%') AS others FROM idempotency"
    )
    assert row is not None
    return row["entries"], row["others"]


async def test_a_closing_that_is_told_again_does_not_close_what_was_opened_again(intake: Intake) -> None:
    await answers_purged_daily(intake)
    key = await entry_key(intake)
    first = met(NOON)
    case_id = first.open_case.case_id
    closing = entry(NOON, close_case=intake_messages.CloseCaseRequest(case_id=case_id))
    assert outcomes(await told(intake, sealed(key, first), sealed(key, closing))) == ["APPLIED"] * 2
    await days_pass(intake, 3)
    outside = stays.RecordLivingSituationRequest(case_id=case_id, living_situation=116)
    assert (await intake.ask("RecordLivingSituation", outside, OUTREACH, new_id())).reopened
    before = await kept(intake)
    assert before[1] > 0
    for _ in range(26):
        await days_pass(intake, 1)
    assert outcomes(await told(intake, sealed(key, closing))) == ["APPLIED"]
    assert (await intake.case(case_id, OUTREACH)).status == "open"
    entries, others = await kept(intake)
    assert entries == before[0]
    assert others < before[1], "of the others nothing is kept for so long"


async def test_when_no_entry_is_accepted_any_more_none_is_remembered(intake: Intake) -> None:
    await answers_purged_daily(intake)
    key = await entry_key(intake)
    await told(intake, sealed(key, met(NOON)))
    assert (await kept(intake))[0] == 1
    for _ in range(33):
        await days_pass(intake, 1)
    assert (await kept(intake))[0] == 0
    assert timedelta(days=30) > idempotency.KEEP
