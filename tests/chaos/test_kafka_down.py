"""Without its broker intake starts and takes cases for a minute; when it is back, every event arrives, in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aiokafka import ConsumerRecord
from google.protobuf.json_format import MessageToDict

from deploy.local import clock, control
from deploy.local.identity import Issuer
from deploy.local.part import listening
from deploy.local.ports import HOST
from deploy.local.story.doors import Doors
from deploy.local.users import Users
from tests.support.messaging import until
from tests.support.stack import RunningStack, running, temporary_state
from tests.support.stores import records

pytestmark = pytest.mark.timeout(400)

CASES = "aid.intake.cases.v1"
MINUTE = 60.0  # seconds of accepting cases
CLIENTS, EVERY = 4, 0.2  # so many, each of which opens a case so often (seconds)
PARTS = ("kafka", "postgres", "intake", "matching")


@dataclass
class Told:
    """What intake has acknowledged: for each case the events that its commands declare, in order."""

    events: dict[str, list[str]] = field(default_factory=dict)
    slowest: float = 0.0


@pytest.fixture(scope="module")
def network() -> Iterator[RunningStack]:
    with temporary_state() as folder, running(folder, "--only", *PARTS) as stack:
        yield stack


@pytest.fixture(scope="module")
async def doors(network: RunningStack) -> AsyncIterator[Doors]:
    served = network.record.services
    targets = {name: f"{HOST}:{one.rpc}" for name, one in served.items()}
    bases = {name: f"http://{HOST}:{one.http}" for name, one in served.items()}
    async with Doors.open(targets, bases, Issuer(network.state).token) as doors:
        yield doors


async def test_cases_are_taken_without_the_broker_and_told_in_order_when_it_is_back(
    network: RunningStack, doors: Doors
) -> None:
    await region(doors)
    told = Told()
    await one_case(doors, told, 0)
    await clock.drained(network.state, network.record)

    await asyncio.to_thread(control.hold, network.state, "kafka")
    assert not await broker_answers(network)
    process = await restarted(network)
    began = time.monotonic()
    await asyncio.gather(*(client(doors, told, number, began + MINUTE) for number in range(CLIENTS)))
    assert time.monotonic() - began >= MINUTE
    assert not await broker_answers(network), "the broker was away all the time"
    assert network.process("intake") == process, "and intake never was"
    assert len(told.events) > 0.8 * CLIENTS * MINUTE / EVERY
    assert await unsent(network) == sum(len(events) for events in told.events.values()) - 3
    assert told.slowest < 5.0

    control.resume(network.state, "kafka")
    await until(lambda: broker_answers(network), within_s=30, what="the broker's return")
    await clock.drained(network.state, network.record, patience=90)
    assert in_order([record async for record in records(network.bootstrap, [CASES])]) == told.events
    await everything_heard(network, told)


async def region(doors: Doors) -> None:
    agency, user = Users.read().agencies["shelter"], Users.read().users["case_manager"]
    known = intake.RegisterAgencyRequest(
        agency_id=agency.id, name=agency.name, type=intake.AGENCY_TYPE_SHELTER
    )
    await doors.rpc("operator", "intake", "RegisterAgency", known, intake.RegisterAgencyResponse)
    worker = intake.RegisterWorkerRequest(worker=user.subject, agency_id=user.agency)
    await doors.rpc("operator", "intake", "RegisterWorker", worker, intake.RegisterWorkerResponse)


async def restarted(network: RunningStack) -> int:
    """Intake dies and starts again while there is no broker; its process id, once it is ready."""
    before = network.process("intake")
    os.kill(before, signal.SIGKILL)

    async def ready() -> bool:
        again = network.state.pid("intake").exists() and network.process("intake") != before
        return again and await answers(network, "/readyz")

    await until(ready, within_s=30, what="intake to be ready without the broker")
    return network.process("intake")


async def answers(network: RunningStack, path: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            answer = await client.get(f"http://{HOST}:{network.record.services['intake'].http}{path}")
        except httpx.TransportError:
            return False
    return answer.is_success


async def broker_answers(network: RunningStack) -> bool:
    return await listening(HOST, network.record.kafka or 0)


async def client(doors: Doors, told: Told, number: int, end: float) -> None:
    """Cases at an even pace until the end, through one door and the other."""
    due = time.monotonic()
    while due < end:
        await one_case(doors, told, number)
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def one_case(doors: Doors, told: Told, number: int) -> None:
    """A case with two needs; of every other one a need is taken back and another reported, so that a case has
    an order to keep."""
    began = time.monotonic()
    needs = [need("blanket"), need("towel")]
    household = intake.Household(persons=[intake.Person(age_band=intake.AGE_BAND_ADULT)], area="riverside")
    request = intake.OpenCaseRequest(case_id=str(uuid.uuid4()), household=household, needs=needs)
    if number % 2:
        await doors.http("case_manager", "intake", "POST", "/v1/cases", MessageToDict(request))
    else:
        await doors.rpc("case_manager", "intake", "OpenCase", request, intake.OpenCaseResponse)
    told.events[request.case_id] = ["CaseOpened", "NeedReported", "NeedReported"]
    told.slowest = max(told.slowest, time.monotonic() - began)
    if len(told.events) % 2 == 0:
        back = intake.WithdrawNeedRequest(case_id=request.case_id, need_id=needs[0].need_id)
        await doors.rpc("case_manager", "intake", "WithdrawNeed", back, intake.WithdrawNeedResponse)
        more = intake.ReportNeedRequest(case_id=request.case_id, need=need("hygiene-kit"))
        await doors.rpc("case_manager", "intake", "ReportNeed", more, intake.ReportNeedResponse)
        told.events[request.case_id] += ["NeedWithdrawn", "NeedReported"]


def need(item: str) -> intake.NeedInput:
    return intake.NeedInput(need_id=str(uuid.uuid4()), kind=common.NEED_KIND_GOODS, item_id=item, quantity=2)


async def unsent(network: RunningStack) -> int:
    return len(await rows(network, "intake", "SELECT 1 FROM outbox"))


def in_order(kept: Sequence[ConsumerRecord[bytes, bytes]]) -> dict[str, list[str]]:
    """The types of each case's events as they lie in the log. A relay in doubt sends again; apart from that
    every sequence stands behind the one before it, and none is missing."""
    found: dict[str, list[str]] = {}
    ids: dict[tuple[str, int], bytes] = {}
    for record in sorted(kept, key=lambda record: (record.partition, record.offset)):
        key, headers = (record.key or b"").decode(), dict(record.headers)
        sequence = int(headers["ce_sequence"])
        if ids.setdefault((key, sequence), headers["ce_id"]) == headers["ce_id"] and sequence <= len(
            found.setdefault(key, [])
        ):
            continue
        assert sequence == len(found[key]) + 1, f"{key}: {sequence} behind {len(found[key])}"
        found[key].append(headers["ce_type"].decode().rpartition(".")[2])
    return found


async def everything_heard(network: RunningStack, told: Told) -> None:
    """Matching has taken in every event of every case, and has what follows from them."""
    heard = await rows(
        network, "matching", "SELECT key, last FROM inbox WHERE consumer = 'matching' AND topic = $1", CASES
    )
    assert sorted(heard) == sorted((case, len(events)) for case, events in told.events.items())
    closed = sum("NeedWithdrawn" in events for events in told.events.values())
    assert await rows(network, "matching", "SELECT state, count(*) FROM need GROUP BY state ORDER BY state") == [
        ("closed", closed), ("waiting", 2 * len(told.events)),
    ]  # fmt: skip
    for table in ("waiting", "parked"):
        assert await rows(network, "matching", f"SELECT * FROM {table}") == []


async def rows(
    network: RunningStack, service: str, query: str, *arguments: object
) -> list[tuple[object, ...]]:
    connection = await network.record.cluster(service, network.state).superuser(service)
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()
