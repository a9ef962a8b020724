"""Both doors of a service, from outside: who is let in, what comes back, and how they close."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import grpc
import grpc.aio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from services.chassis import identity as identity_module
from services.chassis import status, tracing
from services.chassis.call import Call, Principal, Route, Service, anyone
from services.chassis.clock import wall
from services.chassis.errors import AidError, Kind
from services.chassis.health import Liveness, Progress, Readiness
from services.chassis.http import HttpServer, MetricsSettings
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import Identity, ServiceToken
from services.chassis.lifecycle import run
from services.chassis.metrics import Metrics
from services.chassis.rpc_client import RpcClient
from services.chassis.rpc_server import RpcServer, RpcSettings
from tests.support import doors
from tests.support.doors import SERVICE, Doors, Issuer

PROBLEM = "application/problem+json"


@dataclass
class House:
    """A service with both doors open."""

    contract: Any
    doors: Doors
    issuer: Issuer
    metrics: Metrics
    readiness: Readiness
    liveness: Liveness
    rpc: RpcServer
    http: HttpServer
    web: httpx.AsyncClient
    channel: grpc.aio.Channel
    folder: Path

    def bearer(self, *roles: str, **claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.issuer.token('ana', *roles, **claims)}"}

    async def ask(
        self, method: str, request: Any, response: Any, metadata: Any = None, **options: Any
    ) -> Any:
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method}", lambda message: message.SerializeToString(), response.FromString
        )
        options.setdefault("timeout", 5)
        return await call(request, metadata=list((metadata or {}).items()), **options)

    async def refusal(self, method: str, request: Any, metadata: Any = None, **options: Any) -> AidError:
        """How the gRPC door refuses this call."""
        response = getattr(self.contract, f"{method}Response")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, request, response, metadata, **options)
        return status.from_wire(caught.value)

    def client(self, token: str | None = None) -> RpcClient:
        file = self.folder / "own.jwt"
        file.write_text(token if token is not None else self.issuer.token("neighbour", "service"))
        return RpcClient(f"127.0.0.1:{self.rpc.port}", SERVICE, ServiceToken(file), self.metrics)


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return doors.contract(tmp_path_factory)


@asynccontextmanager
async def opened(
    contract: ModuleType, folder: Path, max_concurrent: int = 1024, **http: Any
) -> AsyncIterator[House]:
    issuer = Issuer(folder)
    (folder / "metrics.token").write_text("the-metrics-token\n")
    implementation, metrics, identity = Doors(contract), Metrics(), Identity(issuer.settings)
    readiness, liveness = Readiness("migrated"), Liveness()
    services = [doors.service(implementation)]
    rpc = RpcServer(
        RpcSettings(max_message_bytes=1 << 16, max_concurrent=max_concurrent, drain_s=5),
        services,
        identity,
        metrics,
    )
    web = HttpServer(
        HttpSettings(max_body_bytes=2048, max_concurrent=max_concurrent, keep_alive_s=0.1, **http),
        services,
        identity,
        metrics,
        readiness,
        liveness=liveness,
        metrics_settings=MetricsSettings(token_file=folder / "metrics.token"),
    )
    await web.start()
    await rpc.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{rpc.port}")
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}")
    try:
        async with client, channel:
            yield House(
                contract,
                implementation,
                issuer,
                metrics,
                readiness,
                liveness,
                rpc,
                web,
                client,
                channel,
                folder,
            )
    finally:
        await rpc.drain()
        await web.drain()


@pytest.fixture
async def house(contract: ModuleType, tmp_path: Path) -> AsyncIterator[House]:
    async with opened(contract, tmp_path) as house:
        yield house


def reason(response: httpx.Response) -> str:
    assert response.headers["content-type"] == PROBLEM, response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:aid:{problem['reason']}"
    return str(problem["reason"])


# Who is let in


async def test_rpc_wants_a_token_that_the_issuer_signed_for_us_and_that_has_not_expired(house: House) -> None:
    request = house.contract.EchoRequest(words="hi")
    (house.folder / "stranger").mkdir()
    stranger = Issuer(house.folder / "stranger")
    refused = [
        ("token-missing", {}),
        ("token-malformed", {"authorization": "Basic YTpi"}),
        ("token-expired", house.bearer("outreach", lasts_s=-1)),
        ("token-invalid", house.bearer("outreach", aud="somebody-else")),
        ("token-invalid", {"authorization": f"Bearer {stranger.token('ana', 'outreach')}"}),
    ]
    for expected, metadata in refused:
        error = await house.refusal("Echo", request, metadata)
        assert (error.kind, error.reason) == (Kind.UNAUTHENTICATED, expected)
    allowed = await house.ask("Echo", request, house.contract.EchoResponse, house.bearer("outreach"))
    assert (allowed.words, allowed.subject) == ("hi", "ana")


async def test_http_asks_the_same(house: House) -> None:
    address = "/v1/places/p1:echo"
    missing = await house.web.post(address, json={})
    assert (missing.status_code, reason(missing)) == (401, "token-missing")
    assert missing.headers["www-authenticate"] == "Bearer"
    expired = await house.web.post(address, json={}, headers=house.bearer("outreach", lasts_s=-1))
    assert (expired.status_code, reason(expired)) == (401, "token-expired")
    denied = await house.web.post(address, json={}, headers=house.bearer("warehouse"))
    assert (denied.status_code, reason(denied)) == (403, "role-not-allowed")
    allowed = await house.web.post(address, json={"words": "hi"}, headers=house.bearer("outreach"))
    assert allowed.status_code == 200
    assert allowed.json()["subject"] == "ana"


async def test_a_role_that_the_rule_does_not_name_is_denied(house: House) -> None:
    error = await house.refusal("Echo", house.contract.EchoRequest(), house.bearer("warehouse"))
    assert (error.kind, error.reason) == (Kind.DENIED, "role-not-allowed")


async def test_a_method_without_a_rule_lets_nobody_in_whatever_their_roles(house: House) -> None:
    everything = house.bearer("outreach", "operator", "service", "auditor")
    error = await house.refusal("Forget", house.contract.ForgetRequest(), everything)
    assert (error.kind, error.reason) == (Kind.DENIED, "no-rule")
    refused = await house.web.post("/v1/forgotten", json={}, headers=everything)
    assert (refused.status_code, reason(refused)) == (403, "no-rule")


async def test_anyone_may_come_without_a_token_but_not_with_a_bad_one(house: House) -> None:
    request = house.contract.LookRequest(place_id="p1")
    assert (await house.ask("Look", request, house.contract.LookResponse)).place_id == "p1"
    assert (await house.web.get("/v1/places/p1")).status_code == 200
    bad = {"authorization": "Bearer nonsense"}
    assert (await house.refusal("Look", request, bad)).reason == "token-malformed"
    assert (await house.web.get("/v1/places/p1", headers=bad)).status_code == 401


# What a call carries


async def test_a_unary_call_without_a_deadline_is_refused_and_one_with_a_deadline_knows_it(
    house: House,
) -> None:
    request = house.contract.EchoRequest()
    error = await house.refusal("Echo", request, house.bearer("outreach"), timeout=None)
    assert (error.kind, error.reason) == (Kind.INVALID, "deadline-missing")
    answer = await house.ask(
        "Echo", request, house.contract.EchoResponse, house.bearer("outreach"), timeout=3
    )
    assert 2 < answer.seconds_left < 3.1  # the wire rounds timeouts up
    answered = await house.web.post("/v1/places/p:echo", json={}, headers=house.bearer("outreach"))
    assert 9 < answered.json()["secondsLeft"] <= 10


async def test_the_idempotency_key_reaches_the_method_through_both_doors(house: House) -> None:
    metadata = {**house.bearer("outreach"), "idempotency-key": "k-1"}
    answer = await house.ask("Echo", house.contract.EchoRequest(), house.contract.EchoResponse, metadata)
    assert answer.key == "k-1"
    headers = {**house.bearer("outreach"), "Idempotency-Key": "k-2"}
    answered = await house.web.post("/v1/places/p:echo", json={}, headers=headers)
    assert answered.json()["key"] == "k-2"


async def test_the_trace_goes_on_under_the_callers_and_begins_when_there_is_none(house: House) -> None:
    above = tracing.new()
    headers = {**house.bearer("outreach"), "traceparent": above}
    below = (await house.web.post("/v1/places/p:echo", json={}, headers=headers)).json()["traceparent"]
    assert tracing.trace_id(below) == tracing.trace_id(above)
    assert below != above
    answer = await house.ask("Echo", house.contract.EchoRequest(), house.contract.EchoResponse, headers)
    assert tracing.trace_id(answer.traceparent) == tracing.trace_id(above)
    fresh = await house.ask(
        "Echo", house.contract.EchoRequest(), house.contract.EchoResponse, house.bearer("outreach")
    )
    assert tracing.valid(fresh.traceparent)


# What is refused, and how


async def test_rpc_errors_carry_the_reason_and_details(house: House) -> None:
    metadata = house.bearer("outreach")
    domain = await house.refusal("Fail", house.contract.FailRequest(how="domain"), metadata)
    assert (domain.kind, domain.reason) == (Kind.REFUSED, "place-taken")
    error = await house.refusal("Fail", house.contract.FailRequest(how="details"), metadata)
    assert (error.kind, error.reason, error.message) == (
        Kind.CONFLICT,
        "sequence-behind",
        "Somebody was faster.",
    )
    assert error.details == {"expected": "3", "found": "4"}


async def test_http_errors_are_problems_with_the_reason_and_details(house: House) -> None:
    headers = house.bearer("outreach")
    refused = await house.web.post("/v1/failures", json={"how": "domain"}, headers=headers)
    assert (refused.status_code, reason(refused)) == (422, "place-taken")
    conflict = await house.web.post("/v1/failures", json={"how": "details"}, headers=headers)
    assert (conflict.status_code, reason(conflict)) == (409, "sequence-behind")
    assert conflict.json()["expected"] == "3"
    assert conflict.json()["detail"] == "Somebody was faster."


async def test_a_fault_of_ours_tells_nothing_of_itself(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = house.bearer("outreach")
    error = await house.refusal("Fail", house.contract.FailRequest(how="crash"), metadata)
    assert (error.kind, error.reason) == (Kind.INTERNAL, "internal")
    failed = await house.web.post("/v1/failures", json={"how": "crash"}, headers=metadata)
    assert (failed.status_code, reason(failed)) == (500, "internal")
    assert "MARKER" not in failed.text + str(error)
    assert [record.msg for record in caplog.records if record.msg == "call-failed"] == ["call-failed"] * 2


async def test_a_request_that_is_no_message_is_invalid_and_not_a_fault_of_ours(house: House) -> None:
    call = house.channel.unary_unary(f"/{SERVICE}/Echo", None, None)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"\xff\xff\xff", metadata=list(house.bearer("outreach").items()), timeout=5)
    assert status.from_wire(caught.value).reason == "request-malformed"


@pytest.mark.parametrize(
    ("body", "kind", "code", "expected"),
    [
        (b"{", "application/json", 400, "json-malformed"),
        (b"[1]", "application/json", 400, "json-malformed"),
        (b'"x"', "application/json", 400, "json-malformed"),
        (b"\xff\xfe", "application/json", 400, "json-malformed"),
        (b'{"words": 5}', "application/json", 400, "field-malformed"),
        (b'{"times": "many"}', "application/json", 400, "field-malformed"),
        (b'{"volume": "VOLUME_DEAFENING"}', "application/json", 400, "field-malformed"),
        (b'{"at": "yesterday"}', "application/json", 400, "field-malformed"),
        (b'{"inner": {"word": {}}}', "application/json", 400, "field-malformed"),
        (b'{"inner": {"secret": 1}}', "application/json", 400, "field-unknown"),
        (b'{"wordz": "MARKER"}', "application/json", 400, "field-unknown"),
        (b'{"left": "a", "right": "b"}', "application/json", 400, "field-malformed"),
        (b'{"placeId": "p2"}', "application/json", 400, "field-twice"),
        (b'{"words": "' + b"x" * 3000 + b'"}', "application/json", 413, "body-too-large"),
        (b"words=hi", "application/x-www-form-urlencoded", 415, "body-not-json"),
        (
            b'{"inner":' + b'{"inners":[' * 120 + b"{}" + b"]}" * 120 + b"}",
            "application/json",
            400,
            "field-malformed",
        ),
    ],
)
async def test_bad_bodies_are_told_what_is_wrong(
    house: House, body: bytes, kind: str, code: int, expected: str
) -> None:
    headers = {**house.bearer("outreach"), "content-type": kind}
    response = await house.web.post("/v1/places/p1:echo", content=body, headers=headers)
    assert (response.status_code, reason(response)) == (code, expected)
    assert "MARKER" not in response.text


async def test_a_malformed_field_is_named_but_its_value_is_not_repeated(house: House) -> None:
    body = {"inner": {"inners": [{"word": ["MARKER"]}]}}
    response = await house.web.post("/v1/places/p1:echo", json=body, headers=house.bearer("outreach"))
    assert response.json()["field"] == "inner.inners.word"
    assert "MARKER" not in response.text


async def test_a_body_without_a_stated_length_is_limited_too(house: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b" " * 1024

    headers = {**house.bearer("outreach"), "content-type": "application/json"}
    response = await house.web.post("/v1/places/p1:echo", content=endless(), headers=headers)
    assert (response.status_code, reason(response)) == (413, "body-too-large")


async def test_a_message_beyond_the_limit_is_refused_by_the_rpc_door(house: House) -> None:
    request = house.contract.EchoRequest(words="x" * (1 << 17))
    error = await house.refusal("Echo", request, house.bearer("outreach"))
    assert (error.kind, error.reason) == (Kind.EXHAUSTED, "rpc-resource-exhausted")


async def test_an_address_or_a_verb_that_is_not_there_is_a_problem_too(house: House) -> None:
    nowhere = await house.web.get("/v1/nowhere")
    assert (nowhere.status_code, reason(nowhere)) == (404, "no-such-address")
    verb = await house.web.delete("/v1/numbers")
    assert (verb.status_code, reason(verb)) == (405, "verb-not-allowed")
    assert "GET" in verb.headers["allow"]


async def test_the_http_door_answers_when_the_method_takes_too_long(
    contract: ModuleType, tmp_path: Path
) -> None:
    async with opened(contract, tmp_path, timeout_s=0.2) as house:
        late = await house.web.post("/v1/failures", json={"how": "wait"}, headers=house.bearer("outreach"))
        assert (late.status_code, reason(late)) == (504, "deadline-passed")


async def test_the_rpc_door_takes_no_more_calls_than_it_can(contract: ModuleType, tmp_path: Path) -> None:
    async with opened(contract, tmp_path, max_concurrent=1) as house:
        waits, look = contract.FailRequest(how="wait"), contract.LookRequest()
        first = asyncio.create_task(house.ask("Fail", waits, contract.FailResponse, house.bearer("outreach")))
        await house.doors.waiting.wait()
        error = await house.refusal("Look", look)
        assert (error.kind, error.reason) == (Kind.EXHAUSTED, "too-many-calls")
        house.doors.go_on.set()
        await first
        assert (await house.ask("Look", look, contract.LookResponse)).place_id == ""


async def test_the_http_door_takes_no_more_calls_than_it_can(contract: ModuleType, tmp_path: Path) -> None:
    async with opened(contract, tmp_path, max_concurrent=1) as house:
        headers = house.bearer("outreach")
        first = asyncio.create_task(house.web.post("/v1/failures", json={"how": "wait"}, headers=headers))
        await house.doors.waiting.wait()
        second = await house.web.get("/v1/places/p")
        assert (second.status_code, reason(second)) == (429, "too-many-calls")
        house.doors.go_on.set()
        assert (await first).status_code == 200
        assert (await house.web.get("/v1/places/p")).status_code == 200


# JSON and proto


async def test_a_get_takes_fields_of_every_kind_from_path_and_query(house: House) -> None:
    query = "free=true&tags=a&tags=b&limit=5&volume=VOLUME_LOW&inner.word=deep"
    answer = (await house.web.get(f"/v1/places/p1?{query}")).json()
    assert answer["placeId"] == "p1"
    assert answer["free"] is True
    assert answer["tags"] == ["a", "b"]
    assert answer["limit"] == 5
    assert answer["volume"] == "VOLUME_LOW"
    assert answer["inner"]["word"] == "deep"
    for bad, expected in [
        ("limit=x", "field-malformed"),
        ("frree=true", "field-unknown"),
        ("free=1", "field-malformed"),
    ]:
        refused = await house.web.get(f"/v1/places/p1?{bad}")
        assert (refused.status_code, reason(refused)) == (400, expected)
    posted = await house.web.post("/v1/places/p:echo?words=x", json={}, headers=house.bearer("outreach"))
    assert reason(posted) == "query-not-allowed"


async def test_a_path_reaches_into_messages(house: House) -> None:
    answer = (await house.web.get("/v1/words/deep/places?placeId=p1")).json()
    assert (answer["inner"]["word"], answer["placeId"]) == ("deep", "p1")


async def test_answers_show_every_field_and_are_kept_by_no_cache(house: House) -> None:
    body = {"words": "ä", "times": "9007199254740993", "place_id": "p"}
    response = await house.web.post("/v1/places/p:echo", json=body, headers=house.bearer("outreach"))
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert (answer["words"], answer["times"], answer["placeId"]) == ("ä", "9007199254740993", "p")
    assert answer["none"] == []
    assert answer["key"] == ""


async def test_the_document_describes_every_route_in_the_contracts_words(house: House) -> None:
    document = (await house.web.get("/openapi.json")).json()
    echo = document["paths"]["/v1/places/{place_id}:echo"]["post"]
    assert echo["description"] == "Says again what it was told."
    assert echo["x-roles"] == ["outreach", "service"]
    assert [each["name"] for each in echo["parameters"]] == ["place_id", "Idempotency-Key"]
    schema = document["components"]["schemas"]["doors.v1.EchoRequest"]
    assert schema["properties"]["words"] == {"type": "string", "description": "The words."}
    assert schema["properties"]["at"]["format"] == "date-time"
    assert schema["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    look = document["paths"]["/v1/places/{place_id}"]["get"]
    assert [each["name"] for each in look["parameters"]] == ["place_id", "free", "tags", "limit", "volume"]
    assert look["security"] == [{}, {"token": []}]
    again = document["paths"]["/v1/words/{inner.word}/places"]["get"]
    assert (look["operationId"], again["operationId"]) == ("Look", "Look_2")
    assert again["parameters"][0]["name"] == "inner.word"
    volume = document["components"]["schemas"]["doors.v1.Volume"]
    assert "`VOLUME_LOW`: Quietly." in volume["description"]
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            assert operation["responses"]["200"], (path, verb)
    assert all(
        each["$ref"].split("/")[-1] in document["components"]["schemas"] for each in references(document)
    )


def references(node: Any) -> list[dict[str, str]]:
    if isinstance(node, dict):
        here = [node] if "$ref" in node else []
        return here + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


# Streams


async def test_a_stream_comes_as_rpc_messages_json_lines_and_server_sent_events(house: House) -> None:
    headers = house.bearer("outreach")
    call = house.channel.unary_stream(
        f"/{SERVICE}/Follow",
        lambda message: message.SerializeToString(),
        house.contract.FollowResponse.FromString,
    )
    answers = call(house.contract.FollowRequest(count=3), metadata=list(headers.items()))
    assert [answer.number async for answer in answers] == [0, 1, 2]

    lines = await house.web.get("/v1/numbers?count=3", headers=headers)
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["result"]["number"] for line in lines.text.splitlines()] == [0, 1, 2]

    events = await house.web.get("/v1/numbers?count=2", headers={**headers, "accept": "text/event-stream"})
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text == 'data: {"number":0}\n\ndata: {"number":1}\n\n'


async def test_a_stream_that_fails_at_once_is_a_status_and_later_a_last_line(house: House) -> None:
    headers = house.bearer("outreach")
    refused = await house.web.get("/v1/numbers?then=missing", headers=headers)
    assert (refused.status_code, reason(refused)) == (404, "no-such-place")
    later = await house.web.get("/v1/numbers?count=1&then=crash", headers=headers)
    assert later.status_code == 200
    *_, last = later.text.splitlines()
    assert json.loads(last)["error"]["reason"] == "internal"
    assert "MARKER" not in later.text
    assert (await house.web.get("/v1/numbers?count=1")).status_code == 401

    async with house.client(house.issuer.token("x", "outreach")) as client:
        with pytest.raises(AidError) as caught:
            request = house.contract.FollowRequest(count=1, then="missing")
            async for answer in client.stream("Follow", request, house.contract.FollowResponse):
                assert answer.number == 0
    assert caught.value.reason == "no-such-place"


async def test_a_quiet_stream_gives_signs_of_life_and_is_let_go_when_the_caller_leaves(house: House) -> None:
    address, headers = "/v1/numbers?count=1&then=wait", house.bearer("outreach")
    async with house.web.stream("GET", address, headers=headers) as response:
        chunks = response.aiter_raw()
        received = b""
        while received.count(b"\n") < 3:
            received += await anext(chunks)
        assert received == b'{"result":{"number":0}}\n\n\n'
        assert not house.doors.left.is_set()
    await asyncio.wait_for(house.doors.left.wait(), 5)


async def test_an_rpc_stream_is_let_go_when_the_caller_cancels(house: House) -> None:
    call = house.channel.unary_stream(f"/{SERVICE}/Follow", lambda message: message.SerializeToString(), None)
    request = house.contract.FollowRequest(count=1, then="wait")
    stream = call(request, metadata=list(house.bearer("outreach").items()))
    await house.doors.waiting.wait()
    stream.cancel()
    await asyncio.wait_for(house.doors.left.wait(), 5)


# Neighbours


async def test_a_client_carries_token_trace_and_key_and_gets_the_answer(house: House) -> None:
    async with house.client() as client:
        with tracing.span(tracing.new()) as above:
            answer = await client.call(
                "Echo",
                house.contract.EchoRequest(words="hi"),
                house.contract.EchoResponse,
                timeout=5,
                idempotency_key="k",
            )
    assert (answer.words, answer.subject, answer.key) == ("hi", "neighbour", "k")
    assert tracing.trace_id(answer.traceparent) == tracing.trace_id(above)


async def test_a_client_waits_no_longer_than_its_own_caller(house: House) -> None:
    def on_behalf(seconds: float) -> Call:
        return Call(Principal("ana", "a"), wall() + timedelta(seconds=seconds), tracing.new(), "m")

    request, response = house.contract.EchoRequest(), house.contract.EchoResponse
    async with house.client() as client:
        answer = await client.call("Echo", request, response, timeout=60, call=on_behalf(3))
        assert answer.seconds_left <= 2.95
        with pytest.raises(AidError) as caught:
            await client.call("Echo", request, response, timeout=60, call=on_behalf(0.01))
    assert caught.value.kind is Kind.DEADLINE


async def test_a_client_that_gets_no_answer_in_time_says_so(house: House) -> None:
    async with house.client(house.issuer.token("x", "outreach")) as client:
        with pytest.raises(AidError) as caught:
            await client.call(
                "Fail", house.contract.FailRequest(how="wait"), house.contract.FailResponse, timeout=0.2
            )
    assert caught.value.kind is Kind.DEADLINE


async def test_a_neighbours_refusal_arrives_as_it_was_meant_but_not_a_refusal_of_our_own_token(
    house: House,
) -> None:
    async with house.client(house.issuer.token("x", "outreach")) as client:
        with pytest.raises(AidError) as caught:
            await client.call(
                "Fail", house.contract.FailRequest(how="details"), house.contract.FailResponse, timeout=5
            )
    assert (caught.value.kind, caught.value.reason) == (Kind.CONFLICT, "sequence-behind")
    async with house.client("nonsense") as client:
        with pytest.raises(AidError) as caught:
            await client.call("Echo", house.contract.EchoRequest(), house.contract.EchoResponse, timeout=5)
    assert (caught.value.kind, caught.value.reason) == (Kind.INTERNAL, "service-token-refused")


async def test_a_client_finds_a_neighbour_that_comes_up_after_it(
    contract: ModuleType, tmp_path: Path
) -> None:
    identity, metrics = Identity(Issuer(tmp_path).settings), Metrics()
    services = [doors.service(Doors(contract))]
    first = RpcServer(RpcSettings(), services, identity, metrics)
    await first.start()
    await first.drain()
    request, response = contract.LookRequest(place_id="p"), contract.LookResponse
    async with RpcClient(f"127.0.0.1:{first.port}", SERVICE) as client:
        with pytest.raises(AidError) as caught:
            await client.call("Look", request, response, timeout=1)
        assert caught.value.kind is Kind.UNAVAILABLE
        second = RpcServer(RpcSettings(port=first.port), services, identity, metrics)
        await second.start()
        async with asyncio.timeout(10):
            while not (answer := await asked(client, request, response)):
                pass
        assert answer.place_id == "p"
        await second.drain()


async def asked(client: RpcClient, request: Any, response: Any) -> Any:
    """The answer, or None while the neighbour is not there; each ask waits for the channel's retries."""
    try:
        return await client.call("Look", request, response, timeout=1)
    except AidError as error:
        assert error.kind is Kind.UNAVAILABLE
        return None


