"""For a household in hiding every answer to police and to other agencies is the same to the byte, whether a
place was free or not: taken up by her, full, not there at all, or matching away."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import matching_pb2 as matching_messages
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    OFFICER,
    OUTREACH,
    goods,
    household,
    lodging,
    open_request,
)
from tests.support.matching import HUB as HUB_OF_MATCHING
from tests.support.stack import RunningStack
from tests.support.twins import Twin, twin

HERS, THEIRS, OPEN, SOMEBODY = (str(UUID(int=n, version=4)) for n in (11, 12, 13, 14))
NEEDS = {case: str(UUID(int=UUID(case).int + 100)) for case in (HERS, THEIRS, OPEN)}
GOODS = {case: str(UUID(int=UUID(case).int + 200)) for case in (HERS, THEIRS, OPEN)}
MADE_UP = str(UUID(int=999, version=4))
OUTSIDERS = (OFFICER, OUTREACH, COLLEAGUE, MANAGER, ADVOCATE)

Transcript = dict[str, bytes]
Ending = Callable[[Twin], Awaitable[None]]


def opening(case: str, *, hidden: bool) -> messages.OpenCaseRequest:
    needs = [lodging(3, need_id=NEEDS[case]), goods(need_id=GOODS[case])]
    return open_request(
        *needs, case_id=case, household=household(fleeing=hidden, survivor=hidden), find_tonight=True
    )


async def whole(world: Twin, takes_place: Ending) -> Transcript:
    """Everything that outsiders are told from the first night to the day after, by what they asked."""
    told: Transcript = {}
    for again in ("", " again"):
        body = MessageToDict(opening(HERS, hidden=True))
        told[f"officer opens{again}"] = await world.over_http("POST", "/v1/cases", body, OFFICER, "hers")
        request = opening(THEIRS, hidden=True)
        told[f"outreach opens{again}"] = await world.over_rpc("OpenCase", request, OUTREACH, "theirs")
    async with contextlib.AsyncExitStack() as watches:
        watched = {
            who.subject: await watches.enter_async_context(
                world.watching(messages.WatchCaseRequest(case_id=case), who)
            )
            for who, case in ((OFFICER, HERS), (OUTREACH, THEIRS))
        }
        await ask_all(world, told, "at once")
        await world.deliver()
        await ask_all(world, told, "when matching knows")
        await takes_place(world)
        await world.deliver()
        await ask_all(world, told, "when the hub has done what it can")
        await world.advance(timedelta(days=1))
        await ask_all(world, told, "the day after")
    for who, seen in watched.items():
        told[f"all that {who} saw while watching"] = b"|".join(seen)
    return told


async def ask_all(world: Twin, told: Transcript, when: str) -> None:
    """Every outsider asks for everything about both cases, and tries everything, at both doors."""
    referrals = [
        str(row[0]) for row in await world.matching.database.pool.fetch("SELECT referral_id FROM referral")
    ]
    for who in OUTSIDERS:
        for case in (HERS, THEIRS):
            where = f"{when}: {who.subject} of {'hers' if case == HERS else 'theirs'}"
            for method, request in calls(case, (referrals or [MADE_UP])[0]):
                said = await world.over_rpc(method, request, who, f"{where} {method}")
                told[f"{where} {method} {len(told)}"] = said
            for verb, path in (
                ("GET", ""),
                ("GET", ":watch"),
                ("POST", f"/needs/{NEEDS[case]}:find-tonight"),
            ):
                body = None if verb == "GET" else dict[str, str]()
                said = await world.over_http(verb, f"/v1/cases/{case}{path}", body, who, where)
                told[f"{where} {verb} {path}"] = said


def calls(case: str, referral: str) -> list[tuple[str, Message]]:
    """`referral`: the real one if there is one in this world. That it is real must not show."""
    return [
        ("GetCase", messages.GetCaseRequest(case_id=case)),
        ("FindTonight", messages.FindTonightRequest(case_id=case, need_id=NEEDS[case])),
        ("FindTonight", messages.FindTonightRequest(case_id=case, need_id=MADE_UP)),
        ("AnswerReferral", messages.AnswerReferralRequest(case_id=case, referral_id=referral, accepted=True)),
        ("AnswerReferral", messages.AnswerReferralRequest(case_id=case, referral_id=MADE_UP)),
        ("ReportNeed", messages.ReportNeedRequest(case_id=case, need=lodging(1, need_id=MADE_UP))),
        ("WithdrawNeed", messages.WithdrawNeedRequest(case_id=case, need_id=NEEDS[case])),
        ("CloseCase", messages.CloseCaseRequest(case_id=case)),
        ("AssignWorker", messages.AssignWorkerRequest(case_id=case, worker=MANAGER.subject)),
    ]


async def somebody_elses_search(world: Twin) -> Transcript:
    """Another agency's household, not in hiding, looks for a place itself and finds none."""
    body = MessageToDict(opening(OPEN, hidden=False))
    opened = await world.over_http("POST", "/v1/cases", body, MANAGER, "open")
    await world.deliver()
    shown = await world.over_rpc("GetCase", messages.GetCaseRequest(case_id=OPEN), MANAGER)
    return {"another agency's search": opened, "what it shows later": shown}


