"""Intake through its real doors, and matching asked through a real one: deadlines, refusals, a neighbour lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import matching_pb2 as matching

from services.chassis import errors
from services.chassis.call import Call, Principal, Service, allow
from services.chassis.clock import wall
from services.chassis.health import Readiness
from services.chassis.http import HttpServer
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import Identity, ServiceToken
from services.chassis.metrics import Metrics
from services.chassis.rpc_client import RpcClient
from services.chassis.rpc_server import RpcServer, RpcSettings
from services.intake.adapters.matching_client import SERVICE as MATCHING
from services.intake.adapters.matching_client import MatchingClient
from services.intake.application.ports import Held, NoPlace, Place, SearchGoesOn
from services.intake.domain.household import Facts
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.outcomes import ReferralState, Unmatched, WouldChange
from services.intake.entrypoints.rules import SERVICE
from tests.support.doors import Issuer
from tests.support.intake import AGENCIES, HUB, Intake, call, lodging, new_id, open_request, opened_intake
from tests.support.stack import RunningStack

FACTS = Facts(1, 0, 1, "", False, False, True, False, "riverside", 1)


@dataclass
class Neighbour:
    """Matching's service with answers from the test; everything around it is real."""

    answer: matching.FindTonightResponse = field(default_factory=matching.FindTonightResponse)
    state: str = "accepted"
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, Call]] = field(default_factory=list)

    async def FindTonight(
        self, request: matching.FindTonightRequest, call: Call
    ) -> matching.FindTonightResponse:
        self.asked.append((request.need.need_id, call))
        if self.answer.WhichOneof("answer") is None:
            await self.slow.wait()
        return self.answer

    async def AnswerReferral(
        self, request: matching.AnswerReferralRequest, call: Call
    ) -> matching.AnswerReferralResponse:
        self.asked.append((request.referral_id, call))
        if self.state == "late":
            raise errors.refused("referral-expired", "The hold has ended.")
        return matching.AnswerReferralResponse(state=self.state)

    async def DescribeReferrals(
        self, request: matching.DescribeReferralsRequest, call: Call
    ) -> matching.DescribeReferralsResponse:
        known = matching.ReferralView(referral_id=request.referral_ids[0], place="Hill House", contact="+1")
        return matching.DescribeReferralsResponse(referrals=[known])

    def __getattr__(self, name: str) -> Any:
        if name[0].isupper():
            return None if name.startswith("_") else self._unused
        raise AttributeError(name)

    async def _unused(self, request: object, call: Call) -> None:
        raise NotImplementedError


@asynccontextmanager
async def neighbour(
    issuer: Issuer, folder: Path
) -> AsyncIterator[tuple[Neighbour, RpcServer, MatchingClient]]:
    said = Neighbour()
    rules = dict.fromkeys(("FindTonight", "AnswerReferral", "DescribeReferrals"), allow("service"))
    server = RpcServer(RpcSettings(), [Service(MATCHING, said, rules)], Identity(issuer.settings), Metrics())
    await server.start()
    token = folder / "intake.jwt"
    token.write_text(issuer.token("intake", "service"))
    async with RpcClient(f"127.0.0.1:{server.port}", MATCHING, ServiceToken(token)) as client:
        yield said, server, MatchingClient(client)
    said.slow.set()
    await server.drain()


def need() -> Need:
    return Need(NeedId(uuid4()), NeedKind.LODGING, "", 0, None, 3, Urgency.TONIGHT)


def caller(seconds: float = 10) -> Call:
    made = call("FindTonight", Principal("outreach", AGENCIES["outreach"], frozenset({"outreach"})), "key")
    return Call(made.principal, wall() + timedelta(seconds=seconds), made.traceparent, made.method, "key")


async def test_matchings_answers_are_read(tmp_path: Path) -> None:
    async with neighbour(Issuer(tmp_path), tmp_path) as (said, _, client):
        held = matching.ReferralView(
            referral_id=new_id(), state="proposed", place="Harbor House", contact="+1", from_date="2026-11-24",
            nights=3,
        )  # fmt: skip
        held.expires_at.FromJsonString("2026-11-24T14:00:00Z")
        said.answer = matching.FindTonightResponse(held=held)
        answer = await client.find_tonight(CaseId(uuid4()), need(), FACTS, caller())
        assert isinstance(answer, Held)
        assert str(answer.referral.referral_id) == held.referral_id
        said.answer = matching.FindTonightResponse(
            none=matching.Unmatched(
                reason=common.UNMATCHED_REASON_ALL_FULL, would_change=common.WOULD_CHANGE_FEWER_NIGHTS
            )
        )
        answer = await client.find_tonight(CaseId(uuid4()), need(), FACTS, caller())
        assert answer == NoPlace(Unmatched.ALL_FULL, WouldChange.FEWER_NIGHTS)
        referral_id = ReferralId(uuid4())
        assert (
            await client.answer_referral(CaseId(uuid4()), referral_id, True, caller())
            is ReferralState.ACCEPTED
        )
        keys = {said.asked[-1][1].idempotency_key}
        for who, key in (("outreach", "key"), ("outreach", "k" * 200), ("o" * 200, "k" * 200)):
            again = replace(caller(), principal=Principal(who, "", frozenset()), idempotency_key=key)
            await client.answer_referral(CaseId(uuid4()), referral_id, False, again)
            keys.add(said.asked[-1][1].idempotency_key)
        assert {len(key) for key in keys} == {64}
        assert len(keys) == 3, "the same for the same caller's same key"
        known, unknown = ReferralId(uuid4()), ReferralId(uuid4())
        places = await client.places(CaseId(uuid4()), [known, unknown], caller())
        assert places == {known: Place("Hill House", "+1")}
        said.state = "late"
        with pytest.raises(errors.AidError) as late:
            await client.answer_referral(CaseId(uuid4()), referral_id, True, caller())
        assert (late.value.kind, late.value.reason) == (errors.Kind.REFUSED, "referral-expired")


