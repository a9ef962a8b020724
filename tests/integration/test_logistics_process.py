"""The real process, supervised, on real Kafka: it hears matching, serves both doors, and survives kill -9."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import struct
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from aid.logistics.v1 import logistics_pb2 as pb
from aid.matching.v1 import events_pb2 as matching
from aiokafka import AIOKafkaProducer
from google.protobuf.message import Message

from deploy.kafka.topics import FILE as TOPICS
from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from deploy.local.users import Users
from services.chassis.envelope import headers
from services.chassis.ids import random_id
from services.chassis.topics import Topics, announce
from tests.support.logistics import ITEM, PACK
from tests.support.stack import RunningStack, running, temporary_state

WATCH = "/aid.logistics.v1.LogisticsService/WatchShipments"
WAREHOUSE = str(uuid.uuid4())
KILLS = 4


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack of its own with logistics in it, on stepped time."""
    with (
        temporary_state() as folder,
        running(folder, "--only", "kafka", "postgres", "logistics", "--stepped") as up,
    ):
        yield up


class Network:
    """The doors of the running service, for the users of the stack; a call that finds it dead is made again."""

    def __init__(self, stack: RunningStack, client: httpx.AsyncClient) -> None:
        self.stack = stack
        self.doors = stack.record.services["logistics"]
        self._client = client
        self._issuer = Issuer(stack.state)

    async def http(
        self, user: str | None, verb: str, path: str, body: dict[str, Any] | None = None, key: str = ""
    ) -> Any:
        sent = {"Idempotency-Key": key or str(uuid.uuid4())}
        if user is not None:
            sent["Authorization"] = f"Bearer {self._issuer.token(user)}"
        give_up = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self._client.request(
                    verb, f"http://127.0.0.1:{self.doors.http}{path}", json=body, headers=sent
                )
                if answer.status_code not in (503, 504):
                    return answer.json()
            assert time.monotonic() < give_up, "the service did not come back"
            await asyncio.sleep(0.02)

    async def watch(self, token: str) -> AsyncIterator[pb.WatchShipmentsResponse]:
        """The stream behind that token, until it breaks."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.doors.rpc}") as channel:
            call = channel.unary_stream(
                WATCH,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=pb.WatchShipmentsResponse.FromString,
            )
            request = pb.WatchShipmentsRequest(warehouse_id=WAREHOUSE, resume_token=token)
            bearer = (("authorization", f"Bearer {self._issuer.token('warehouse')}"),)
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for event in call(request, metadata=bearer):
                    yield event

    async def stream(self, path: str) -> AsyncIterator[Any]:
        """The messages of an HTTP stream of JSON lines."""
        sent = {
            "Authorization": f"Bearer {self._issuer.token('warehouse')}",
            "Accept": "application/x-ndjson",
        }
        url = f"http://127.0.0.1:{self.doors.http}{path}"
        async with self._client.stream("GET", url, headers=sent) as answer:
            async for line in answer.aiter_lines():
                if line.strip():
                    yield json.loads(line)["result"]

    async def operate(self, *command: str) -> tuple[int, str]:
        """One operator's command of the service, told where everything is as the service is."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.local", "run", "logistics", *command,
            env={**os.environ, "AID_STATE": str(self.stack.state.folder), "PYTHONPATH": str(PROJECT)},
            cwd=PROJECT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        shown, _ = await process.communicate()
        return process.returncode or 0, shown.decode()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.stack.process("logistics"), signal.SIGKILL)

    def step(self, by: timedelta) -> None:
        """Move domain time for every process of the stack."""
        file = self.stack.state.clock
        (offset,) = struct.unpack("<q", file.read_bytes())
        with file.open("r+b") as mapped:
            mapped.write(struct.pack("<q", offset + int(by.total_seconds() * 1_000_000)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def network(own: RunningStack) -> AsyncIterator[Network]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        network = Network(own, client)
        agency = Users.read().users["warehouse"].agency
        body = {"name": "East depot", "area": "riverside", "address": "Depot road 1", "agencyId": agency}
        assert await network.http("operator", "PUT", f"/v1/warehouses/{WAREHOUSE}", body) == {}
        yield network


async def say(stack: RunningStack, topic_name: str, key: str, *messages: Message) -> None:
    """Events of matching in Kafka, numbered from 1, as its relay would send them."""
    topics = Topics.load(Path(TOPICS))
    now = datetime.now(UTC)
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap, acks="all") as producer:
        for sequence, message in enumerate(messages, start=1):
            event = announce(
                topics.of(topic_name), key, message.DESCRIPTOR.full_name, message.SerializeToString(),
                subject=key, occurred_at=now, recorded_at=now, cause=None,
            )  # fmt: skip
            await producer.send_and_wait(
                topic_name, event.payload, key=key.encode(), headers=headers(event, "matching", 1, sequence)
            )


async def eventually(look: Any, what: str, within_s: float = 30) -> Any:
    """The first answer of `look` that is true."""
    give_up = time.monotonic() + within_s
    while not (seen := await look()):
        assert time.monotonic() < give_up, f"waited in vain for {what}"
        await asyncio.sleep(0.05)
    return seen


async def test_a_shortfall_becomes_a_public_line_over_kafka_and_the_tick(network: Network) -> None:
    told = matching.ShortfallChanged(area="riverside", item_id=ITEM, packs=400, revision=1)
    await say(network.stack, "aid.matching.shortfalls.v1", f"riverside:{ITEM}", told)
    connection = await _database(network)
    try:
        await eventually(lambda: connection.fetchval("SELECT count(*) FROM shortfall"), "the shortfall")
    finally:
        await connection.close()
    assert (await network.http(None, "GET", "/v1/appeal?area=riverside"))["lines"] == []
    network.step(timedelta(hours=1))

    async def lines() -> Any:
        return (await network.http(None, "GET", "/v1/appeal"))["lines"]

    (line,) = await eventually(lines, "the public line")
    assert (line["packsWanted"], line["item"]["itemId"], line["state"]) == (400, ITEM, "published")


async def test_an_allocation_becomes_a_bag_over_kafka(network: Network) -> None:
    shelf = f"/v1/warehouses/{WAREHOUSE}/stock/blanket"
    await network.http("warehouse", "PUT", shelf, {"screened": 5})
    for number in range(3):
        allocation = str(random_id())
        proposal = matching.AllocationProposed(
            allocation_id=allocation, item_id="blanket", quantity=2, area="riverside", week="2026-W10"
        )
        later = [matching.AllocationWithdrawn(allocation_id=allocation)] if number == 0 else []
        await say(network.stack, "aid.matching.allocations.v1", allocation, proposal, *later)

    async def two() -> Any:
        listed = await network.http("warehouse", "GET", f"/v1/warehouses/{WAREHOUSE}/bags")
        return [bag for bag in listed["bags"] if bag["itemId"] == "blanket"][1:]

    await eventually(two, "two bags")
    stock = await network.http("warehouse", "GET", f"/v1/warehouses/{WAREHOUSE}/stock")
    (blankets,) = [shelf for shelf in stock["stock"] if shelf["itemId"] == "blanket"]
    assert (blankets["screened"], blankets["allocated"]) == (5, 4)


@pytest.mark.timeout(240)
async def test_the_watcher_of_a_service_that_is_killed_sees_every_event_once_and_in_order(
    network: Network,
) -> None:
    """Kill -9 at random moments, while donors pack and send; each command is acknowledged in the end."""
    (line,) = (await network.http(None, "GET", "/v1/appeal"))["lines"]
    donors, made = 6, 0
    seen: list[pb.WatchShipmentsResponse] = []
    killed, done = asyncio.Event(), asyncio.Event()

    async def donate() -> None:
        nonlocal made
        while not killed.is_set():
            path, key = f"/v1/appeal/{line['lineId']}/pledges", str(uuid.uuid4())
            secret = (await network.http(None, "POST", path, {"packs": 1}, key))["secret"]
            parcel = {"secret": secret, "quantity": PACK}
            packed = await network.http(None, "POST", "/v1/pledges:pack", parcel, str(uuid.uuid4()))
            assert packed["label"]
            sent = {"secret": secret}
            assert await network.http(None, "POST", "/v1/pledges:send", sent, str(uuid.uuid4())) == {}
            made += 1

    async def watch() -> None:
        while not (done.is_set() and len(seen) == await length()):
            token = seen[-1].resume_token if seen else ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    async for event in network.watch(token):
                        seen.append(event)
            await asyncio.sleep(0.02)

    connection = await _database(network)

    async def length() -> int:
        count: int = await connection.fetchval("SELECT count(*) FROM journal")
        return count

    async def more_than(count: int) -> None:
        await eventually(lambda: _true(len(seen) > count), "events behind the last kill")

    async def kill() -> None:
        for _ in range(KILLS):
            await eventually(lambda: network.http(None, "GET", "/v1/items"), "the service")
            await more_than(len(seen) + 5)
            network.kill()
        killed.set()

    try:
        watching, killing = asyncio.create_task(watch()), asyncio.create_task(kill())
        await asyncio.gather(killing, *(donate() for _ in range(donors)))
        done.set()
        async with asyncio.timeout(60):
            await watching
        rows = await connection.fetch("SELECT type, payload FROM journal ORDER BY position")
        packs = await connection.fetchval("SELECT sum(packs) FROM pledge")
    finally:
        await connection.close()
    assert [(event.type, event.payload) for event in seen] == [(row["type"], row["payload"]) for row in rows]
    added = [row for row in rows if row["type"].endswith("BoxAdded")]
    assert len(added) == packs == made > KILLS


async def test_http_streams_the_same_journal(network: Network) -> None:
    connection = await _database(network)
    rows = await connection.fetch("SELECT type, payload FROM journal ORDER BY position LIMIT 5")
    await connection.close()
    streamed: list[Any] = []
    async for event in network.stream(f"/v1/warehouses/{WAREHOUSE}/shipments"):
        streamed.append(event)
        if len(streamed) == len(rows):
            break
    assert [(event["type"], base64.b64decode(event["payload"])) for event in streamed] == [
        (row["type"], row["payload"]) for row in rows
    ]


async def test_an_operator_shows_parked_records_and_reseeds_beside_the_running_service(
    network: Network,
) -> None:
    unreadable = str(random_id())
    absurd = matching.AllocationProposed(allocation_id=unreadable, item_id="blanket", quantity=-1)
    await say(network.stack, "aid.matching.allocations.v1", unreadable, absurd)
    connection = await _database(network)
    try:
        await eventually(lambda: connection.fetchval("SELECT count(*) FROM parked"), "the parked record")
    finally:
        await connection.close()
    code, shown = await network.operate("parked")
    assert code == 0
    assert unreadable in shown
    assert "quantity-invalid" in shown
    code, shown = await network.operate("reseed", "--topic", "aid.logistics.stock.v1")
    assert (code, "aid.logistics.stock.v1: " in shown) == (0, True)


async def test_doors_say_what_is_wrong(network: Network) -> None:
    nowhere = str(uuid.uuid4())
    for user, verb, path, body, status, reason in (
        (None, "PUT", "/v1/items/potty", {"item": {"name": "Potty", "packSize": 1}}, 401, "token-missing"),
        ("warehouse", "PUT", "/v1/items/potty", {"item": {"name": "Potty", "packSize": 1}}, 403, "role-not-allowed"),
        ("operator", "PUT", "/v1/items/Potty", {"item": {"name": "Potty", "packSize": 1}}, 400, "item-id-invalid"),
        (None, "POST", f"/v1/appeal/{nowhere}/pledges", {"packs": 1}, 404, "not-found"),
        (None, "POST", f"/v1/appeal/{nowhere}/pledges", {"packs": "many"}, 400, "field-malformed"),
        (None, "POST", "/v1/pledges:get", {"secret": "x" * 32}, 404, "not-found"),
        ("warehouse", "GET", f"/v1/warehouses/{nowhere}/stock", None, 404, "not-found"),
        ("warehouse", "GET", f"/v1/warehouses/{nowhere}/shipments", None, 404, "not-found"),
        ("carrier", "GET", "/v1/bags/NOSUCH/handoff", None, 404, "not-found"),
    ):  # fmt: skip
        answer = await network.http(user, verb, path, body)
        assert (answer["status"], answer["reason"]) == (status, reason), path
    made = await network.http(
        "operator", "PUT", "/v1/items/potty", {"item": {"name": "Potty", "packSize": 1}}
    )
    assert made == {}


async def _true(value: bool) -> bool:
    return value


async def _database(network: Network) -> Any:
    cluster = network.stack.record.cluster("logistics", network.stack.state)
    return await asyncpg.connect(cluster.dsn(cluster.service), password=cluster.password(cluster.service))
