"""How many cases intake accepts a second at each door, beside a bare server that makes the same durable insert.

Each contestant is a process of its own; the 32 clients share the machine with it, as with the floor of the goals.
Contestants take turns within each round. A case has two persons, one lodging and one goods need, and each household
is another one; in a batch, a hundred sealed entries travel in one call. `cases/s` counts cases, whatever they came
in. `CPU` is what the server's process and PostgreSQL took for one case: it says more than the rate on a machine that
others use, too.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import grpc
import psutil
import uvloop
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import entries_pb2 as entries
from aid.intake.v1 import intake_pb2 as intake
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.json_format import MessageToJson
from rich.console import Console
from rich.table import Table

from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from deploy.local.ports import HOST
from deploy.local.users import Users
from tests.bench import bare_doors
from tests.bench.floor import SCHEMA
from tests.bench.path import quantile
from tests.bench.wire import Connection, Template
from tests.support.stack import Database, RunningStack, family, running, temporary_state

CLIENTS = 32
BATCH = 100
USER = "outreach"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
OPEN_CASE = "/aid.intake.v1.IntakeService/OpenCase"
GOALS = {"grpc": 0.7, "http": 0.7, "batch": 1.5}

Send = Callable[[], Awaitable[int]]
"""One call; how many cases it brought."""
Ask = Callable[..., Awaitable[bytes]]


@dataclass(slots=True)
class Contestant:
    """`cpu` reads how many seconds its server and PostgreSQL have computed so far."""

    name: str
    send: Send
    cpu: Callable[[], float]
    rates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """All clients, each sending as soon as it is answered."""
        cases, began, computed = 0, time.perf_counter(), self.cpu()

        async def client() -> None:
            nonlocal cases
            while time.perf_counter() - began < seconds:
                sent = time.perf_counter()
                brought = await self.send()
                cases += brought
                self.waits.append(time.perf_counter() - sent)

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
        self.rates.append(cases / (time.perf_counter() - began))
        self.costs.append((self.cpu() - computed) / cases)


# What differs from case to case; each stands for as many letters.
CASE_ID, LODGING_ID, GOODS_ID = (str(uuid.UUID(int=n)) for n in range(3))
FAMILY = "F" * 12


def a_case() -> intake.OpenCaseRequest:
    return intake.OpenCaseRequest(
        case_id=CASE_ID,
        household=intake.Household(
            persons=[
                intake.Person(
                    given_name="Bench", family_name=FAMILY, birth_date="1994-02-03", relationship=1
                ),
                intake.Person(
                    given_name="Little", family_name=FAMILY, birth_date="2023-06-07", relationship=2
                ),
            ],
            unsheltered=True,
            area="riverside",
        ),
        needs=[
            intake.NeedInput(
                need_id=LODGING_ID, kind=common.NEED_KIND_LODGING, nights=3, urgency=common.URGENCY_TONIGHT
            ),
            intake.NeedInput(
                need_id=GOODS_ID, kind=common.NEED_KIND_GOODS, item_id="diapers-size-4", quantity=60
            ),
        ],
    )


PLACEHOLDERS = (CASE_ID.encode(), LODGING_ID.encode(), GOODS_ID.encode(), FAMILY.encode())
IN_PROTOBUF = Template(a_case().SerializeToString(), PLACEHOLDERS)
IN_JSON = Template(MessageToJson(a_case(), indent=None).encode(), PLACEHOLDERS)


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"), ("idempotency-key", str(uuid.uuid4())))


def by_grpc(ask: Ask, token: str = "") -> Send:
    async def send() -> int:
        await ask(IN_PROTOBUF.another(), timeout=30, metadata=metadata(token) if token else None)
        return 1

    return send


def by_http(connections: asyncio.Queue[Connection], path: str, token: str = "") -> Send:
    """Each client has a connection of its own, which stays open."""

    async def send() -> int:
        connection = await connections.get()
        headers = dict(metadata(token)) if token else {}
        status = await connection.post(path, IN_JSON.another(), headers)
        connections.put_nowait(connection)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
        return 1

    return send


def in_batches(channel: grpc.aio.Channel, token: str, key: entries.GetEntryKeyResponse) -> Send:
    """The phones' work is not the server's: batches are sealed beforehand."""
    ask = channel.unary_unary(
        "/aid.intake.v1.EntryService/SubmitEntries",
        request_serializer=lambda sealed: sealed,
        response_deserializer=entries.SubmitEntriesResponse.FromString,
    )
    ready: list[bytes] = []

    async def send() -> int:
        batch = ready.pop() if ready else sealed_batch(key)
        answer = await ask(batch, timeout=60, metadata=metadata(token))
        applied = sum(each.outcome == entries.ENTRY_OUTCOME_APPLIED for each in answer.results)
        if applied != BATCH:
            raise RuntimeError(f"{applied} of {BATCH} entries applied: {answer.results[0].reason}")
        return BATCH

    ready += [sealed_batch(key) for _ in range(2 * CLIENTS)]
    return send


def sealed_batch(key: entries.GetEntryKeyResponse) -> bytes:
    public = X25519PublicKey.from_public_bytes(key.public_key)
    sealed = []
    for _ in range(BATCH):
        case = intake.OpenCaseRequest.FromString(IN_PROTOBUF.another())
        entry = entries.Entry(entry_id=str(uuid.uuid4()), open_case=case)
        for moment in (entry.occurred_at, entry.recorded_at):
            moment.FromDatetime(datetime.now(UTC))
        box = SUITE.encrypt(entry.SerializeToString(), public, b"aid entry v1")
        sealed.append(entries.SealedEntry(key_id=key.key_id, sealed=box))
    return entries.SubmitEntriesRequest(entries=sealed).SerializeToString()


@asynccontextmanager
async def bare(database: Database) -> AsyncIterator[tuple[int, int, int]]:
    """The floor in a process of its own: its gRPC and its HTTP port, and its id."""
    connection = await asyncpg.connect(database.owner_dsn, password=database.owner_password)
    await connection.execute(SCHEMA)
    await connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    await connection.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bare_doors", database.dsn, str(database.password_file),
        cwd=PROJECT, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("the bare server has no output")
        rpc, http = (await asyncio.wait_for(process.stdout.readline(), 30)).split()
        yield int(rpc), int(http), process.pid
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def contestants(stack: RunningStack) -> AsyncIterator[list[Contestant]]:
    """Bare and real at each door, and batches at the real one."""
    doors = stack.record.services["intake"]
    token = Issuer(stack.state).token(USER)
    async with AsyncExitStack() as resources:
        rpc_port, http_port, process = await resources.enter_async_context(
            bare(await stack.database("intake"))
        )
        floor = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{rpc_port}"))
        real = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{doors.rpc}"))
        await registered(real, Issuer(stack.state).token("operator"))
        ask = real.unary_unary(
            "/aid.intake.v1.EntryService/GetEntryKey",
            request_serializer=entries.GetEntryKeyRequest.SerializeToString,
            response_deserializer=entries.GetEntryKeyResponse.FromString,
        )
        key = await ask(entries.GetEntryKeyRequest(), timeout=30, metadata=metadata(token))
        insert, opened = plain(floor, bare_doors.METHOD), plain(real, OPEN_CASE)
        floor_http, real_http = await connected(http_port, resources), await connected(doors.http, resources)
        bare_cpu, real_cpu = cpu_of(stack, process), cpu_of(stack, stack.process("intake"))
        yield [
            Contestant("bare gRPC", by_grpc(insert), bare_cpu),
            Contestant("intake gRPC", by_grpc(opened, token), real_cpu),
            Contestant("bare HTTP", by_http(floor_http, "/insert"), bare_cpu),
            Contestant("intake HTTP", by_http(real_http, "/v1/cases", token), real_cpu),
            Contestant("intake gRPC, batches", in_batches(real, token, key), real_cpu),
        ]


def plain(channel: grpc.aio.Channel, method: str) -> Ask:
    """Bytes there and back."""
    asks: Ask = channel.unary_unary(
        method, request_serializer=lambda sent: sent, response_deserializer=lambda got: got
    )
    return asks


async def connected(port: int, resources: AsyncExitStack) -> asyncio.Queue[Connection]:
    """A connection for each client."""
    connections: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CLIENTS):
        connections.put_nowait(await resources.enter_async_context(Connection(HOST, port)))
    return connections


def cpu_of(stack: RunningStack, server: int) -> Callable[[], float]:
    """Seconds of the server's process and of every session of PostgreSQL."""
    databases = [each for each in family(stack.record) if each.name() == "postgres"]
    clusters = [each for each in databases if psutil.Process(each.ppid()).name() != "postgres"]

    def read() -> float:
        sessions = [child for each in clusters for child in each.children()]
        times = [each.cpu_times() for each in [psutil.Process(server), *sessions] if each.is_running()]
        return sum(each.user + each.system for each in times)

    return read


