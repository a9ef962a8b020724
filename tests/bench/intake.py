"""How many cases intake accepts a second at each door, beside a bare server that makes the same durable insert.

Each contestant is a process of its own; the 32 clients share the machine with it, as with the floor of the goals.
Contestants take turns within each round. A case has two persons, one lodging and one goods need; in a batch, a
hundred sealed entries travel in one call. `cases/s` counts cases, whatever they came in.
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
from typing import Any

import asyncpg
import grpc
import httpx
import uvloop
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import entries_pb2 as entries
from aid.intake.v1 import intake_pb2 as intake
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from deploy.local.ports import HOST
from deploy.local.users import Users
from tests.bench import bare_doors
from tests.bench.floor import SCHEMA
from tests.bench.path import quantile
from tests.support.stack import Database, RunningStack, running, temporary_state

CLIENTS = 32
BATCH = 100
USER = "outreach"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
GOALS = {"grpc": 0.7, "http": 0.7, "batch": 1.5}

Send = Callable[[], Awaitable[int]]
"""One call; how many cases it brought."""


@dataclass(slots=True)
class Contestant:
    name: str
    send: Send
    rates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """All clients, each sending as soon as it is answered."""
        cases, began = 0, time.perf_counter()

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


def a_case() -> intake.OpenCaseRequest:
    return intake.OpenCaseRequest(
        case_id=str(uuid.uuid4()),
        household=intake.Household(
            persons=[
                intake.Person(
                    given_name="Bench", family_name="Mark", birth_date="1994-02-03", relationship=1
                ),
                intake.Person(
                    given_name="Little", family_name="Mark", birth_date="2023-06-07", relationship=2
                ),
            ],
            unsheltered=True,
            area="riverside",
        ),
        needs=[
            intake.NeedInput(
                need_id=str(uuid.uuid4()),
                kind=common.NEED_KIND_LODGING,
                nights=3,
                urgency=common.URGENCY_TONIGHT,
            ),
            intake.NeedInput(
                need_id=str(uuid.uuid4()), kind=common.NEED_KIND_GOODS, item_id="diapers-size-4", quantity=60
            ),
        ],
    )


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"), ("idempotency-key", str(uuid.uuid4())))


def by_grpc(channel: grpc.aio.Channel, token: str) -> Send:
    ask = channel.unary_unary(
        "/aid.intake.v1.IntakeService/OpenCase",
        request_serializer=intake.OpenCaseRequest.SerializeToString,
        response_deserializer=intake.OpenCaseResponse.FromString,
    )

    async def send() -> int:
        await ask(a_case(), timeout=30, metadata=metadata(token))
        return 1

    return send


def by_http(client: httpx.AsyncClient, token: str) -> Send:
    async def send() -> int:
        answer = await client.post("/v1/cases", json=MessageToDict(a_case()), headers=dict(metadata(token)))
        answer.raise_for_status()
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
        entry = entries.Entry(entry_id=str(uuid.uuid4()), open_case=a_case())
        for moment in (entry.occurred_at, entry.recorded_at):
            moment.FromDatetime(datetime.now(UTC))
        box = SUITE.encrypt(entry.SerializeToString(), public, b"aid entry v1")
        sealed.append(entries.SealedEntry(key_id=key.key_id, sealed=box))
    return entries.SubmitEntriesRequest(entries=sealed).SerializeToString()


@asynccontextmanager
async def bare(database: Database) -> AsyncIterator[tuple[int, int]]:
    """The floor in a process of its own: its gRPC and its HTTP port."""
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
        yield int(rpc), int(http)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def contestants(stack: RunningStack) -> AsyncIterator[list[Contestant]]:
    """Bare and real at each door, and batches at the real one."""
    doors = stack.record.services["intake"]
    token = Issuer(stack.state).token(USER)
    async with AsyncExitStack() as resources:
        rpc_port, http_port = await resources.enter_async_context(bare(await stack.database("intake")))
        limits = httpx.Limits(max_connections=CLIENTS)

        async def http_at(port: int) -> httpx.AsyncClient:
            client = httpx.AsyncClient(
                base_url=f"http://{HOST}:{port}", trust_env=False, limits=limits, timeout=30
            )
            return await resources.enter_async_context(client)

        floor = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{rpc_port}"))
        real = await resources.enter_async_context(grpc.aio.insecure_channel(f"{HOST}:{doors.rpc}"))
        await registered(real, Issuer(stack.state).token("operator"))
        body = a_case().SerializeToString()
        insert: Any = floor.unary_unary(bare_doors.METHOD, lambda sent: sent, lambda got: got)
        floor_http = await http_at(http_port)

        async def bare_grpc() -> int:
            await insert(body, timeout=30)
            return 1

        async def bare_http() -> int:
            (await floor_http.post("/insert", content=body)).raise_for_status()
            return 1

        key = await real.unary_unary(
            "/aid.intake.v1.EntryService/GetEntryKey",
            request_serializer=entries.GetEntryKeyRequest.SerializeToString,
            response_deserializer=entries.GetEntryKeyResponse.FromString,
        )(entries.GetEntryKeyRequest(), timeout=30, metadata=metadata(token))
        yield [
            Contestant("bare gRPC", bare_grpc),
            Contestant("intake gRPC", by_grpc(real, token)),
            Contestant("bare HTTP", bare_http),
            Contestant("intake HTTP", by_http(await http_at(doors.http), token)),
            Contestant("intake gRPC, batches", in_batches(real, token, key)),
        ]


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
    for name in ("", "cases/s", "p50 of a call", "p99 of a call", "ratio", "goal"):
        table.add_column(name, justify="left" if not name else "right")
    rate = {each.name: sum(each.rates) / len(each.rates) for each in found}
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
            f"{quantile(each.waits, 0.99):.1f} ms", ratio, f">= {goal:g}x" if against else "",
        )  # fmt: skip
    console.print(table)


async def measure(stack: RunningStack, rounds: int, seconds: float, console: Console) -> None:
    async with contestants(stack) as found:
        for each in found:
            await each.run(1.0)  # connections are made, plans are cached
            each.rates.clear()
            each.waits.clear()
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
