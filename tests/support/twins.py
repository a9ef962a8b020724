"""Intake and matching as they run, without a broker and with a clock that stands still: whatever two such worlds
answer to the same call may differ only because the worlds do. Answers are the raw bytes of both doors.

async with twin(stack, folder) as world:
    said = await world.over_http("POST", "/v1/cases", body, OFFICER, key)
    await world.deliver()               # events of both sides, until there are no more
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from services.chassis.apply import Handler
from services.chassis.binding import bind
from services.chassis.call import Principal, Service
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.envelope import complete, received
from services.chassis.health import Readiness
from services.chassis.http import HttpServer
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import Identity, ServiceToken
from services.chassis.keyring import Keyring, KeyringSettings
from services.chassis.lifecycle import Part
from services.chassis.metrics import Metrics
from services.chassis.parking import KeptRecord
from services.chassis.rpc_client import RpcClient
from services.chassis.rpc_server import RpcServer, RpcSettings
from services.chassis.timers import Timers
from services.chassis.topics import Topics
from services.chassis.work import WorkFactory
from services.intake.adapters.matching_client import SERVICE as MATCHING
from services.intake.adapters.matching_client import MatchingClient
from services.intake.adapters.secrets import Secrets
from services.intake.main import Application, assemble
from tests.support.doors import Issuer
from tests.support.intake import HUB, NOON, TOPICS, Intake, opened_intake
from tests.support.matching import World, matching
from tests.support.stack import RunningStack

# The same in all worlds, as it is the same for ever in one.
SECRETS = Secrets(
    arrival=b"arrival codes".ljust(32), digest=b"digests".ljust(32), one_place=b"one place".ljust(32)
)
PATIENCE = 10.0
MADE_UP = str(UUID(int=999, version=4))

_TAKE = "DELETE FROM outbox RETURNING id, topic, key, headers, payload, epoch, sequence"
# The moment of the answer, which the HTTP library stamps on it. Nothing else is left out.
_DATE = re.compile(rb"^date: [^\r]+\r\n", re.MULTILINE)


@dataclass
class Twin:
    """One world: both services, their doors, and whoever knocks."""

    intake: Intake
    application: Application
    database: Database
    metrics: Metrics
    matching: World
    issuer: Issuer
    ports: Mapping[str, int]
    channel: grpc.aio.Channel

    async def over_http(
        self, verb: str, path: str, body: Mapping[str, Any] | None, who: Principal, key: str = ""
    ) -> bytes:
        """One call of intake's HTTP door on a connection of its own: every byte of the answer but its date."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports["http"])
        content = b"" if body is None else json.dumps(body).encode()
        head = {
            "Host": "intake", "Connection": "close", "Authorization": f"Bearer {self._token(who)}",
            "Content-Type": "application/json", "Content-Length": str(len(content)), "Idempotency-Key": key,
        }  # fmt: skip
        lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items() if value)]
        try:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            async with asyncio.timeout(PATIENCE):
                # A stream is left after its first line; anything else ends by itself.
                whole = await (reader.readuntil(b"}\n") if path.endswith(":watch") else reader.read())
        except asyncio.IncompleteReadError as ended:
            whole = ended.partial
        finally:
            writer.close()
        return _DATE.sub(b"", whole)

    async def over_rpc(self, method: str, request: Message, who: Principal, key: str = "") -> bytes:
        """One gRPC call: the answer's bytes, or the status with all that came with it."""
        [service] = [each.name for each in self.application.services if method in each.rules]
        call = self.channel.unary_unary(f"/{service}/{method}", None, None)(
            request.SerializeToString(), timeout=PATIENCE, metadata=self._metadata(who, key)
        )
        try:
            answer: bytes = await call
        except grpc.aio.AioRpcError:  # told by the status below
            answer = b""
        return repr((
            await call.code(), await call.details(), list(await call.initial_metadata()),
            list(await call.trailing_metadata()), answer,
        )).encode()  # fmt: skip

    @asynccontextmanager
    async def watching(self, request: Message, who: Principal) -> AsyncIterator[list[bytes]]:
        """A gRPC watch that stays open for the block: every message that it brought."""
        stream = self.channel.unary_stream("/aid.intake.v1.IntakeService/WatchCase", None, None)(
            request.SerializeToString(), metadata=self._metadata(who, "")
        )
        seen: list[bytes] = []
        first = asyncio.Event()

        async def follow() -> None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                async for message in stream:
                    seen.append(message)
                    first.set()

        following = asyncio.create_task(follow())
        await asyncio.wait_for(first.wait(), PATIENCE)
        try:
            yield seen
        finally:
            stream.cancel()
            await following

    async def deliver(self) -> None:
        """Carry events between the two until neither has anything more to say to the other."""
        sides: list[tuple[Database, str, WorkFactory[Any], Mapping[str, Handler[Any]]]] = [
            (self.intake.database, "matching", self.matching.app.works, self.matching.app.handlers),
            (self.matching.database, "intake", self.application.works, self.application.handlers),
        ]
        moved = True
        while moved:
            moved = False
            for database, listener, works, handlers in sides:
                for record in await _taken(database):
                    if listener in self.application.topics.of(record.topic).consumers:
                        await works.run(_heard(record, handlers))
                        moved = True

    async def advance(self, by: timedelta) -> None:
        """Time passes for both, and what falls due happens."""
        self.intake.clock.advance(by)
        timers = Timers(
            self.database, self.intake.clock, self.application.works, self.application.deadlines,
            metrics=self.metrics,
        )  # fmt: skip
        while await timers.keep():
            pass
        await self.matching.advance(by)
        await self.deliver()

    def _token(self, who: Principal) -> str:
        return self.issuer.token(who.subject, *sorted(who.roles), lasts_s=600, agency=who.agency)

    def _metadata(self, who: Principal, key: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token(who)}"), ("idempotency-key", key))