async def registered(channel: grpc.aio.Channel, token: str) -> None:
    """The agency whose worker opens the cases."""
    users = Users.read()
    agency = users.agencies["outreach"]
    request = intake.RegisterAgencyRequest(
        agency_id=agency.id, name=agency.name, type=intake.AGENCY_TYPE_OUTREACH
    )
    ask = channel.unary_unary(
        "/aid.intake.v1.IntakeService/RegisterAgency",
        request_serializer=intake.RegisterAgencyRequest.SerializeToString,
        response_deserializer=intake.RegisterAgencyResponse.FromString,
    )
    await ask(request, timeout=30, metadata=metadata(token))


def show(found: Sequence[Contestant], console: Console) -> None:
    table = Table(title=f"cases accepted, {CLIENTS} clients", title_justify="left")
    for name in ("", "cases/s", "p50 of a call", "p99 of a call", "CPU", "ratio", "goal"):
        table.add_column(name, justify="left" if not name else "right")
    rate = {each.name: sum(each.rates) / len(each.rates) for each in found}
    cost = {each.name: sum(each.costs) / len(each.costs) for each in found}
    rows = {
        "intake gRPC": ("bare gRPC", GOALS["grpc"]),
        "intake HTTP": ("bare HTTP", GOALS["http"]),
        "intake gRPC, batches": ("bare gRPC", GOALS["batch"]),
    }
    for each in found:
        against, goal = rows.get(each.name, ("", 0.0))
        ratio = f"{rate[each.name] / rate[against]:.2f}x of {against}" if against else ""
        table.add_row(
            each.name, f"{rate[each.name]:,.0f}", f"{quantile(each.waits, 0.5):.1f} ms",
            f"{quantile(each.waits, 0.99):.1f} ms", f"{1000 * cost[each.name]:.2f} ms", ratio, f">= {goal:g}x" if against else "",
        )  # fmt: skip
    console.print(table)


async def measure(stack: RunningStack, rounds: int, seconds: float, console: Console) -> None:
    async with contestants(stack) as found:
        for each in found:
            await each.run(1.0)  # connections are made, plans are cached
            for measured in (each.rates, each.waits, each.costs):
                measured.clear()
        for turn in range(rounds):
            for each in found if turn % 2 == 0 else reversed(found):
                await each.run(seconds)
            console.print(f"round {turn + 1} of {rounds} done")
        show(found, console)


def main() -> None:
    """Bring a stack up for this run alone, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each contestant in each round")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with temporary_state() as folder, running(folder, "--only", "kafka", "postgres", "intake") as stack:
        uvloop.run(measure(stack, arguments.rounds, arguments.seconds, console))


if __name__ == "__main__":
    main()
