"""Police write and hardly read: of the cases that they opened one status word, which the hub's taking over freezes.

Every method of every service is asked for an officer's own cases; a new one is asked by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import agencies_pb2 as desk
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search
from aid.intake.v1 import stays_pb2 as stays
from aid.matching.v1 import events_pb2 as occupied
from aid.matching.v1 import matching_pb2 as matching_messages
from google.protobuf.message import Message

from services.chassis.call import Principal
from tests.support.clocks import day
from tests.support.intake import ADVOCATE, HUB_DESK, OFFICER, household, lodging, open_request
from tests.support.matching import HUB as HUB_OF_MATCHING
from tests.support.stack import RunningStack
from tests.support.twins import Twin, every_method, twin

PLAIN, HIDDEN = (str(UUID(int=n, version=4)) for n in (21, 22))
NEEDS = {case: str(UUID(int=UUID(case).int + 100)) for case in (PLAIN, HIDDEN)}
MARK = f"zq{uuid.uuid4().hex[:12]}"
# Whatever roles the issuer gives to somebody of the police, and a colleague who did not open the cases.
CHIEF = Principal(OFFICER.subject, OFFICER.agency, frozenset({"outreach", "case_manager", "advocate"}))
COLLEAGUE = Principal("constable", OFFICER.agency, CHIEF.roles)
# They would end the case, or undo what is asked for after it.
COMMANDS_THEY_MAY = {"CloseCase", "WithdrawNeed", "ReportNeed", "OpenCase", "GetEntryKey"}

Told = dict[str, bytes]


@pytest.fixture(scope="module")
async def told(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    """What police are told on the night they met two households, and when both have had a place: the hub looked after
    one of them, and the other still lives there."""
    async with twin(stack, Path(tmp_path_factory.mktemp("police"))) as world:
        await world.matching.offer(
            2, who=HUB_OF_MATCHING, unit=matching_messages.UNIT_ROOM, confidential=True, name="Quiet House"
        )
        for case in (PLAIN, HIDDEN):
            await meet(world, case)
        await world.deliver()
        before = await everything(world, "before")
        await look_after(world)
        await house(world)
        after = await everything(world, "after")
        return before, after


async def meet(world: Twin, case: str) -> None:
    persons = [
        messages.Person(given_name=f"{MARK}a", family_name=f"{MARK}b", note=f"{MARK}c", contact=f"{MARK}d"),
        messages.Person(given_name=f"{MARK}e", birth_date="2025-03-01", relationship=2),
    ]
    request = open_request(
        lodging(3, need_id=NEEDS[case]), case_id=case,
        household=household(persons=persons, fleeing=case == HIDDEN, handoff_point=f"{MARK}f"),
    )  # fmt: skip
    assert b"StatusCode.OK" in await world.over_rpc("OpenCase", request, OFFICER, case)


async def look_after(world: Twin) -> None:
    """An advocate, a room, a few nights, and the end of the case."""
    shown = await world.matching.ask("ListHubDesk", matching_messages.ListHubDeskRequest(), HUB_OF_MATCHING)
    [entry] = shown.entries
    referral, code = entry.referral.referral_id, entry.arrival_code
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject)
    assert b"StatusCode.OK" in await world.over_rpc("AssignWorker", assign, HUB_DESK, "assign")
    await world.matching.provider(referral, True, HUB_OF_MATCHING)
    yes = messages.AnswerReferralRequest(referral_id=referral, accepted=True, arrival_code=code)
    assert b"accepted" in await world.over_rpc("AnswerReferral", yes, HUB_DESK, "yes")
    await world.matching.check_in(referral, HUB_OF_MATCHING)
    await world.deliver()
    await world.advance(timedelta(days=4))
    closed = messages.CloseCaseRequest(case_id=HIDDEN)
    assert b"StatusCode.OK" in await world.over_rpc("CloseCase", closed, ADVOCATE, "close")


async def house(world: Twin) -> None:
    """The household that does not hide moves in where an officer does not see it."""
    about = {"case_id": PLAIN, "need_id": NEEDS[PLAIN], "referral_id": str(UUID(int=99, version=4))}
    await world.intake.hear(
        occupied.ReferralAccepted(**about),
        occupied.OccupancyStarted(**about, from_date=day(3), last_night=day(8)),
    )
    assert await world.intake.count("stay") == 2


async def everything(world: Twin, when: str) -> Told:
    answers: Told = {}
    for who in (CHIEF, COLLEAGUE):
        for case in (PLAIN, HIDDEN):
            for method, request in every_method(
                world.application.services, {"case_id": case, "need_id": NEEDS[case]}
            ):
                if method in COMMANDS_THEY_MAY:
                    continue
                where = f"{who.subject}: {method} of {'hidden' if case == HIDDEN else 'plain'}"
                answers[where] = await world.over_rpc(
                    method, request, who, f"{who.subject} {method} {case} {when}"
                )
            for method, request in where_they_live(case):
                where = f"{who.subject}: {method} {request.ByteSize()} of {'hidden' if case == HIDDEN else 'plain'}"
                answers[where] = await world.over_rpc(method, request, who, f"{where} {when}")
        glass = desk.BreakGlassRequest(case_id=HIDDEN, reason="A superior wants to know.")
        answers[f"{who.subject}: BreakGlass"] = await world.over_rpc("BreakGlass", glass, who, "glass")
        found = search.FindPersonsRequest(name=f"{MARK}a {MARK}b", widely=True)
        answers[f"{who.subject}: FindPersons"] = await world.over_rpc("FindPersons", found, who)
        for case in (PLAIN, HIDDEN):
            path = f"/v1/cases/{case}"
            for each in (path, f"{path}:watch"):
                answers[f"{who.subject}: GET {each}"] = await world.over_http("GET", each, None, who)
    return answers


def where_they_live(case: str) -> Iterator[tuple[str, Message]]:
    """What an officer might try in order to learn whether they have a place, and until when."""
    yield "RecordLivingSituation", stays.RecordLivingSituationRequest(case_id=case, living_situation=116)
    for stay_id, last_night in ((0, day(8)), (1, day(8)), (2, day(9)), (200, day(400))):
        yield "ExtendStay", stays.ExtendStayRequest(case_id=case, stay_id=stay_id, last_night=last_night)


async def test_nothing_personal_is_told_to_police_by_any_method(told: tuple[Told, Told]) -> None:
    for answers in told:
        assert len(answers) > 150
        assert [ask for ask, said in answers.items() if MARK.encode() in said] == []
        assert not [ask for ask, said in answers.items() if b"INTERNAL" in said]


async def test_the_case_that_they_opened_is_a_status_word(told: tuple[Told, Told]) -> None:
    before, _ = told
    for case, word in (("plain", b"open"), ("hidden", b"with the hub")):
        assert word in before[f"officer: GetCase of {case}"]
        assert b"Quiet House" not in before[f"officer: GetCase of {case}"]
    assert b"NOT_FOUND" in before["constable: GetCase of plain"]
    assert b"NOT_FOUND" in before["officer: BreakGlass"]


async def test_what_they_say_of_a_place_is_recorded_and_answered_with_nothing(
    told: tuple[Told, Told],
) -> None:
    for answers in told:
        [said] = [
            said
            for ask, said in answers.items()
            if ask.startswith("officer: RecordLivingSituation 4") and "plain" in ask
        ]
        assert said.startswith(b"(<StatusCode.OK")
        assert said.endswith(b", b'')")


async def test_the_answers_about_a_hidden_household_are_frozen(told: tuple[Told, Told]) -> None:
    """A room, an advocate, a stay and the end of the case: from the officer's screen nothing happened."""
    before, after = told
    assert before.keys() == after.keys()
    changed = {ask: (said, after[ask]) for ask, said in before.items() if said != after[ask]}
    # Where the other household sleeps is told only to whoever still stands there.
    changed.pop("officer: FindTonight of plain")
    assert changed == {}


async def test_a_colleague_of_the_police_is_told_of_nothing(told: tuple[Told, Told]) -> None:
    """Plain or hidden, every answer to who did not open it is one and the same."""
    for answers in told:
        of_plain = {
            ask: said for ask, said in answers.items() if ask.startswith("constable: ") and "plain" in ask
        }
        for ask, said in of_plain.items():
            assert said == answers[ask.replace("plain", "hidden")], ask
