"""The real process, supervised, on real Kafka: it hears intake, serves both doors, and keeps its word over kill -9."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message

from deploy.kafka.topics import FILE as TOPICS
from deploy.local.identity import Issuer
from services.chassis.envelope import headers
from services.chassis.ids import uuid7
from services.chassis.topics import Topics, announce
from tests.support.matching import facts, lodging
from tests.support.stack import RunningStack, running, temporary_state

CASES = "aid.intake.cases.v1"


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack of its own with matching in it, on stepped time."""
    with (
        temporary_state() as folder,
        running(folder, "--only", "kafka", "postgres", "matching", "--stepped") as up,
    ):
        yield up


class Network:
    """The doors of the running service; a call that finds it dead is made again, with the same key."""

    def __init__(
        self, stack: RunningStack, client: httpx.AsyncClient, rows: asyncpg.Pool[asyncpg.Record]
    ) -> None:
        self.stack = stack
        self.rows = rows
        self._client = client
        self._issuer = Issuer(stack.state)

    def _token(self, user: str) -> str:
        if user == "service":
            return (self.stack.state.folder / "identity" / "intake.jwt").read_text().strip()
        return self._issuer.token(user)

    async def http(self, user: str | None, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        sent = {"Idempotency-Key": str(uuid.uuid4())}
        if user is not None:
            sent["Authorization"] = f"Bearer {self._token(user)}"
        port, give_up = self.stack.record.services["matching"].http, time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{port}{path}"
                answer = await self._client.request(verb, url, json=body, headers=sent)
                if answer.status_code not in (503, 504):
                    return answer.json()
            assert time.monotonic() < give_up, "the service did not come back"
            await asyncio.sleep(0.02)

    async def tonight(self) -> tuple[str, Any]:
        """A new household asks; its case and the answer."""
        case_id = str(uuid7())
        body = {
            "caseId": case_id,
            "need": {
                "needId": str(uuid7()), "kind": "NEED_KIND_LODGING", "urgency": "URGENCY_TONIGHT", "nights": 2,
                "fromDate": self.now().date().isoformat(),
            },
            "facts": {"adults": 1, "revision": "1"},
        }  # fmt: skip
        return case_id, await self.http("service", "POST", "/v1/tonight", body)

    async def offer(self, capacity: int, user: str = "provider", **terms: Any) -> str:
        offer_id = str(uuid7())
        offer = {
            "kind": "NEED_KIND_LODGING", "name": "East shelter", "contact": "555-0142", "unit": "UNIT_BED",
            "capacity": capacity, "rules": {"children": True, "withoutChildren": True}, **terms,
        }  # fmt: skip
        assert await self.http(user, "PUT", f"/v1/offers/{offer_id}", {"offer": offer}) == {}
        return offer_id

    async def say(self, case_id: str, *messages: Message) -> None:
        """Events of intake in Kafka, numbered from 1, as its relay would send them."""
        topic, now = Topics.load(TOPICS).of(CASES), datetime.now(UTC)
        async with AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap, acks="all") as producer:
            for sequence, message in enumerate(messages, start=1):
                event = announce(
                    topic, case_id, message.DESCRIPTOR.full_name, message.SerializeToString(),
                    subject=case_id, occurred_at=now, recorded_at=now, cause=None,
                )  # fmt: skip
                told = headers(event, "intake", 1, sequence)
                await producer.send_and_wait(CASES, event.payload, key=case_id.encode(), headers=told)

    def now(self) -> datetime:
        """Domain time."""
        (offset,) = struct.unpack("<q", self.stack.state.clock.read_bytes())
        return datetime.now(UTC) + timedelta(microseconds=offset)

    def step(self, by: timedelta) -> None:
        """Move domain time for every process of the stack."""
        (offset,) = struct.unpack("<q", self.stack.state.clock.read_bytes())
        with self.stack.state.clock.open("r+b") as mapped:
            mapped.write(struct.pack("<q", offset + int(by.total_seconds() * 1_000_000)))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.stack.process("matching"), signal.SIGKILL)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network(own: RunningStack) -> AsyncIterator[Network]:
    cluster = own.record.cluster("matching", own.state)
    async with (
        httpx.AsyncClient(timeout=10, trust_env=False) as client,
        asyncpg.create_pool(
            cluster.dsn(cluster.service), password=cluster.password(cluster.service), min_size=1, max_size=2
        ) as rows,
    ):
        yield Network(own, client, rows)


async def eventually(look: Callable[[], Awaitable[Any]], what: str, within_s: float = 30) -> Any:
    """The first answer of `look` that is true."""
    give_up = time.monotonic() + within_s
    while not (seen := await look()):
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        await asyncio.sleep(0.05)
    return seen


