"""How many cases intake accepts a second at each door, beside bare servers that make a durable insert per call.

`of one row`: intake's rate, divided by that of a bare server that writes one row, its stream and its outbox row; the
goals are said against it, and a case is some twenty rows and three events. `of a case`: the same, divided by the rate
of a bare server that makes the very insert that intake makes for this case, ready-made, in intake's own schema, with
no reading, checking, deriving or sealing. Neither bare server relays its outbox to Kafka, and intake does so meanwhile.

Each contestant is a process of its own; the 32 clients share the machine with it, as with the floor of the goals.
Contestants take turns within each round. A case has two persons, one lodging and one goods need, and each household
is another one; in a batch, a hundred sealed entries travel in one call, and batches are measured against the bare
servers' single gRPC calls. Batches are sealed beforehand: the phones' work is not the server's. `cases/s` counts
cases, whatever they came in. `CPU` is what the server's process and PostgreSQL took for one case: it says more than
the rate on a machine that others use, too.
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
from aid.intake.v1 import entries_pb2 as entries
from aid.intake.v1 import intake_pb2 as intake
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from rich.console import Console
from rich.table import Table

from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from deploy.local.ports import HOST
from deploy.local.users import Users
from services.chassis.database import DatabaseSettings
from tests.bench import bare_doors
from tests.bench.floor import SCHEMA
from tests.bench.household import IN_JSON, IN_PROTOBUF
from tests.bench.path import quantile
from tests.bench.wire import Connection
from tests.support.stack import Database, RunningStack, family, running, temporary_state

CLIENTS = 32
BATCH = 100
USER = "outreach"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
OPEN_CASE = "/aid.intake.v1.IntakeService/OpenCase"
ONE_BY_GRPC, CASE_BY_GRPC = "bare gRPC, one row", "bare gRPC, a case"
ONE_BY_HTTP, CASE_BY_HTTP = "bare HTTP, one row", "bare HTTP, a case"
# Beside which bare servers, and by how much.
GOALS: dict[str, tuple[str, str, float]] = {
    "intake gRPC": (ONE_BY_GRPC, CASE_BY_GRPC, 0.7),
    "intake HTTP": (ONE_BY_HTTP, CASE_BY_HTTP, 0.7),
    "intake gRPC, batches": (ONE_BY_GRPC, CASE_BY_GRPC, 1.5),
}
WIDTH = 110

# More batches than the last run took are sealed for the next: none is to be sealed during it.
AMPLE = 1.3

Send = Callable[[], Awaitable[int]]
"""One call; how many cases it brought."""
Ask = Callable[..., Awaitable[bytes]]


def nothing_to_prepare(cases: float) -> None:
    """Most contestants make a message while they send it."""


@dataclass(slots=True)
class Contestant:
    """`cpu` reads how many seconds its server and PostgreSQL have computed so far; `prepare` makes ready what so many
    cases need."""

    name: str
    send: Send
    cpu: Callable[[], float]
    prepare: Callable[[float], None] = nothing_to_prepare
    last_rate: float = 0.0
    rates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """All clients, each sending as soon as it is answered."""
        self.prepare(AMPLE * seconds * self.last_rate)
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
        self.last_rate = cases / (time.perf_counter() - began)
        self.rates.append(self.last_rate)
        self.costs.append((self.cpu() - computed) / cases)


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


@dataclass(slots=True)
class Batches:
    """Sealed entries, a hundred at a time."""

    channel: grpc.aio.Channel
    token: str
    key: entries.GetEntryKeyResponse
    ready: list[bytes] = field(default_factory=list)

    def prepare(self, cases: float) -> None:
        """At least one batch for each client."""
        self.ready += [
            sealed_batch(self.key) for _ in range(max(CLIENTS, int(cases / BATCH)) - len(self.ready))
        ]

    async def send(self) -> int:
        ask = self.channel.unary_unary(
            "/aid.intake.v1.EntryService/SubmitEntries",
            request_serializer=lambda sealed: sealed,
            response_deserializer=entries.SubmitEntriesResponse.FromString,
        )
        batch = self.ready.pop() if self.ready else sealed_batch(self.key)
        answer = await ask(batch, timeout=60, metadata=metadata(self.token))
        applied = sum(each.outcome == entries.ENTRY_OUTCOME_APPLIED for each in answer.results)
        if applied != BATCH:
            raise RuntimeError(f"{applied} of {BATCH} entries applied: {answer.results[0].reason}")
        return BATCH


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
async def bare(one_row: Database, cases: Database) -> AsyncIterator[tuple[int, int, int]]:
    """The floors in a process of their own: its gRPC and its HTTP port, and its id."""
    connection = await asyncpg.connect(one_row.owner_dsn, password=one_row.owner_password)
    await connection.execute(SCHEMA)
    await connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    await connection.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bare_doors", settings_of(one_row), settings_of(cases),
        cwd=PROJECT, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("the bare server has no output")
        rpc, http = (await asyncio.wait_for(process.stdout.readline(), 30)).split()
        yield int(rpc), int(http), process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def settings_of(database: Database) -> str:
    """As the bare server reads them."""
    return DatabaseSettings(
        dsn=database.dsn,
        password_file=database.password_file,
        owner_dsn=database.owner_dsn,
        owner_password_file=database.owner_password_file,
    ).model_dump_json()


@asynccontextmanager
async def contestants(stack: RunningStack) -> AsyncIterator[list[Contestant]]:
    """Bare and real at each door, and batches at the real one."""
    doors = stack.record.services["intake"]
    token = Issuer(stack.state).token(USER)
    async with AsyncExitStack() as resources:
        rpc_port, http_port, process = await resources.enter_async_context(
            bare(await stack.database("intake"), await stack.database("intake"))
        )
        floor = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{rpc_port}"))
        real = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{doors.rpc}"))
        await registered(real, Issuer(stack.state).token("operator"))
        batches = Batches(real, token, await entry_key(real, token))
        floor_http, real_http = await connected(http_port, resources), await connected(doors.http, resources)
        bare_cpu, real_cpu = cpu_of(stack, process), cpu_of(stack, stack.process("intake"))
        one, case = bare_doors.INSERT_ONE, bare_doors.INSERT_CASE
        yield [
            Contestant(ONE_BY_GRPC, by_grpc(plain(floor, f"/{bare_doors.SERVICE}/{one}")), bare_cpu),
            Contestant(CASE_BY_GRPC, by_grpc(plain(floor, f"/{bare_doors.SERVICE}/{case}")), bare_cpu),
            Contestant("intake gRPC", by_grpc(plain(real, OPEN_CASE), token), real_cpu),
            Contestant(ONE_BY_HTTP, by_http(floor_http, f"/{one}"), bare_cpu),
            Contestant(CASE_BY_HTTP, by_http(floor_http, f"/{case}"), bare_cpu),
            Contestant("intake HTTP", by_http(real_http, "/v1/cases", token), real_cpu),
            Contestant("intake gRPC, batches", batches.send, real_cpu, batches.prepare),
        ]


async def entry_key(channel: grpc.aio.Channel, token: str) -> entries.GetEntryKeyResponse:
    """To what phones seal their entries."""
    ask = channel.unary_unary(
        "/aid.intake.v1.EntryService/GetEntryKey",
        request_serializer=entries.GetEntryKeyRequest.SerializeToString,
        response_deserializer=entries.GetEntryKeyResponse.FromString,
    )
    key: entries.GetEntryKeyResponse = await ask(
        entries.GetEntryKeyRequest(), timeout=30, metadata=metadata(token)
    )
    return key


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
    for name in ("", "cases/s", "p50 ms", "p99 ms", "CPU ms", "of one row", "of a case"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    rate = {each.name: sum(each.rates) / len(each.rates) for each in found}
    for each in found:
        ratios = []
        if each.name in GOALS:
            one_row, a_case, goal = GOALS[each.name]
            ratios = [f"{rate[each.name] / rate[bare]:.2f}x (>= {goal:g}x)" for bare in (one_row, a_case)]
        table.add_row(
            each.name, f"{rate[each.name]:,.0f}", f"{quantile(each.waits, 0.5):,.1f}",
            f"{quantile(each.waits, 0.99):,.1f}", f"{1000 * sum(each.costs) / len(each.costs):.2f}", *ratios,
        )  # fmt: skip
    console.print(table)
    console.print(
        "In brackets the goal. p50 and p99 are of a call, CPU of a case: the server and its PostgreSQL.\n"
        "of one row: of the rate of a bare server that writes one row and one event a call (batches: by gRPC)\n"
        "of a case:  of the rate of one that writes, ready-made, all that intake writes for this very case"
    )


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
    if console.width < WIDTH:
        console = Console(highlight=False, width=WIDTH)
    with temporary_state() as folder, running(folder, "--only", "kafka", "postgres", "intake") as stack:
        uvloop.run(measure(stack, arguments.rounds, arguments.seconds, console))


if __name__ == "__main__":
    main()