async def test_a_slow_or_lost_neighbour_means_that_the_search_goes_on(tmp_path: Path) -> None:
    async with neighbour(Issuer(tmp_path), tmp_path) as (said, server, client):
        began = asyncio.get_running_loop().time()
        answer = await client.find_tonight(CaseId(uuid4()), need(), FACTS, caller(seconds=1))
        assert isinstance(answer, SearchGoesOn)
        assert asyncio.get_running_loop().time() - began < 1
        assert said.asked[0][1].remaining() < timedelta(seconds=1)
        said.slow.set()
        await server.drain()
        assert isinstance(await client.find_tonight(CaseId(uuid4()), need(), FACTS, caller()), SearchGoesOn)
        assert await client.places(CaseId(uuid4()), [ReferralId(uuid4())], caller()) == {}


@dataclass
class Door:
    """The two doors of a running intake."""

    intake: Intake
    http: httpx.AsyncClient
    rpc: str
    issuer: Issuer

    def bearer(
        self, subject: str = "outreach", role: str = "outreach", agency: str = "outreach"
    ) -> dict[str, str]:
        token = self.issuer.token(subject, role, agency=AGENCIES.get(agency, ""))
        return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
async def door(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = Path(tmp_path_factory.mktemp("doors"))
    issuer = Issuer(folder)
    async with opened_intake(stack, folder) as intake:
        services = intake.application.services
        readiness = Readiness()
        http = HttpServer(HttpSettings(), services, Identity(issuer.settings), Metrics(), readiness)
        rpc = RpcServer(RpcSettings(), services, Identity(issuer.settings), Metrics())
        await http.start()
        await rpc.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}", trust_env=False) as client:
            yield Door(intake, client, f"127.0.0.1:{rpc.port}", issuer)
        await rpc.drain()
        await http.drain()


BODY = {
    "household": {"persons": [{"givenName": "Mara", "relationship": 1}], "area": "riverside"},
    "needs": [{"kind": "NEED_KIND_LODGING", "nights": 3, "urgency": "URGENCY_TONIGHT"}],
    "findTonight": True,
}


async def test_a_case_through_http_from_the_sidewalk_to_the_end(door: Door) -> None:
    headers = {**door.bearer(), "idempotency-key": new_id()}
    opened = await door.http.post("/v1/cases", json=BODY, headers=headers)
    assert opened.status_code == 200
    assert opened.json()["tonight"] == {"pending": {"askAgainSeconds": 5, "call": HUB.phone}}
    again = await door.http.post("/v1/cases", json=BODY, headers=headers)
    assert again.json() == opened.json()
    case_id, [need_id] = opened.json()["caseId"], opened.json()["needIds"]
    case = f"/v1/cases/{case_id}"
    shown = (await door.http.get(case, headers=door.bearer())).json()["case"]
    assert (shown["status"], shown["persons"][0]["givenName"]) == ("open", "Mara")

    def key() -> dict[str, str]:
        return {**door.bearer(), "idempotency-key": new_id()}

    need = {"need": {"kind": "NEED_KIND_GOODS", "itemId": "soap", "quantity": 2}}
    added = await door.http.post(f"{case}/needs", json=need, headers=key())
    assert added.status_code == 200
    soap = added.json()["needId"]
    for path, body in (
        (f"{case}/needs/{need_id}:find-tonight", {}),
        (f"{case}/needs/{soap}:withdraw", {}),
        (f"{case}/referrals/{new_id()}:answer", {"accepted": True}),
        (f"{case}:close", {}),
    ):
        answer = await door.http.post(path, json=body, headers=key())
        assert answer.status_code == 200, (path, answer.text)
    assert (await door.http.get(case, headers=door.bearer())).json()["case"]["status"] == "closed"