# What machines ask


async def test_metrics_need_their_own_token_and_count_the_calls(house: House) -> None:
    await house.ask("Look", house.contract.LookRequest(), house.contract.LookResponse)
    await house.refusal("Echo", house.contract.EchoRequest())
    await house.web.get("/v1/places/p1")
    await house.web.post("/v1/places/secret:echo", json={})
    for headers in ({}, {"authorization": "Bearer wrong"}, house.bearer("operator")):
        assert (await house.web.get("/metrics", headers=headers)).status_code == 401
    shown = await house.web.get("/metrics", headers={"authorization": "Bearer the-metrics-token"})
    assert shown.status_code == 200
    assert f'rpc_seconds_count{{code="OK",method="{SERVICE}/Look"}} 1.0' in shown.text
    assert f'rpc_seconds_count{{code="UNAUTHENTICATED",method="{SERVICE}/Echo"}} 1.0' in shown.text
    assert 'http_seconds_count{code="200",method="GET /v1/places/{place_id}"} 1.0' in shown.text
    assert 'http_seconds_count{code="401",method="POST /v1/places/{place_id}:echo"} 1.0' in shown.text
    assert "secret" not in shown.text


async def test_without_a_token_nobody_reads_the_metrics(contract: ModuleType, tmp_path: Path) -> None:
    identity = Identity(Issuer(tmp_path).settings)
    empty = tmp_path / "metrics.token"
    empty.write_text("\n")
    for settings in (None, MetricsSettings(token_file=empty)):
        server = HttpServer(HttpSettings(), [], identity, Metrics(), Readiness(), metrics_settings=settings)
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as web:
            for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer None"}):
                assert (await web.get("/metrics", headers=headers)).status_code == 401