async def test_a_need_that_intake_reports_is_held_answered_and_moved_into(network: Network) -> None:
    await network.offer(1, "hub", confidential=True, name="Safe house")
    case_id = str(uuid7())
    need = lodging(2, network.now().date().isoformat(), common.URGENCY_SOON)
    hiding = facts(confidential=True, area="")
    await network.say(
        case_id,
        intake.CaseOpened(case_id=case_id, facts=hiding),
        intake.NeedReported(case_id=case_id, need=need, facts=hiding, arrival_code="HKRW4477"),
    )

    async def desk() -> Any:
        entries = (await network.http("hub", "GET", "/v1/hub/desk"))["entries"]
        return [each for each in entries if each["referral"]]

    [entry] = await eventually(desk, "the hub's desk")
    assert (entry["arrivalCode"], entry["referral"]["place"]) == ("HKRW4477", "Safe house")
    referral = entry["referral"]["referralId"]
    yes = {"accepted": True}
    path = f"/v1/cases/{case_id}/referrals/{referral}/answer"
    assert (await network.http("service", "POST", path, yes))["state"] == "proposed"
    assert (await network.http("hub", "POST", f"/v1/referrals/{referral}/answer", yes))["state"] == "accepted"
    last_night = (network.now().date() + timedelta(days=1)).isoformat()
    arrived = await network.http("hub", "POST", f"/v1/referrals/{referral}/check-in", {})
    assert arrived["lastNight"] == last_night
    assert await desk() == []


@pytest.mark.timeout(240)
async def test_holds_outlive_kill_9_are_never_too_many_and_run_out_once(network: Network) -> None:
    """Forty households ask for five beds while the service is killed at random; each is answered in the end."""
    offer_id = await network.offer(5)

    async def kill() -> None:
        for _ in range(3):
            await eventually(lambda: network.http("provider", "GET", "/v1/offers"), "the service")
            network.kill()

    answers, _ = await asyncio.gather(asyncio.gather(*(network.tonight() for _ in range(40))), kill())
    held = {answer["held"]["referralId"] for _, answer in answers if "held" in answer}
    assert len(held) == 5
    assert {answer["none"]["reason"] for _, answer in answers if "none" in answer} == {
        "UNMATCHED_REASON_ALL_FULL"
    }
    kept = await network.rows.fetch("SELECT referral_id::text FROM hold WHERE offer_id = $1", offer_id)
    assert {row["referral_id"] for row in kept} == held
    network.kill()
    network.step(timedelta(hours=2))

    async def expired() -> Any:
        listed = await network.http("provider", "GET", "/v1/referrals?state=expired")
        return held <= {each["referralId"] for each in listed["referrals"]}

    await eventually(expired, "the holds to run out")
    # Those who waited have the places now.
    kept = await network.rows.fetch("SELECT referral_id::text FROM hold WHERE offer_id = $1", offer_id)
    assert len(kept) == 5
    assert not held & {row["referral_id"] for row in kept}
    assert (
        await network.rows.fetchval("SELECT count(*) FROM night WHERE excess <> 0 OR taken > capacity") == 0
    )


async def test_doors_say_what_is_wrong(network: Network) -> None:
    nowhere, offer = str(uuid7()), {"offer": {"name": "X", "kind": "NEED_KIND_LODGING", "unit": "UNIT_BED"}}
    for user, verb, path, body, status, reason in (
        (None, "GET", "/v1/offers", None, 401, "token-missing"),
        ("carrier", "GET", "/v1/offers", None, 403, "role-not-allowed"),
        ("provider", "GET", "/v1/hub/desk", None, 403, "role-not-allowed"),
        ("provider", "PUT", "/v1/offers/nonsense", offer, 400, "offer-id-invalid"),
        ("provider", "PUT", f"/v1/offers/{nowhere}", offer, 400, "rules-take-nobody"),
        ("provider", "PUT", f"/v1/offers/{nowhere}/capacity", {"nights": 0}, 400, "from-date-invalid"),
        ("provider", "GET", "/v1/offers?nights=61", None, 400, "nights-out-of-range"),
        ("provider", "GET", "/v1/referrals?state=lost", None, 400, "state-invalid"),
        ("provider", "POST", f"/v1/referrals/{nowhere}/answer", {"accepted": True}, 404, "not-found"),
        ("provider", "POST", f"/v1/referrals/{nowhere}/check-in", {}, 404, "not-found"),
        ("provider", "POST", f"/v1/referrals/{nowhere}/check-out", {}, 404, "not-found"),
        ("operator", "POST", "/v1/imports/offers", {"sourceId": "x", "asOf": "soon"}, 400, "as-of-invalid"),
        ("officer", "POST", "/v1/tonight", {}, 403, "role-not-allowed"),
        ("service", "POST", "/v1/tonight", {"caseId": nowhere}, 400, "need-kind-unknown"),
    ):  # fmt: skip
        answer = await network.http(user, verb, path, body)
        assert (answer["status"], answer["reason"]) == (status, reason), path
