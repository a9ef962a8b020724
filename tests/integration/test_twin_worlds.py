"""Two runs of the same days, in one of which there is one household in hiding more: police, another agency and
whoever reads `/metrics`, intake's or matching's, are told the same bytes.

A new method is asked by itself, with the ids of the household that may be there. What needs a better question gets
one in `QUESTIONS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import agencies_pb2 as desk
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import places_pb2 as places
from aid.matching.v1 import matching_pb2 as matching_messages
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from services.chassis.call import Principal
from services.matching.adapters.gauges import Gauges
from services.matching.settings import HubSettings, MatchingTerms
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    OFFICER,
    OPERATOR,
    OUTREACH,
    goods,
    household,
    lodging,
    open_request,
)
from tests.support.matching import HUB as HUB_OF_MATCHING
from tests.support.stack import RunningStack
from tests.support.twins import MADE_UP, Twin, every_method, every_reading, twin

HERS, OPEN, POLICE, SOME, MORE = (str(UUID(int=n, version=4)) for n in (11, 12, 13, 9, 14))
NEEDS = {case: str(UUID(int=UUID(case).int + 100)) for case in (HERS, OPEN, POLICE, SOME, MORE)}
QUIET = str(UUID(int=77, version=4))
VSP = Principal("quiet-advocate", QUIET, frozenset({"advocate"}))
# An officer who did not meet her, another agency's workers in every role, and the insider: a colleague of the agency
# that looks after her who is not assigned to her.
CHIEF = Principal("chief", OFFICER.agency, frozenset({"outreach", "case_manager", "advocate"}))
ELSEWHERE = Principal(
    "elsewhere", MANAGER.agency, frozenset({"outreach", "case_manager", "advocate", "provider"})
)
INSIDER = Principal("insider", OUTREACH.agency, frozenset({"outreach", "case_manager", "advocate"}))
OUTSIDERS = (OFFICER, CHIEF, MANAGER, ELSEWHERE, INSIDER)
# The case of each of them, or of their agency: what they are told of it is told of nobody else.
OWN = {OFFICER: POLICE, CHIEF: POLICE, MANAGER: OPEN, ELSEWHERE: OPEN, INSIDER: SOME}
# Whoever breaks the glass learns that she is there: that is what it is for, and why it is told to a supervisor.
NOT_FOR_THE_INSIDER = {"BreakGlass"}
# Random in every run, whoever is in it.
RANDOM = {"GetEntryKey"}
ANY_ID = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    # A code follows from the random id of a referral; as a field of a message its length stands before it.
    rb"|(?<=\\x08)[34679ACDEFGHJKMNPQRTVWXY]{8}|(?<=\")[34679ACDEFGHJKMNPQRTVWXY]{8}(?=\")"
)
# How long things took is another in every run.
A_DURATION = re.compile(r"^(\w+_(bucket|sum|created)|\w+_seconds_(bucket|sum))\b")

Told = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Question:
    """Something an outsider may ask; asked of each of them, at the gRPC door."""

    method: str
    request: Message


def QUESTIONS() -> list[Question]:
    """Worth asking with more than ids."""
    return [
        Question("ListCases", desk.ListCasesRequest(page_size=1)),
        Question("ListCases", desk.ListCasesRequest(page_size=2)),
        Question("ListCases", desk.ListCasesRequest()),
        Question("GetCase", messages.GetCaseRequest(case_id=OPEN)),
        Question("FindTonight", messages.FindTonightRequest(case_id=HERS, need_id=NEEDS[HERS])),
        Question("ReportNeed", messages.ReportNeedRequest(case_id=HERS, need=lodging(1, need_id=MADE_UP))),
        Question("WithdrawNeed", messages.WithdrawNeedRequest(case_id=HERS, need_id=NEEDS[HERS])),
        Question("AssignWorker", messages.AssignWorkerRequest(case_id=HERS, worker="insider")),
        Question(
            "BreakGlass", desk.BreakGlassRequest(case_id=HERS, reason="I would like to know who is there.")
        ),
        Question(
            "BreakGlass", desk.BreakGlassRequest(arrival_code="34679ACD", reason="A code that was guessed.")
        ),
        Question("CheckPlace", places.CheckPlaceRequest(token="guessed")),
    ]


@pytest.fixture(scope="module")
async def worlds(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    with_her = await told(stack, tmp_path_factory.mktemp("with"), she_is_there=True)
    return with_her, await told(stack, tmp_path_factory.mktemp("without"), she_is_there=False)


async def told(stack: RunningStack, folder: Path, *, she_is_there: bool) -> Told:
    """All that outsiders are told over some days, by what they asked."""
    async with twin(stack, folder) as world:
        answers: Told = {}
        await set_up(world)
        await others_open(world, answers)
        if she_is_there:
            await she_is_met(world)
        await world.deliver()
        await they_move_in(world, answers, MANAGER, OPEN)
        await ask_all(world, answers, "the first night")
        if she_is_there:
            await she_is_looked_after(world)
        await they_move_in(world, answers, INSIDER, SOME)
        await ask_all(world, answers, "the second day")
        await world.advance(timedelta(days=1))
        await ask_all(world, answers, "the third day")
        if she_is_there:
            await world.over_rpc("CloseCase", messages.CloseCaseRequest(case_id=HERS), ADVOCATE, "close")
            await world.deliver()
        await world.advance(timedelta(days=8))
        await ask_all(world, answers, "a week later")
        return answers


async def set_up(world: Twin) -> None:
    agency = messages.RegisterAgencyRequest(
        agency_id=QUIET, name="Quiet", type=messages.AGENCY_TYPE_VICTIM_SERVICE_PROVIDER
    )
    assert b"StatusCode.OK" in await world.over_rpc("RegisterAgency", agency, OPERATOR, "quiet")
    await world.matching.offer(
        2, who=HUB_OF_MATCHING, unit=matching_messages.UNIT_ROOM, confidential=True, name="Quiet House"
    )
    await world.matching.offer(4, name="Open House")


async def others_open(world: Twin, answers: Told) -> None:
    """Households that everybody may know of."""
    for case, who in ((OPEN, MANAGER), (POLICE, OFFICER), (SOME, INSIDER), (MORE, INSIDER)):
        request = open_request(
            lodging(3, need_id=NEEDS[case]), goods(need_id=str(UUID(int=UUID(case).int + 200))),
            case_id=case, household=household(), find_tonight=True,
        )  # fmt: skip
        answers[f"{who.subject} opens {case}"] = await world.over_http(
            "POST", "/v1/cases", MessageToDict(request), who, case
        )


async def they_move_in(world: Twin, answers: Told, who: Principal, case: str) -> None:
    """A household takes the bed that was held for it: from now on it has clocks. One before she does, one after."""
    body = answers[f"{who.subject} opens {case}"].partition(b"\r\n\r\n")[2]
    referral = json.loads(body)["tonight"]["held"]["referralId"]
    yes = messages.AnswerReferralRequest(case_id=case, referral_id=referral, accepted=True)
    said = await world.over_rpc("AnswerReferral", yes, who, f"yes {case}")
    assert b"StatusCode.OK" in said
    answers[f"{who.subject} says yes"] = said
    await world.matching.provider(referral, True)
    await world.matching.check_in(referral)
    await world.deliver()


async def she_is_met(world: Twin) -> None:
    """By a worker of the insider's agency; and elsewhere a victim service provider asks for a place."""
    hers = open_request(
        lodging(3, need_id=NEEDS[HERS]), case_id=HERS, household=household(fleeing=True), find_tonight=True
    )
    opened = await world.over_rpc("OpenCase", hers, OUTREACH, "hers")
    assert b"StatusCode.OK" in opened
    assert opened == await world.over_rpc("OpenCase", hers, OUTREACH, "hers")
    wanted = places.RequestPlaceRequest(adults=3, nights=2)
    assert b"StatusCode.OK" in await world.over_rpc("RequestPlace", wanted, VSP, "a key that nobody guesses")