def every_method(services: Sequence[Service], ids: Mapping[str, str]) -> Iterator[tuple[str, Message]]:
    """Each method that gives one answer, with a request that holds these ids wherever it takes them."""
    for service in services:
        for method in bind(service):
            if not method.streams:
                yield method.name.rpartition("/")[2], _filled(method.parse(b""), ids)


def every_reading(services: Sequence[Service], ids: Mapping[str, str]) -> Iterator[tuple[str, Message]]:
    """Those of them that change nothing and are about a case; what else they could ask for is left open."""
    for service in services:
        methods = descriptor_pool.Default().FindServiceByName(service.name).methods_by_name
        for name, request in every_method([service], ids):
            level = methods[name].GetOptions().idempotency_level
            if level == MethodOptions.NO_SIDE_EFFECTS and "case_id" in request.DESCRIPTOR.fields_by_name:
                for field in request.DESCRIPTOR.fields:
                    if field.name not in ids:
                        request.ClearField(field.name)
                yield name, request


def _filled(request: Message, ids: Mapping[str, str]) -> Message:
    for field in request.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and field.name.endswith("_id"):
            setattr(request, field.name, ids.get(field.name, MADE_UP))
    return request


async def _taken(database: Database) -> list[KeptRecord]:
    """What the outbox holds, in order, as the relay would send it."""
    rows = sorted(await database.pool.fetch(_TAKE), key=lambda row: int(row["id"]))
    return [
        KeptRecord(
            row["topic"], 0, row["id"], row["key"].encode(), row["payload"],
            complete(json.loads(row["headers"]), "neighbour", row["epoch"], row["sequence"]),
        )
        for row in rows
    ]  # fmt: skip


def _heard(record: KeptRecord, handlers: Mapping[str, Handler[Any]]) -> Callable[[Any], Any]:
    event = received(record)

    async def act(work: Any) -> None:
        await handlers[event.type](event, work)

    return act


@asynccontextmanager
async def twin(stack: RunningStack, folder: Path, *, neighbour: bool = True) -> AsyncIterator[Twin]:
    """A world of its own. Without its `neighbour` nobody answers where intake looks for matching."""
    async with AsyncExitStack() as opened:
        world = await opened.enter_async_context(matching(stack))
        intake = await opened.enter_async_context(opened_intake(stack, folder))
        await world.advance(NOON - world.clock.now())
        issuer = Issuer(folder)
        metrics, identity = Metrics(), Identity(issuer.settings)
        database = await opened.enter_async_context(Database.connect(intake.settings))
        theirs = RpcServer(RpcSettings(), [world.app.service], identity, world.metrics)
        await opened.enter_async_context(_serving(theirs))
        if not neighbour:
            await theirs.drain()
        token = folder / "intake.jwt"
        token.write_text(issuer.token("intake", "service", lasts_s=600, agency=""))
        client = RpcClient(f"127.0.0.1:{theirs.port}", MATCHING, ServiceToken(token), metrics)
        neighbour_client = MatchingClient(await opened.enter_async_context(client))
        application = _application(database, intake.clock, folder, neighbour_client, metrics)
        ports, channel = await _doors(opened, application.services, identity, metrics)
        yield Twin(intake, application, database, metrics, world, issuer, ports, channel)


def _application(
    database: Database, clock: Clock, folder: Path, neighbour: MatchingClient, metrics: Metrics
) -> Application:
    return assemble(
        database=database, clock=clock, topics=Topics.load(TOPICS),
        keyring=Keyring.of(KeyringSettings(file=folder / "kek")), secrets=SECRETS, matching=neighbour,
        hub=HUB, metrics=metrics, watch_look_again_s=0.05,
    )  # fmt: skip


async def _doors(
    opened: AsyncExitStack, services: Sequence[Service], identity: Identity, metrics: Metrics
) -> tuple[dict[str, int], grpc.aio.Channel]:
    readiness = Readiness()
    http = HttpServer(HttpSettings(), services, identity, metrics, readiness)
    rpc = RpcServer(RpcSettings(), services, identity, metrics)
    for part in (http, rpc):
        await opened.enter_async_context(_serving(part))
    channel = await opened.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{rpc.port}"))
    return {"http": http.port, "rpc": rpc.port}, channel


@asynccontextmanager
async def _serving(part: HttpServer | RpcServer) -> AsyncIterator[Part]:
    await part.start()
    try:
        yield part
    finally:
        await part.unready()
        await part.drain()
