"""What counts as an outcome in a report, and that a household with two cases is one: on a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import stays_pb2 as stays
from aid.matching.v1 import events_pb2 as matching

from services.intake.application.publish_report import begin_reports
from tests.integration.test_intake_reports import cells, published
from tests.integration.test_intake_search import merge
from tests.support.clocks import DAY, day, days_pass, moves_in, opened_case, until
from tests.support.intake import NOON, OUTREACH, Intake, lodging, opened_intake
from tests.support.stack import RunningStack

STREET, SHELTER, FRIENDS, OWN_HOME = 116, 101, 313, 410
ENOUGH = 10
"""Fewer are not told."""


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        await opened.application.works.run(begin_reports)
        yield opened


async def opened(intake: Intake, count: int = ENOUGH) -> list[str]:
    return [str((await opened_case(intake, lodging())).case_id) for _ in range(count)]


async def said(intake: Intake, cases: list[str], code: int, on_day: int) -> None:
    for case_id in cases:
        await intake.ask(
            "RecordLivingSituation",
            stays.RecordLivingSituationRequest(case_id=case_id, living_situation=code, on_date=day(on_day)),
            OUTREACH,
        )


async def lived_somewhere(intake: Intake, cases: list[str], nights: int) -> None:
    """From today on, until somebody has told that they left."""
    for case_id in cases:
        referral_id = await moves_in(intake, case_id, nights)
        await intake.hear(
            matching.OccupancyEnded(case_id=case_id, referral_id=referral_id, until_date=day(nights))
        )


async def closed(intake: Intake, cases: list[str]) -> None:
    for case_id in cases:
        await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), OUTREACH)


async def test_where_somebody_lives_is_no_outcome_until_they_have_left(intake: Intake) -> None:
    outside, housed, neighbours = await opened(intake), await opened(intake), await opened(intake)
    await said(intake, outside, STREET, 0)
    for case_id in housed:
        await moves_in(intake, case_id, 3)
    await said(intake, housed, SHELTER, 0)
    # Where they came from is not where the work led them.
    await said(intake, neighbours, OWN_HOME, 0)
    report = await published(intake)
    assert set(cells(report, "outcome").values()) == {None}
    assert set(cells(report, "days-homeless").values()) == {None}
    # Nor has anybody returned to the street who was met there.
    assert set(cells(report, "returns").values()) == {None}


async def test_what_is_said_when_a_stay_ends_is_an_outcome_and_what_is_said_later_is_news(
    intake: Intake,
) -> None:
    cases = await opened(intake)
    await lived_somewhere(intake, cases, 2)
    intake.clock.advance(6 * DAY)
    await said(intake, cases, FRIENDS, 3)
    await said(intake, cases, STREET, 6)
    report = await published(intake)
    found = cells(report, "outcome")
    assert found["region", "temporary"] == ENOUGH
    assert found["region", "homeless"] is None
    assert cells(report, "returns")["region", "returned to the street"] == ENOUGH


async def test_where_a_household_is_when_its_case_is_closed_and_its_own_home_are_outcomes(
    intake: Intake,
) -> None:
    closing, at_home, moved_on = await opened(intake), await opened(intake, 12), await opened(intake)
    await lived_somewhere(intake, moved_on, 2)
    intake.clock.advance(3 * DAY)
    await said(intake, closing, FRIENDS, 3)
    await closed(intake, closing)
    await said(intake, at_home, OWN_HOME, 2)
    # They live in another place of the network by then.
    for case_id in moved_on:
        await moves_in(intake, case_id, 5, first=2)
    await said(intake, moved_on, SHELTER, 3)
    report = await published(intake)
    found = cells(report, "outcome")
    assert (found["region", "temporary"], found["region", "permanent"]) == (ENOUGH, ENOUGH)
    assert found["region", "homeless"] is None
    assert cells(report, "days-homeless")["region", "up to 7"] == ENOUGH


async def test_a_household_with_two_cases_is_one(intake: Intake) -> None:
    kept = await opened(intake)
    await lived_somewhere(intake, kept, 1)
    await days_pass(intake, 1)
    parts = await opened(intake)
    for each, part in zip(kept, parts, strict=True):
        await merge(intake, each, part)
    await said(intake, kept, OWN_HOME, 1)
    await said(intake, parts, OWN_HOME, 1)
    await closed(intake, parts)
    await until(intake, NOON + 40 * DAY)
    report = await published(intake)
    assert cells(report, "outcome")["region", "permanent"] == ENOUGH
    assert cells(report, "days-homeless")["region", "up to 7"] == ENOUGH
    nights = cells(report, "time-to-first-night")
    assert nights["region", "same night"] == ENOUGH
    assert nights["region", "none"] is None
    assert cells(report, "follow-ups")["region", "30 days missed"] == ENOUGH


async def test_a_part_that_is_closed_ends_nothing(intake: Intake) -> None:
    kept, parts = await opened(intake), await opened(intake)
    for each, part in zip(kept, parts, strict=True):
        await merge(intake, each, part)
    await said(intake, parts, FRIENDS, 0)
    await closed(intake, parts)
    assert set(cells(await published(intake), "outcome").values()) == {None}