async def she_is_looked_after(world: Twin) -> None:
    """The hub gives her an advocate and a room; somebody breaks the glass; she moves in, and things are needed."""
    entries = await hub_desk(world)
    assert sorted(entry.head_count for entry in entries) == [2, 3]
    for entry in entries:
        await move_in(world, entry)
    [code] = [entry.arrival_code for entry in entries if entry.head_count == 2]
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=ADVOCATE.subject)
    assert b"StatusCode.OK" in await world.over_rpc("AssignWorker", assign, HUB_DESK, "assign")
    breaks = desk.BreakGlassRequest(case_id=HERS, reason="She called and nobody else was there.")
    assert b"StatusCode.OK" in await world.over_rpc("BreakGlass", breaks, COLLEAGUE, "glass")
    for who in (ADVOCATE, COLLEAGUE, OUTREACH):
        assert HERS.encode() in await world.over_rpc("GetCase", messages.GetCaseRequest(case_id=HERS), who)
        assert HERS.encode() in await world.over_http("GET", f"/v1/cases/{HERS}:watch", None, who)
    async with world.watching(messages.WatchCaseRequest(case_id=HERS), ADVOCATE) as seen:
        report = messages.ReportNeedRequest(case_id=HERS, need=goods("soap", 1))
        assert b"StatusCode.OK" in await world.over_rpc("ReportNeed", report, ADVOCATE, "soap")
        assert seen
    await world.deliver()


async def hub_desk(world: Twin) -> list[matching_messages.HubDeskEntry]:
    shown = await world.matching.ask("ListHubDesk", matching_messages.ListHubDeskRequest(), HUB_OF_MATCHING)
    return list(shown.entries)