async def test_ready_when_every_condition_holds(house: House) -> None:
    before = await house.web.get("/readyz")
    assert (before.status_code, before.json()) == (503, {"status": "failing", "missing": ["migrated"]})
    house.readiness.set("migrated")
    assert (await house.web.get("/readyz")).status_code == 200


async def test_alive_until_a_loop_with_work_stops_moving(house: House) -> None:
    now = 0.0
    progress = house.liveness.watch(Progress("consumer", patience_s=30, monotonic=lambda: now))
    assert (await house.web.get("/livez")).status_code == 200
    progress.busy()
    now = 31
    stuck = await house.web.get("/livez")
    assert (stuck.status_code, stuck.json()) == (503, {"status": "failing", "stuck": ["consumer"]})
    progress.moved()
    assert (await house.web.get("/livez")).status_code == 200


async def test_health_and_reflection_are_open(house: House) -> None:
    health = health_pb2_grpc.HealthStub(house.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(house.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    async for listed in reflection.ServerReflectionInfo(iter([asked]), timeout=5):
        assert SERVICE in {each.name for each in listed.list_services_response.service}
        break


# Letting go


async def test_a_closing_http_door_answers_who_is_inside_and_refuses_who_comes(house: House) -> None:
    headers = house.bearer("outreach")
    house.readiness.set("migrated")
    inside = asyncio.create_task(house.web.post("/v1/failures", json={"how": "wait"}, headers=headers))
    await house.doors.waiting.wait()
    closing = asyncio.create_task(house.http.unready())
    refused = await house.web.get("/v1/places/p1")
    assert (refused.status_code, reason(refused)) == (503, "shutting-down")
    assert refused.headers["retry-after"] == "1"
    assert (await house.web.get("/readyz")).json()["missing"] == ["draining"]
    assert (await house.web.get("/livez")).status_code == 200
    assert not closing.done()
    house.doors.go_on.set()
    assert (await inside).status_code == 200
    await asyncio.wait_for(closing, 5)


async def test_a_closing_rpc_door_answers_who_is_inside_and_sends_streams_home(house: House) -> None:
    headers = house.bearer("outreach")
    inside = asyncio.create_task(
        house.ask("Fail", house.contract.FailRequest(how="wait"), house.contract.FailResponse, headers)
    )
    await house.doors.waiting.wait()
    house.doors.waiting.clear()
    stream = house.channel.unary_stream(
        f"/{SERVICE}/Follow", lambda message: message.SerializeToString(), None
    )(house.contract.FollowRequest(count=0, then="wait"), metadata=list(headers.items()))
    await house.doors.waiting.wait()
    await house.rpc.unready()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert status.from_wire(caught.value).reason == "shutting-down"
    health = health_pb2_grpc.HealthStub(house.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    draining = asyncio.create_task(house.rpc.drain())
    house.doors.go_on.set()
    assert await inside == house.contract.FailResponse()
    await asyncio.wait_for(draining, 5)


async def test_an_http_stream_ends_with_a_word_when_the_door_closes(house: House) -> None:
    address, headers = "/v1/numbers?count=1&then=wait", house.bearer("outreach")
    async with house.web.stream("GET", address, headers=headers) as response:
        await house.doors.waiting.wait()
        await house.http.unready()
        last = [line async for line in response.aiter_lines() if line][-1]
    assert json.loads(last)["error"]["reason"] == "shutting-down"


async def test_both_doors_run_and_let_go_as_parts_of_a_service(contract: ModuleType, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    identity, metrics, readiness = Identity(issuer.settings), Metrics(), Readiness()
    implementation = Doors(contract)
    services = [doors.service(implementation)]
    http = HttpServer(HttpSettings(), services, identity, metrics, readiness)
    rpc = RpcServer(RpcSettings(), services, identity, metrics)
    up = asyncio.Event()

    class Last:
        name = "last"

        async def start(self) -> None:
            up.set()

        async def watch(self) -> None:
            await asyncio.Event().wait()

        async def drain(self) -> None:
            assert readiness.draining

    def die() -> NoReturn:
        raise AssertionError("the service died")

    running = asyncio.create_task(run(http, rpc, Last(), grace=timedelta(seconds=10), die=die))
    await up.wait()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}") as web,
        RpcClient(f"127.0.0.1:{rpc.port}", SERVICE) as client,
    ):
        assert (await web.get("/v1/places/p1")).status_code == 200
        request = contract.LookRequest(place_id="p1")
        assert (await client.call("Look", request, contract.LookResponse, timeout=5)).place_id == "p1"
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, 10)
        with pytest.raises(httpx.ConnectError):
            await web.get("/livez")


@pytest.mark.parametrize("door", ["http", "rpc"])
async def test_a_taken_port_is_an_error_at_start(house: House, door: str) -> None:
    identity, metrics = Identity(house.issuer.settings), Metrics()
    if door == "http":
        settings = HttpSettings(port=house.http.port)
        with pytest.raises(OSError, match="in use"):
            await HttpServer(settings, [], identity, metrics, Readiness()).start()
    else:
        with pytest.raises(RuntimeError):
            await RpcServer(RpcSettings(port=house.rpc.port), [], identity, metrics).start()


async def test_keys_from_an_address_are_fetched_when_a_token_names_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer, asked = Issuer(tmp_path), 0

    async def keys(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(issuer.file.read_bytes())

    pages = [StarletteRoute("/jwks.json", keys)]
    server = HttpServer(HttpSettings(), [], Identity(issuer.settings), Metrics(), Readiness(), pages=pages)
    await server.start()
    address = f"http://127.0.0.1:{server.port}/jwks.json"
    identity = Identity(issuer.settings.model_copy(update={"jwks_file": None, "jwks_url": address}))
    together = await asyncio.gather(*(identity.principal(issuer.token(f"w{n}")) for n in range(5)))
    assert [each.subject for each in together] == ["w0", "w1", "w2", "w3", "w4"]
    assert asked == 1

    issuer.key, issuer.key_id = Ed25519PrivateKey.generate(), "two"
    issuer.publish()
    with pytest.raises(AidError) as caught:
        await identity.principal(issuer.token())  # asked a moment ago: strangers cannot make us ask again
    assert (caught.value.reason, asked) == ("token-unknown-key", 1)
    monkeypatch.setattr(identity_module, "_KEYS_FETCHED_AT_MOST_EVERY_S", 0.0)
    assert (await identity.principal(issuer.token())).subject == "ana"
    assert asked == 2

    await server.drain()
    monkeypatch.setattr(identity_module, "_KEYS_GOOD_FOR_S", 0.0)
    assert (await identity.principal(issuer.token("bea"))).subject == "bea"  # the issuer is away
    never_asked = Identity(issuer.settings.model_copy(update={"jwks_file": None, "jwks_url": address}))
    with pytest.raises(AidError) as caught:
        await never_asked.principal(issuer.token())
    assert caught.value.kind is Kind.UNAVAILABLE


# What shows at start, not at a call


@pytest.mark.parametrize("wrong", ["rule", "route", "path", "implementation"])
async def test_a_service_that_does_not_fit_its_contract_does_not_start(
    contract: ModuleType, tmp_path: Path, wrong: str
) -> None:
    fitting = doors.service(Doors(contract))
    unfit: dict[str, Service] = {
        "rule": replace(fitting, rules={**fitting.rules, "Ekho": anyone()}),
        "route": replace(fitting, routes=[Route("GET", "/v1/x", "Lok")]),
        "path": replace(fitting, routes=[Route("GET", "/v1/{plaice_id}", "Look")]),
        "implementation": replace(fitting, implementation=object()),
    }
    with pytest.raises((ValueError, AidError)):
        HttpServer(
            HttpSettings(), [unfit[wrong]], Identity(Issuer(tmp_path).settings), Metrics(), Readiness()
        )
