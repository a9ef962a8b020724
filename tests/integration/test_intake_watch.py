"""Watching a case: each change once, at once, and nothing of a change that the caller may not see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from aid.intake.v1 import intake_pb2 as messages

from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    HUB_DESK,
    MANAGER,
    OFFICER,
    OUTREACH,
    Intake,
    goods,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


@pytest.fixture
async def patient(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    """Looks again by itself only after ten minutes: what is seen before was woken."""
    async with opened_intake(stack, tmp_path, look_again_s=600) as opened:
        yield opened


async def test_a_watcher_sees_the_case_now_and_at_each_change(patient: Intake) -> None:
    intake = patient
    opened = await intake.ask("OpenCase", open_request(lodging(1)), OUTREACH)
    async with asyncio.timeout(20), aclosing(intake.watch(opened.case_id, OUTREACH)) as views:
        assert [need.state for need in (await anext(views)).case.needs] == ["reported"]
        await intake.ask(
            "ReportNeed", messages.ReportNeedRequest(case_id=opened.case_id, need=goods()), OUTREACH
        )
        assert len((await anext(views)).case.needs) == 2
        await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
        assert (await anext(views)).case.status == "closed"


async def test_a_change_that_another_process_made_is_seen_too(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(lodging(1)), OUTREACH)
    async with asyncio.timeout(20), aclosing(intake.watch(opened.case_id, OUTREACH)) as views:
        await anext(views)
        await intake.database.pool.execute(
            "UPDATE need SET unmatched = 'all-full', version = version + 1 WHERE need_id = $1::text::uuid",
            opened.need_ids[0],
        )
        assert (await anext(views)).case.needs[0].state == "unmatched"


async def test_looking_again_without_a_change_reads_no_person(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(), OUTREACH)
    async with asyncio.timeout(20), aclosing(intake.watch(opened.case_id, OUTREACH)) as views:
        await anext(views)
        read = await intake.count("access_log")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):  # it looks again five times meanwhile
                await anext(views)
        assert await intake.count("access_log") == read


async def test_the_opener_of_a_hidden_case_learns_not_even_when_something_happens(intake: Intake) -> None:
    hidden = open_request(lodging(1), household=household(fleeing=True), find_tonight=True)
    opened = await intake.ask("OpenCase", hidden, OFFICER)
    code = opened.tonight.hub.arrival_code
    await intake.ask(
        "AssignWorker", messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject), HUB_DESK
    )
    async with asyncio.timeout(20):
        async with (
            aclosing(intake.watch(opened.case_id, OFFICER)) as officer,
            aclosing(intake.watch(opened.case_id, ADVOCATE)) as advocate,
        ):
            assert (await anext(officer)).case.status == "with the hub"
            await anext(advocate)
            further = asyncio.ensure_future(anext(officer))
            await intake.ask(
                "ReportNeed", messages.ReportNeedRequest(case_id=opened.case_id, need=goods()), ADVOCATE
            )
            assert len((await anext(advocate)).case.needs) == 2
            await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), ADVOCATE)
            assert (await anext(advocate)).case.status == "closed"
            assert not (await asyncio.wait([further], timeout=1.0))[0]
            further.cancel()
            await asyncio.wait([further])


async def test_what_is_foreign_is_as_if_absent(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(), OUTREACH)
    async with aclosing(intake.watch(opened.case_id, MANAGER)) as views:
        with pytest.raises(Refusal) as refused:
            await anext(views)
    assert refused.value.reason == "not-found"
