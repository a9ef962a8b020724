"""Cases that come at one time share a transaction, and each is answered as if it had come alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages

from services.chassis import discretion
from services.chassis.errors import AidError
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    MANAGER,
    OFFICER,
    OUTREACH,
    Intake,
    goods,
    household,
    lodging,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM case_file"


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


def a_case(**changes: Any) -> messages.OpenCaseRequest:
    """A household with two needs; the caller makes all ids."""
    needs = lodging(need_id=new_id()), goods(need_id=new_id())
    return open_request(*needs, **{"case_id": new_id(), **changes})


async def together(*asked: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def test_those_who_come_together_are_written_in_few_transactions(intake: Intake) -> None:
    requests = [a_case() for _ in range(40)]
    answers = await together(*(intake.ask("OpenCase", each, OUTREACH) for each in requests))
    assert [each.case_id for each in answers] == [each.case_id for each in requests]
    assert await intake.database.pool.fetchval(TRANSACTIONS) <= 3
    for request, answer in zip(requests, answers, strict=True):
        assert list(answer.need_ids) == [need.need_id for need in request.needs]
        assert [type(each) for each in await intake.announced(answer.case_id)] == [
            events.CaseOpened, events.NeedReported, events.NeedReported,
        ]  # fmt: skip
    for table, rows in (("person", 80), ("need", 80), ("household", 40), ("keystore.subject_key", 120)):
        assert await intake.count(table) == rows
    view = await intake.case(requests[7].case_id, OUTREACH)
    assert [each.given_name for each in view.persons] == ["Mara", "Ivo"]


async def test_one_that_is_refused_holds_up_no_other(intake: Intake) -> None:
    good = [a_case() for _ in range(5)]
    empty, many = a_case(household=household(persons=[])), a_case(needs=[goods()] * 2)
    many.needs[0].need_id = many.needs[1].need_id = new_id()
    answers = await together(*(intake.ask("OpenCase", each, OUTREACH) for each in (*good, empty, many)))
    assert [each.case_id for each in answers[:5]] == [each.case_id for each in good]
    assert [each.reason for each in answers[5:]] == ["household-empty", "need-id-twice"]
    assert await intake.count("case_file") == 5
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1


async def test_one_that_cannot_be_written_holds_up_no_other(intake: Intake) -> None:
    """The same id twice, which only the database notices: one gets it, and the other is told."""
    good, twice = [a_case() for _ in range(5)], new_id()
    requests = [*good, a_case(case_id=twice), a_case(case_id=twice)]
    answers = await together(*(intake.ask("OpenCase", each, OUTREACH) for each in requests))
    assert [each.case_id for each in answers[:5]] == [each.case_id for each in good]
    refused = [each for each in answers if isinstance(each, Exception)]
    assert [type(each) for each in refused] in ([Refusal], [asyncpg.UniqueViolationError])
    assert await intake.count("case_file") == 6


async def test_the_same_command_many_times_at_once_is_one_case_and_one_answer(intake: Intake) -> None:
    request, other = a_case(), a_case()
    asked = [intake.ask("OpenCase", request, OUTREACH, key="one") for _ in range(8)]
    answers = await together(*asked, intake.ask("OpenCase", other, OUTREACH, key="another"))
    assert {each.case_id for each in answers[:8]} == {request.case_id}
    assert answers[8].case_id == other.case_id
    again = await together(
        *(
            intake.ask("OpenCase", each, OUTREACH, key=key)
            for each, key in ((request, "one"), (other, "one"))
        ),
        intake.ask("OpenCase", a_case(), OUTREACH),
    )
    assert again[0] == answers[0]
    assert isinstance(again[1], AidError)
    assert again[1].reason == "idempotency-key-reused"
    assert await intake.count("case_file") == 3


async def test_agencies_that_come_together_do_not_see_each_other(intake: Intake) -> None:
    requests = [(a_case(), who) for who in (OUTREACH, MANAGER, OFFICER) for _ in range(4)]
    answers = await together(*(intake.ask("OpenCase", each, who) for each, who in requests))
    for (_, who), answer in zip(requests, answers, strict=True):
        other = MANAGER if who is OUTREACH else OUTREACH
        assert (await intake.case(answer.case_id, who)).case_id == answer.case_id
        with pytest.raises(Refusal):
            await intake.case(answer.case_id, other)


async def test_a_household_in_hiding_hushes_its_own_call_alone(intake: Intake) -> None:
    """Otherwise a figure of the others' calls would be missing, and tell when she came."""
    marks: dict[str, discretion.Mark] = {}

    def at_a_door(name: str, request: messages.OpenCaseRequest) -> Callable[[], Coroutine[Any, Any, Any]]:
        async def ask() -> Any:
            marks[name] = discretion.begin()
            return await intake.ask("OpenCase", request, ADVOCATE)

        return ask

    hiding = a_case(household=household(fleeing=True))
    doors = [at_a_door(f"open {n}", a_case()) for n in range(3)] + [at_a_door("hiding", hiding)]
    answers = await together(*(asyncio.create_task(ask()) for ask in doors))
    assert await intake.database.pool.fetchval(TRANSACTIONS) == 1
    assert {name: mark.hushed for name, mark in marks.items()} == {
        "open 0": False, "open 1": False, "open 2": False, "hiding": True,
    }  # fmt: skip
    assert intake.metrics.cases_opened_total._value.get() == 3
    assert await intake.database.pool.fetchval(
        "SELECT arrival_code FROM case_file WHERE case_id = $1", answers[3].case_id
    )


async def test_whom_a_command_was_about_is_forgotten_with_that_command_alone(intake: Intake) -> None:
    answers = await together(*(intake.ask("OpenCase", a_case(), OUTREACH) for _ in range(6)))
    rows = await intake.database.pool.fetch(
        "SELECT answer, subjects FROM idempotency WHERE principal = $1", "outreach"
    )
    about = {
        messages.OpenCaseResponse.FromString(row["answer"]).case_id: set(row["subjects"]) for row in rows
    }
    for answer in answers:
        persons = await intake.database.pool.fetch(
            "SELECT person_id FROM person JOIN case_file USING (household_id) WHERE case_id = $1",
            answer.case_id,
        )
        assert {row["person_id"] for row in persons} < about[answer.case_id]
        assert len(about[answer.case_id]) == 3  # and the household


async def test_who_has_left_before_their_turn_has_nothing_written(intake: Intake) -> None:
    async def act() -> Any:
        return await intake.ask("OpenCase", a_case(), OUTREACH)

    async with intake.database.transaction() as connection:
        # Whoever writes a household waits here, with the transaction that is in flight.
        await connection.execute("LOCK TABLE household IN SHARE MODE")
        first = asyncio.create_task(act())
        while not await intake.database.pool.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'household'::regclass"
        ):
            assert not first.done()
        second, third = asyncio.create_task(act()), asyncio.create_task(act())
        await asyncio.sleep(0)  # both have asked
        second.cancel()
    assert (await first).case_id
    assert (await third).case_id
    assert await intake.count("case_file") == 2