async def she_moves_in(world: Twin) -> None:
    """The hub says yes for house and household, by the code, and she arrives."""
    for entry in await desk(world):
        referral, code = entry.referral.referral_id, entry.arrival_code
        await world.matching.provider(referral, True, HUB_OF_MATCHING)
        yes = messages.AnswerReferralRequest(referral_id=referral, accepted=True, arrival_code=code)
        answer = await world.over_rpc("AnswerReferral", yes, HUB_DESK, f"hub {referral}")
        assert b"accepted" in answer
        await world.matching.check_in(referral, HUB_OF_MATCHING)


async def nothing_can_be_done(world: Twin) -> None:
    assert [entry.referral.referral_id for entry in await desk(world)] == ["", ""]


async def nobody_knows(world: Twin) -> None:
    """Matching heard of it by its events, but answers nobody."""


async def desk(world: Twin, head_count: int = 2) -> list[matching_messages.HubDeskEntry]:
    """What the hub sees of the two households, or of one of another size."""
    asked = matching_messages.ListHubDeskRequest()
    shown = await world.matching.ask("ListHubDesk", asked, HUB_OF_MATCHING)
    return [entry for entry in shown.entries if entry.head_count == head_count]


@pytest.fixture(scope="module")
async def free(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Transcript, Transcript]:
    """A world in which both households get a room."""
    async with twin(stack, folder(tmp_path_factory)) as world:
        await quiet_house(world, 2)
        told = await whole(world, she_moves_in)
        taken = await world.matching.database.pool.fetchval("SELECT count(*) FROM occupancy")
        assert taken == 2, "in this world they did find a place"
        return told, await somebody_elses_search(world)


async def quiet_house(world: Twin, rooms: int) -> None:
    await world.matching.offer(
        rooms, who=HUB_OF_MATCHING, unit=matching_messages.UNIT_ROOM, confidential=True, name="Quiet House"
    )


def folder(factory: pytest.TempPathFactory) -> Path:
    return Path(factory.mktemp("world"))


async def test_full(
    free: tuple[Transcript, Transcript], stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with twin(stack, folder(tmp_path_factory)) as world:
        await quiet_house(world, 1)
        alone = household(fleeing=True, persons=[messages.Person()])
        request = open_request(lodging(3, need_id=MADE_UP), household=alone, case_id=SOMEBODY)
        await world.over_rpc("OpenCase", request, ADVOCATE, "somebody")
        await world.deliver()
        assert [entry.referral.place for entry in await desk(world, head_count=1)] == ["Quiet House"]
        assert same(free, (await whole(world, nothing_can_be_done), await somebody_elses_search(world)))


async def test_no_such_place_at_all(
    free: tuple[Transcript, Transcript], stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with twin(stack, folder(tmp_path_factory)) as world:
        assert same(free, (await whole(world, nothing_can_be_done), await somebody_elses_search(world)))


async def test_matching_away(
    free: tuple[Transcript, Transcript], stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """So neither the bytes nor the time they take can come from matching."""
    async with twin(stack, folder(tmp_path_factory), neighbour=False) as world:
        assert same(free, (await whole(world, nobody_knows), free[1]))


def same(one: tuple[Transcript, Transcript], other: tuple[Transcript, Transcript]) -> bool:
    """To the byte; a difference is shown with the question it answers."""
    for first, second in zip(one, other, strict=True):
        assert first.keys() == second.keys()
        assert {ask: said for ask, said in first.items() if said != second[ask]} == {}
    return True


def test_the_transcript_holds_answers(free: tuple[Transcript, Transcript]) -> None:
    """It is not the sameness of nothing: the hub is named, the case is shown, refusals are what they should be."""
    told, search = free
    assert len(told) > 400
    assert b'"arrivalCode"' in told["officer opens"]
    assert told["officer opens"] == told["officer opens again"]
    shown = [said for ask, said in told.items() if "GET " in ask and b"with the hub" in said]
    assert len(shown) == 2 * 2 * 4, "each opener sees the status of the own case, as a page and as a stream"
    assert all(said.count(b"with the hub") == 1 for ask, said in told.items() if "watching" in ask)
    refusals = {
        reason for said in told.values() for reason in (b"with-the-hub", b"not-found") if reason in said
    }
    assert refusals == {b"with-the-hub", b"not-found"}
    assert not any(b"internal" in said or b"UNAVAILABLE" in said for said in told.values())
    assert b'"none":{"reason":"UNMATCHED_REASON_NO_ELIGIBLE_PLACE"' in search["another agency's search"]