async def move_in(world: Twin, entry: matching_messages.HubDeskEntry) -> None:
    referral = entry.referral.referral_id
    await world.matching.provider(referral, True, HUB_OF_MATCHING)
    yes = messages.AnswerReferralRequest(referral_id=referral, accepted=True, arrival_code=entry.arrival_code)
    assert b"accepted" in await world.over_rpc("AnswerReferral", yes, HUB_DESK, f"hub {referral}")
    await world.matching.check_in(referral, HUB_OF_MATCHING)
    await world.deliver()


async def ask_all(world: Twin, answers: Told, when: str) -> None:
    """Every outsider asks everything, at both doors; then somebody reads the figures."""
    for who in OUTSIDERS:
        for question in [*QUESTIONS(), *asked_of_every_method(world), *asked_of_their_own(world, who)]:
            if who is INSIDER and question.method in NOT_FOR_THE_INSIDER:
                continue
            where = f"{when}: {who.subject}: {question.method} {len(answers)}"
            answers[where] = plain(await world.over_rpc(question.method, question.request, who, where))
        for path in (f"/v1/cases/{HERS}", f"/v1/cases/{HERS}:watch", "/v1/cases", "/v1/agency/workers"):
            where = f"{when}: {who.subject}: GET {path}"
            answers[where] = plain(await world.over_http("GET", path, None, who, ""))
    matching = world.matching
    calendar = MatchingTerms().terms(HubSettings()).calendar
    await Gauges(matching.database, matching.clock, calendar, matching.metrics).count()
    for service, metrics in (("intake", world.metrics), ("matching", matching.metrics)):
        figures = metrics.exposition().decode().splitlines()
        answers[f"{when}: {service}/metrics"] = "\n".join(
            line for line in figures if not line.startswith("#") and not A_DURATION.match(line)
        ).encode()


def asked_of_every_method(world: Twin) -> list[Question]:
    ids = {"case_id": HERS, "need_id": NEEDS[HERS]}
    asked = every_method(world.application.services, ids)
    return [Question(method, request) for method, request in asked if method not in RANDOM]


def asked_of_their_own(world: Twin, who: Principal) -> list[Question]:
    """Whatever can be read of a case, of one that is theirs to see: no number in it may count what is not."""
    case_id = OWN[who]
    ids = {"case_id": case_id, "need_id": NEEDS[case_id]}
    asked = every_reading(world.application.services, ids)
    return [Question(method, request) for method, request in asked if method not in RANDOM]


def plain(answer: bytes) -> bytes:
    """Ids and codes that were made in this run, by the order in which they are shown."""
    names: dict[bytes, bytes] = {}
    known = {each.encode() for each in (HERS, OPEN, POLICE, SOME, MORE, MADE_UP, QUIET, *NEEDS.values())}

    def name(match: re.Match[bytes]) -> bytes:
        found = match[0]
        return found if found in known else names.setdefault(found, b"<%d>" % len(names))

    return ANY_ID.sub(name, answer)


def differing(one: Told, other: Told, only: Callable[[str], bool]) -> dict[str, tuple[bytes, bytes]]:
    assert one.keys() == other.keys()
    return {
        ask: (plain(said), plain(other[ask]))
        for ask, said in one.items()
        if only(ask) and plain(said) != plain(other[ask])
    }


async def test_police_and_other_agencies_are_told_the_same(worlds: tuple[Told, Told]) -> None:
    assert differing(*worlds, lambda ask: "/metrics" not in ask) == {}


async def test_the_figures_are_the_same(worlds: tuple[Told, Told]) -> None:
    for ask, (one, other) in differing(*worlds, lambda ask: "/metrics" in ask).items():
        assert set(one.splitlines()) ^ set(other.splitlines()) == set(), ask


async def test_the_worlds_hold_answers(worlds: tuple[Told, Told]) -> None:
    """It is not the sameness of nothing."""
    with_her, _ = worlds
    assert len(with_her) > 600
    assert OPEN.encode() in with_her[f"manager opens {OPEN}"]
    assert b'"held"' in with_her[f"manager opens {OPEN}"]
    figures = with_her["a week later: intake/metrics"].decode()
    for counted in ("cases_opened_total 4.0", 'rpc_seconds_count{code="NOT_FOUND"', "timers_fired_total"):
        assert counted in figures
    own = [said for ask, said in with_her.items() if re.search(r"insider: List(Stays|Reads) ", ask)]
    assert sum(b"StatusCode.OK" in said and SOME.encode() not in said for said in own) >= 6
    assert not any(
        b"StatusCode.INTERNAL" in said or b"StatusCode.UNAVAILABLE" in said for said in with_her.values()
    )


def test_what_differs_is_seen() -> None:
    one, other = {"a: /metrics": b"1", "b": b"2"}, {"a: /metrics": b"1", "b": b"3"}
    assert differing(one, other, lambda ask: True) == {"b": (b"2", b"3")}