async def test_derived_needs_through_http(door: Door) -> None:
    def key() -> dict[str, str]:
        return {**door.bearer(), "idempotency-key": new_id()}

    opened = await door.http.post("/v1/cases", json=BODY, headers=key())
    case, [need_id] = f"/v1/cases/{opened.json()['caseId']}", opened.json()["needIds"]
    word = {"norm": "laundry-soap", "notNeeded": True, "reason": "the shelter has some"}
    said = await door.http.post(f"{case}/overrules", json=word, headers=key())
    assert (said.status_code, said.json()["reported"]) == (200, [])
    preview = (await door.http.get(f"{case}/derived-needs?horizonDays=60", headers=door.bearer())).json()
    assert {each["norm"]["name"]: each["quantity"] for each in preview["needs"]} == {
        "food": 7, "blanket": 1, "soap": 5, "laundry-soap": 0,
    }  # fmt: skip
    asked = await door.http.post(f"{case}/derived-needs", json={}, headers=key())
    assert len(asked.json()["reported"]) == 3
    lifted = await door.http.post(f"{case}/overrules:lift", json={"norm": "laundry-soap"}, headers=key())
    assert len(lifted.json()["reported"]) == 1
    later = {"need": {"kind": "NEED_KIND_LODGING", "nights": 2, "constraints": ["quiet"]}}
    changed = await door.http.post(f"{case}/needs/{need_id}:change", json=later, headers=key())
    assert changed.json()["need"]["nights"] == 2
    listed = (await door.http.get(f"{case}/needs", headers=door.bearer())).json()
    assert [line.get("norm", {}).get("name") for line in listed["needs"]] == [
        None, "food", "blanket", "soap", "laundry-soap",
    ]  # fmt: skip
    stopped = await door.http.post(f"{case}/derived-needs:stop", json={}, headers=key())
    assert stopped.status_code == 200
    for path in ("/v1/norms", "/v1/constraints"):
        assert (await door.http.get(path, headers=door.bearer())).status_code == 200


async def test_http_says_what_is_wrong_and_keeps_what_is_foreign_to_itself(door: Door) -> None:
    no_key = await door.http.post("/v1/cases", json=BODY, headers=door.bearer())
    assert (no_key.status_code, no_key.json()["reason"]) == (400, "idempotency-key-missing")
    no_token = await door.http.post("/v1/cases", json=BODY)
    assert no_token.status_code == 401
    operator = await door.http.post("/v1/cases", json=BODY, headers=door.bearer("operator", "operator"))
    assert (operator.status_code, operator.json()["reason"]) == (403, "role-not-allowed")
    opened = await door.http.post(
        "/v1/cases", json=BODY, headers={**door.bearer(), "idempotency-key": new_id()}
    )
    other = door.bearer("manager", "case_manager", "shelter")
    foreign = await door.http.get(f"/v1/cases/{opened.json()['caseId']}", headers=other)
    absent = await door.http.get(f"/v1/cases/{new_id()}", headers=other)
    assert (foreign.status_code, foreign.content) == (404, absent.content)
    assert "Mara" not in foreign.text


async def test_a_watched_case_streams_over_http(door: Door) -> None:
    headers = {**door.bearer(), "idempotency-key": new_id()}
    opened = (await door.http.post("/v1/cases", json=BODY, headers=headers)).json()
    path = f"/v1/cases/{opened['caseId']}:watch"
    accept = {**door.bearer(), "accept": "application/x-ndjson"}
    async with asyncio.timeout(20), door.http.stream("GET", path, headers=accept) as stream:
        lines = aiter(stream.aiter_lines())
        assert json.loads(await _line(lines))["result"]["case"]["status"] == "open"
        close = {**door.bearer(), "idempotency-key": new_id()}
        await door.http.post(f"/v1/cases/{opened['caseId']}:close", json={}, headers=close)
        assert json.loads(await _line(lines))["result"]["case"]["status"] == "closed"


async def test_the_same_case_through_grpc(door: Door, tmp_path: Path) -> None:
    token = tmp_path / "outreach.jwt"
    token.write_text(door.issuer.token("outreach", "outreach", agency=AGENCIES["outreach"]))
    async with RpcClient(door.rpc, SERVICE, ServiceToken(token)) as client:
        opened = await client.call(
            "OpenCase",
            open_request(lodging(2)),
            messages.OpenCaseResponse,
            timeout=5,
            idempotency_key=new_id(),
        )
        request = messages.WatchCaseRequest(case_id=opened.case_id)
        async with asyncio.timeout(20):
            async for view in client.stream("WatchCase", request, messages.WatchCaseResponse):
                assert view.case.persons[0].given_name == "Mara"
                break
        with pytest.raises(errors.AidError) as absent:
            await client.call(
                "GetCase", messages.GetCaseRequest(case_id=new_id()), messages.GetCaseResponse, timeout=5
            )
        assert (absent.value.kind, absent.value.reason) == (errors.Kind.MISSING, "not-found")


async def _line(lines: AsyncIterator[str]) -> str:
    async for line in lines:
        if line.strip():
            return line
    raise AssertionError("the stream ended")
