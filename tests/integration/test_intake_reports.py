"""Reports on a real database: counted over all agencies, published once on their day, and nothing in them of few."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aid.intake.v1 import intake_pb2 as intake_messages
from aid.intake.v1 import reports_pb2 as messages
from aid.matching.v1 import events_pb2 as matching

from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.chassis.timers import Timers
from services.intake.application.publish_report import begin_reports
from services.intake.domain.access import REGION
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.deadlines import deadlines
from tests.support.intake import (
    MANAGER,
    NOON,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

AUDITOR = Principal("auditor", "", frozenset({"auditor"}))
AREAS = ("hillside", "riverside")
PUBLISHED = datetime(2027, 1, 15, 0, 30, tzinfo=UTC)
QUARTER = "2026-Q4"


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        await opened.application.works.run(begin_reports)
        yield opened


async def keep_promises(intake: Intake) -> None:
    works = intake.application.works
    timers = Timers(intake.database, intake.clock, works, deadlines(AREAS), metrics=intake.metrics)
    while await timers.keep():
        pass


async def met(
    intake: Intake, count: int, who: Principal = OUTREACH, nights: int = 0, **changes: object
) -> None:
    """So many households that were met today and slept in a place after so many nights."""
    for _ in range(count):
        request = open_request(lodging(), household=household(**changes))
        opened: intake_messages.OpenCaseResponse = await intake.ask("OpenCase", request, who)
        slept = matching.OccupancyStarted(
            case_id=opened.case_id, need_id=opened.need_ids[0], from_date=f"{NOON.date() + timedelta(days=nights)}",
            last_night=f"{NOON.date() + timedelta(days=nights + 2)}", referral_id="",
        )  # fmt: skip
        await intake.hear(slept)


async def published(intake: Intake) -> messages.GetReportResponse:
    intake.clock.advance(PUBLISHED - intake.clock.now())
    await keep_promises(intake)
    answer: messages.GetReportResponse = await intake.ask(
        "GetReport", messages.GetReportRequest(period=QUARTER), AUDITOR
    )
    return answer


def cells(report: messages.GetReportResponse, indicator: str) -> dict[tuple[str, str], int | None]:
    return {
        (each.area, each.category): None if each.suppressed else each.households
        for each in report.cells
        if each.indicator == indicator
    }


async def test_nights_are_counted_over_all_agencies_and_few_are_withheld(intake: Intake) -> None:
    await met(intake, 12)
    await met(intake, 11, MANAGER, area="hillside")
    await met(intake, 10, area="")
    await met(intake, 13, nights=1)
    await met(intake, 3, nights=5, area="hillside")
    report = await published(intake)
    found = cells(report, "time-to-first-night")
    assert found["region", "same night"] == 35
    assert (found["riverside", "same night"], found["hillside", "same night"]) == (10, 10)
    assert found["region", "1 night"] == 15
    assert found["riverside", "1 night"] == 15
    assert found["region", "4 to 7 nights"] is None
    assert found["hillside", "4 to 7 nights"] is None
    assert (report.first_day, report.last_day) == ("2026-10-01", "2026-12-31")


async def test_a_household_in_hiding_changes_no_figure(intake: Intake) -> None:
    await met(intake, 12)
    await met(intake, 12, fleeing=True)
    assert cells(await published(intake), "time-to-first-night")["region", "same night"] == 10


async def test_a_quarter_is_published_on_its_day_once_and_never_changes(intake: Intake) -> None:
    await met(intake, 12)
    intake.clock.advance(PUBLISHED - timedelta(hours=1) - intake.clock.now())
    await keep_promises(intake)
    with pytest.raises(Refusal) as absent:
        await intake.ask("GetReport", messages.GetReportRequest(period=QUARTER), AUDITOR)
    assert absent.value.reason == "not-found"
    first = await published(intake)
    async with intake.application.works.within(REGION)() as work:
        work.write("UPDATE household SET area = 'hillside'")
    intake.clock.advance(timedelta(days=-3))
    await intake.application.works.run(begin_reports)
    await keep_promises(intake)
    assert await published(intake) == first
    for statement in ("UPDATE report SET cells = '{}'", "DELETE FROM report"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with intake.application.works.within(REGION)() as work:
                await work.connection.execute(statement)


async def test_quarters_that_were_missed_follow_one_by_one(intake: Intake) -> None:
    intake.clock.advance(datetime(2027, 8, 1, tzinfo=UTC) - intake.clock.now())
    await keep_promises(intake)
    listed = await intake.ask("ListReports", messages.ListReportsRequest(), AUDITOR)
    assert list(listed.periods) == ["2027-Q2", "2027-Q1", "2026-Q4", "2026-Q3"]


async def test_the_files_say_the_same(intake: Intake) -> None:
    await met(intake, 12)
    report = await published(intake)
    files = {}
    for name in ("CSV", "HXL", "JSON"):
        request = messages.ExportReportRequest(
            period=QUARTER, format=messages.ReportFormat.Value(f"REPORT_FORMAT_{name}")
        )
        files[name] = (await intake.ask("ExportReport", request, AUDITOR)).content
    plain = list(csv.DictReader(io.StringIO(files["CSV"])))
    assert len(plain) == len(report.cells)
    [same_night] = [row for row in plain if (row["area"], row["category"]) == ("region", "same night")]
    assert (same_night["households"], same_night["first day"]) == ("10", "2026-10-01")
    headings, tags, *rows = csv.reader(io.StringIO(files["HXL"]))
    assert all(re.fullmatch(r"#[a-z0-9]+(\+[a-z]+)*", tag) for tag in tags)
    assert rows == [list(row.values()) for row in plain]
    assert headings == list(plain[0])
    told = json.loads(files["JSON"])
    assert told["period"] == QUARTER
    assert len(told["cells"]) == len(report.cells)
    assert {cell["households"] for cell in told["cells"]} <= {None, 10}


async def test_figures_are_for_auditors_and_operators(intake: Intake) -> None:
    for method, request in (
        ("ListReports", messages.ListReportsRequest()),
        ("GetReport", messages.GetReportRequest(period=QUARTER)),
    ):
        with pytest.raises(AidError):
            await intake.ask(method, request, OUTREACH)
    with pytest.raises(Refusal) as refused:
        await intake.ask("GetReport", messages.GetReportRequest(period="last"), AUDITOR)
    assert refused.value.reason == "period-malformed"
