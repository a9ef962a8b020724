"""Households in hiding: the hub arranges their place, and from nobody else's screen anything can be learnt."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching

from services.chassis import errors
from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.intake.application.ports import NoPlace
from services.intake.domain.outcomes import Unmatched
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    HUB,
    HUB_DESK,
    LOGISTICS,
    MANAGER,
    OFFICER,
    OPERATOR,
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


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


async def hidden_case(
    intake: Intake, who: Principal = OFFICER, *needs: messages.NeedInput, **changes: Any
) -> messages.OpenCaseResponse:
    request = open_request(
        lodging(3), *needs, household=household(fleeing=True, **changes), find_tonight=True
    )
    answer: messages.OpenCaseResponse = await intake.ask("OpenCase", request, who)
    return answer


async def refused(intake: Intake, method: str, request: Any, who: Principal) -> tuple[str, str]:
    with pytest.raises((Refusal, AidError)) as caught:
        await intake.ask(method, request, who)
    shown = errors.of(caught.value)
    assert shown is not None
    return str(shown.kind), shown.reason


async def test_the_hub_is_the_answer_and_matching_is_not_asked(intake: Intake) -> None:
    intake.matching.asked.clear()
    opened = await hidden_case(intake)
    hub = opened.tonight.hub
    assert (hub.phone, hub.meeting_point) == (HUB.phone, HUB.meeting_point)
    assert len(hub.arrival_code) == 8
    assert intake.matching.asked == []
    _, said = await intake.announced(opened.case_id)
    assert isinstance(said, events.NeedReported)
    assert said.arrival_code == hub.arrival_code
    assert said.facts.confidential


async def test_the_answer_is_the_same_whether_a_place_is_free_or_not(intake: Intake) -> None:
    opened = await hidden_case(intake)
    request = messages.FindTonightRequest(case_id=opened.case_id, need_id=opened.need_ids[0])
    before = await intake.ask("FindTonight", request, OFFICER)
    intake.matching.tonight = NoPlace(Unmatched.ALL_FULL, None)
    await intake.hear(proposed(opened))
    after = await intake.ask("FindTonight", request, OFFICER)
    code = opened.tonight.hub.arrival_code
    advocate = messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject)
    await intake.ask("AssignWorker", advocate, HUB_DESK)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), ADVOCATE)
    closed = await intake.ask("FindTonight", request, OFFICER)
    stranger_need = messages.FindTonightRequest(case_id=opened.case_id, need_id=new_id())
    unknown = await intake.ask("FindTonight", stranger_need, OFFICER)
    answers = {each.SerializeToString(deterministic=True) for each in (before, after, closed, unknown)}
    assert len(answers) == 1
    assert before.tonight == opened.tonight


@pytest.mark.parametrize("opener", [OFFICER, OUTREACH])
async def test_the_opener_sees_the_same_few_bytes_whatever_happens(intake: Intake, opener: Principal) -> None:
    opened = await hidden_case(intake, opener, goods())
    seen = [await intake.case(opened.case_id, opener)]
    assert (seen[0].status, seen[0].confidential) == ("with the hub", True)
    assert not seen[0].persons
    assert not seen[0].needs
    await intake.hear(proposed(opened))
    seen.append(await intake.case(opened.case_id, opener))
    code = opened.tonight.hub.arrival_code
    advocate = messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject)
    await intake.ask("AssignWorker", advocate, HUB_DESK)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), ADVOCATE)
    seen.append(await intake.case(opened.case_id, opener))
    assert len({view.SerializeToString(deterministic=True) for view in seen}) == 1
    for method, request in writes(opened):
        assert await refused(intake, method, request, opener) == ("refused", "with-the-hub")


async def test_for_everybody_else_the_case_is_absent(intake: Intake) -> None:
    opened = await hidden_case(intake, OUTREACH)
    for who in (COLLEAGUE, MANAGER, ADVOCATE, OFFICER, HUB_DESK):
        assert await refused(intake, "GetCase", messages.GetCaseRequest(case_id=opened.case_id), who) == (
            "missing",
            "not-found",
        )
    for method, request in writes(opened):
        assert await refused(intake, method, request, COLLEAGUE) == ("missing", "not-found")


async def test_the_hub_assigns_an_advocate_by_the_code_and_she_sees_all_of_it(intake: Intake) -> None:
    opened = await hidden_case(intake)
    code = opened.tonight.hub.arrival_code
    spoken = f"{code[:4].lower()} {code[4:].lower()}"
    request = messages.AssignWorkerRequest(arrival_code=spoken, worker=ADVOCATE.subject)
    assigned = await intake.ask("AssignWorker", request, HUB_DESK)
    assert assigned.case_id == opened.case_id
    view = await intake.case(opened.case_id, ADVOCATE)
    assert [person.given_name for person in view.persons] == ["Mara", "Ivo"]
    assert view.status == "open"
    further = messages.AssignWorkerRequest(case_id=opened.case_id, worker=MANAGER.subject)
    await intake.ask("AssignWorker", further, ADVOCATE)
    assert (await intake.case(opened.case_id, MANAGER)).persons


async def test_nobody_is_assigned_who_must_not_be(intake: Intake) -> None:
    opened = await hidden_case(intake)
    code = opened.tonight.hub.arrival_code
    assign = messages.AssignWorkerRequest
    cases = [
        (assign(arrival_code=code, worker=OFFICER.subject), HUB_DESK, ("refused", "police-not-assignable")),
        (assign(arrival_code=code, worker="nobody"), HUB_DESK, ("invalid", "worker-unknown")),
        (assign(arrival_code="AAAAAAAA", worker=ADVOCATE.subject), HUB_DESK, ("missing", "not-found")),
        (assign(arrival_code=code, worker=ADVOCATE.subject), ADVOCATE, ("denied", "hub-only")),
        (assign(case_id=opened.case_id, worker=ADVOCATE.subject), ADVOCATE, ("missing", "not-found")),
        (assign(case_id=opened.case_id, worker=OUTREACH.subject), OUTREACH, ("denied", "role-not-allowed")),
    ]
    for request, who, expected in cases:
        assert await refused(intake, "AssignWorker", request, who) == expected
    assert (
        await intake.database.pool.fetchval(
            "SELECT count(*) FROM assignment WHERE case_id = $1", uuid.UUID(opened.case_id)
        )
        == 0
    )


async def test_an_advocate_who_opens_the_case_stays_with_it(intake: Intake) -> None:
    opened = await hidden_case(intake, ADVOCATE)
    assert opened.tonight.HasField("hub")
    assert (await intake.case(opened.case_id, ADVOCATE)).persons


async def test_the_hub_answers_a_referral_by_the_code_and_only_the_hub(intake: Intake) -> None:
    opened = await hidden_case(intake)
    code, referral_id = opened.tonight.hub.arrival_code, new_id()
    yes = messages.AnswerReferralRequest(referral_id=referral_id, accepted=True, arrival_code=code)
    assert (await intake.ask("AnswerReferral", yes, HUB_DESK)).state == "accepted"
    case_id, answered, accepted = intake.matching.answered[-1]
    assert (str(case_id), str(answered), accepted) == (opened.case_id, referral_id, True)
    assert await refused(intake, "AnswerReferral", yes, OUTREACH) == ("denied", "hub-only")
    no_case = messages.AnswerReferralRequest(referral_id=referral_id)
    assert await refused(intake, "AnswerReferral", no_case, HUB_DESK) == ("invalid", "case-missing")


async def test_codes_differ_and_tell_nothing_of_the_case(intake: Intake) -> None:
    codes = {(await hidden_case(intake)).tonight.hub.arrival_code for _ in range(8)}
    assert len(codes) == 8


async def test_a_bag_for_a_household_in_hiding_goes_to_the_hub(intake: Intake) -> None:
    opened = await hidden_case(intake, OFFICER, goods(), handoff_point="her sister's street")
    open_one = await intake.ask(
        "OpenCase",
        open_request(goods(), household=household(handoff_point="Library", handoff_slot="Tuesdays")),
        OUTREACH,
    )
    points = []
    for case, need in ((opened.case_id, opened.need_ids[1]), (open_one.case_id, open_one.need_ids[0])):
        allocation_id = new_id()
        request = messages.GetHandoffRequest(allocation_id=allocation_id)
        assert await refused(intake, "GetHandoff", request, LOGISTICS) == ("missing", "not-found")
        await intake.hear(
            matching.NeedAllocated(case_id=case, need_id=need, allocation_id=allocation_id, quantity=60),
            logistics.AllocationReserved(allocation_id=allocation_id, bag_code="BAG"),
        )
        handoff = await intake.ask("GetHandoff", request, LOGISTICS)
        points.append((handoff.point, handoff.slot))
        other = Principal("matching", "", frozenset({"service"}))
        assert await refused(intake, "GetHandoff", request, other) == ("denied", "caller-not-allowed")
        assert await refused(intake, "GetHandoff", request, OPERATOR) == ("denied", "role-not-allowed")
    assert points == [(HUB.meeting_point, HUB.handoff_slot), ("Library", "Tuesdays")]
    for case in (opened, open_one):
        logged = await intake.database.pool.fetchval(
            "SELECT count(*) FROM access_log WHERE case_id = $1::text::uuid AND why = 'GetHandoff' AND reader = 'logistics'",
            case.case_id,
        )
        assert logged == 1


def proposed(opened: messages.OpenCaseResponse) -> matching.ReferralProposed:
    event = matching.ReferralProposed(
        case_id=opened.case_id, referral_id=new_id(), need_id=opened.need_ids[0], place_handle=new_id(),
        contact=HUB.phone, from_date="2026-11-24", nights=3,
    )  # fmt: skip
    event.expires_at.FromJsonString("2026-11-24T14:00:00Z")
    return event


def writes(opened: messages.OpenCaseResponse) -> list[tuple[str, Any]]:
    case_id = opened.case_id
    return [
        ("ReportNeed", messages.ReportNeedRequest(case_id=case_id, need=goods())),
        ("WithdrawNeed", messages.WithdrawNeedRequest(case_id=case_id, need_id=opened.need_ids[0])),
        ("CloseCase", messages.CloseCaseRequest(case_id=case_id)),
        ("AnswerReferral", messages.AnswerReferralRequest(case_id=case_id, referral_id=new_id())),
    ]
