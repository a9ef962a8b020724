"""Needs that are reported at one time share a transaction, and each is answered as if it had come alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis import discretion
from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    AGENCIES,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    NOON,
    OPERATOR,
    OUTREACH,
    Intake,
    goods,
    household,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM need"
VERSION = "SELECT version FROM case_file WHERE case_id = $1"


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


def a_need(case_id: str, **changes: Any) -> messages.ReportNeedRequest:
    return messages.ReportNeedRequest(case_id=case_id, need=goods(**{"need_id": new_id(), **changes}))


async def a_case(intake: Intake, who: Principal = OUTREACH, **changes: Any) -> str:
    answer = await intake.ask("OpenCase", open_request(**changes), who)
    case_id: str = answer.case_id
    return case_id


async def together(*asked: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def reported(intake: Intake, case_id: str) -> list[str]:
    told = await intake.announced(case_id)
    return [each.need.need_id for each in told if isinstance(each, events.NeedReported)]


async def test_needs_of_many_cases_are_written_in_few_transactions(intake: Intake) -> None:
    cases = [await a_case(intake) for _ in range(12)]
    requests = [a_need(case_id) for case_id in cases]
    answers = await together(*(intake.ask("ReportNeed", each, OUTREACH) for each in requests))
    assert [each.need_id for each in answers] == [each.need.need_id for each in requests]
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1
    for case_id, answer in zip(cases, answers, strict=True):
        assert await reported(intake, case_id) == [answer.need_id]
        assert await intake.database.pool.fetchval(VERSION, case_id) == 2
    assert intake.metrics.needs_reported_total.labels("goods")._value.get() == 12


async def test_needs_of_one_case_go_together_in_their_order(intake: Intake) -> None:
    case_id = await a_case(intake)
    requests = [a_need(case_id, quantity=n + 1) for n in range(6)]
    answers = await together(*(intake.ask("ReportNeed", each, OUTREACH) for each in requests))
    ids = [each.need_id for each in answers]
    assert ids == [each.need.need_id for each in requests]
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1
    assert await reported(intake, case_id) == ids
    view = await intake.case(case_id, OUTREACH)
    assert [each.need.need_id for each in view.needs] == ids
    assert await intake.database.pool.fetchval(VERSION, case_id) == 2


async def test_whoever_read_the_case_before_them_begins_anew(intake: Intake) -> None:
    """Needs in one transaction raise the version by one, and that is enough for everybody else."""
    case_id = await a_case(intake)
    async with intake.database.transaction() as connection:
        await connection.execute("SELECT FROM case_file WHERE case_id = $1 FOR UPDATE", case_id)
        asked = [asyncio.create_task(intake.ask("ReportNeed", a_need(case_id), OUTREACH)) for _ in range(3)]
        while not await intake.database.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert not any(each.done() for each in asked)
        await connection.execute("UPDATE case_file SET version = version + 1 WHERE case_id = $1", case_id)
    answers = await together(*asked)
    assert await reported(intake, case_id) == [each.need_id for each in answers]
    assert await intake.database.pool.fetchval(VERSION, case_id) == 3
    assert intake.metrics.transactions_retried_total._value.get() == 1


async def test_each_is_refused_as_if_it_had_come_alone(intake: Intake) -> None:
    case_id, foreign, closed = await a_case(intake), await a_case(intake, MANAGER), await a_case(intake)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=closed), OUTREACH)
    used = a_need(case_id)
    await intake.ask("ReportNeed", used, OUTREACH)
    tomorrow = Timestamp()
    tomorrow.FromDatetime(NOON + timedelta(days=1))
    good = [a_need(case_id) for _ in range(4)]
    late = a_need(case_id)
    late.occurred_at.CopyFrom(tomorrow)
    bad = [
        (a_need(foreign), "not-found"),
        (a_need(new_id()), "not-found"),
        (a_need(closed), "case-closed"),
        (a_need(case_id, need_id=used.need.need_id), "id-taken"),
        (a_need(case_id, quantity=0), None),
        (late, "occurred-in-the-future"),
    ]
    alone = [await together(intake.ask("ReportNeed", each, OUTREACH)) for each, _ in bad]
    asked = [*(each for each, _ in bad[:3]), *good, *(each for each, _ in bad[3:])]
    answers = await together(*(intake.ask("ReportNeed", each, OUTREACH) for each in asked))
    refused = [*answers[:3], *answers[7:]]
    for one, (_, reason), [by_itself] in zip(refused, bad, alone, strict=True):
        assert isinstance(one, Refusal)
        assert reason in (None, one.reason)
        assert vars(one) == vars(by_itself)
    assert [each.need_id for each in answers[3:7]] == [each.need.need_id for each in good]
    assert await reported(intake, case_id) == [used.need.need_id, *(each.need.need_id for each in good)]
    assert await intake.count("need") == 5


async def test_the_same_command_many_times_at_once_is_one_need_and_one_answer(intake: Intake) -> None:
    case_id = await a_case(intake)
    request, other = a_need(case_id, need_id=""), a_need(case_id)
    asked = [intake.ask("ReportNeed", request, OUTREACH, key="one") for _ in range(5)]
    answers = await together(*asked, intake.ask("ReportNeed", other, OUTREACH, key="two"))
    assert len({each.need_id for each in answers[:5]}) == 1
    assert answers[5].need_id == other.need.need_id
    again = await together(
        *(
            intake.ask("ReportNeed", each, OUTREACH, key=key)
            for each, key in ((request, "one"), (other, "one"))
        ),
        intake.ask("ReportNeed", a_need(case_id), OUTREACH),
    )
    assert again[0] == answers[0]
    assert isinstance(again[1], AidError)
    assert again[1].reason == "idempotency-key-reused"
    assert await intake.count("need") == 3


async def test_one_id_for_two_needs_is_one_need(intake: Intake) -> None:
    case_id, twice = await a_case(intake), new_id()
    asked = [a_need(case_id, need_id=twice), a_need(case_id), a_need(case_id, need_id=twice)]
    answers = await together(*(intake.ask("ReportNeed", each, OUTREACH) for each in asked))
    assert answers[1].need_id == asked[1].need.need_id
    [refused] = [each for each in answers if isinstance(each, Exception)]
    assert await intake.count("need") == 2
    assert not isinstance(refused, Refusal) or refused.reason == "id-taken"


async def test_who_works_elsewhere_is_told_so_and_colleagues_are_not_held_up(intake: Intake) -> None:
    case_id = await a_case(intake)
    moved = Principal("moved", AGENCIES["outreach"], frozenset({"case_manager"}))
    worker = messages.RegisterWorkerRequest(worker="moved", agency_id=AGENCIES["shelter"])
    await intake.ask("RegisterWorker", worker, OPERATOR)
    whose = [OUTREACH, moved, COLLEAGUE, OUTREACH]
    answers = await together(*(intake.ask("ReportNeed", a_need(case_id), who) for who in whose))
    assert answers[1].reason == "worker-of-another-agency"
    assert len(await reported(intake, case_id)) == 3
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1


def at_doors(
    intake: Intake, who: Principal, cases: dict[str, str], marks: dict[str, discretion.Mark]
) -> list[asyncio.Task[Any]]:
    """Each of them as a door asks it: with a mark of its own."""

    def asking(name: str, case_id: str) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def ask() -> Any:
            marks[name] = discretion.begin()
            return await intake.ask("ReportNeed", a_need(case_id), who)

        return ask

    return [asyncio.create_task(asking(name, case_id)()) for name, case_id in cases.items()]


async def test_a_household_in_hiding_hushes_its_own_call_alone(intake: Intake) -> None:
    """Otherwise a figure of the others' calls would be missing, and tell when she came."""
    marks: dict[str, discretion.Mark] = {}
    other = await a_case(intake, ADVOCATE)
    hiding = await a_case(intake, ADVOCATE, household=household(fleeing=True))
    cases = {"open 0": other, "hiding": hiding, "open 1": other}
    answers = await together(*at_doors(intake, ADVOCATE, cases, marks))
    assert [type(each) for each in answers] == [messages.ReportNeedResponse] * 3
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1
    assert {name: mark.hushed for name, mark in marks.items()} == {
        "open 0": False, "hiding": True, "open 1": False,
    }  # fmt: skip
    assert intake.metrics.needs_reported_total.labels("goods")._value.get() == 2


async def test_a_case_of_another_agency_is_reported_for_by_whom_the_hub_assigned(intake: Intake) -> None:
    """In a transaction of its own: in that of the others its rows are not there."""
    marks: dict[str, discretion.Mark] = {}
    hiding = await a_case(intake, ADVOCATE, household=household(fleeing=True))
    code = await intake.database.pool.fetchval(
        "SELECT arrival_code FROM case_file WHERE case_id = $1", hiding
    )
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=MANAGER.subject)
    await intake.ask("AssignWorker", assign, HUB_DESK)
    own = await a_case(intake, MANAGER)
    answers = await together(
        *at_doors(intake, MANAGER, {"own 0": own, "hiding": hiding, "own 1": own}, marks)
    )
    assert [type(each) for each in answers] == [messages.ReportNeedResponse] * 3
    assert await reported(intake, hiding) == [answers[1].need_id]
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 2
    assert {name for name, mark in marks.items() if mark.hushed} == {"hiding"}
