"""What intake writes for one case, recorded once from intake itself, to be made again with other ids.

A bare server that makes this insert does what no implementation of intake can leave out: the same rows in the same
tables, with their indexes, constraints and policies, and the same events in the outbox, in one statement. The values
are ready-made: nothing is read, checked, derived or sealed.
"""

from __future__ import annotations

import base64
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aid.intake.v1 import intake_pb2 as intake

from deploy.kafka.topics import FILE as TOPICS
from services.chassis.call import Call, Principal
from services.chassis.clock import SystemClock, wall
from services.chassis.database import Database, DatabaseSettings
from services.chassis.identity import ServiceToken
from services.chassis.ids import random_id, uuid7
from services.chassis.keyring import Keyring, KeyringSettings
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.rpc_client import RpcClient
from services.chassis.topics import Topics
from services.intake.adapters.matching_client import SERVICE as MATCHING
from services.intake.adapters.matching_client import MatchingClient
from services.intake.adapters.secrets import secrets_of
from services.intake.application.ports import Hub
from services.intake.domain.access import REGION
from services.intake.entrypoints.rules import SERVICE
from services.intake.main import assemble

AGENCY = str(uuid.UUID(int=77))
_ONE_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IDS = re.compile(f"{_ONE_ID}(?:,{_ONE_ID})*")
_DIGEST_BYTES = 32

Fresh = list[object]
Slot = Callable[[Fresh], object]


class SameInsert:
    """One statement and what it binds. Each time it is asked, ids, keys and digests are others: each is drawn once
    and stands wherever the recorded one stood."""

    def __init__(self, sql: str, arguments: Sequence[object]) -> None:
        self.sql = sql
        self._makers: list[Callable[[], object]] = []
        self._known: dict[object, int] = {}
        self._bound: list[Slot | object] = []
        for argument in arguments:
            self._bound.append(self._column(argument) if isinstance(argument, list) else argument)

    def another(self) -> tuple[object, ...]:
        """What to bind this time."""
        fresh: Fresh = [make() for make in self._makers]
        return tuple(each(fresh) if callable(each) else each for each in self._bound)

    def _column(self, values: list[object]) -> Slot | object:
        slots = [self._slot(value) for value in values]
        if not any(map(callable, slots)):
            return values
        return lambda fresh: [each(fresh) if callable(each) else each for each in slots]

    def _slot(self, value: object) -> Slot | object:
        """What stands in for the value: the agency stays, and so does whatever need not be another."""
        if isinstance(value, uuid.UUID):
            return value if str(value) == AGENCY else self._drawn(value)
        if isinstance(value, bytes) and len(value) == _DIGEST_BYTES:
            return self._drawn(value)
        if isinstance(value, str) and _IDS.fullmatch(value):
            return self._text([self._drawn(uuid.UUID(each)) for each in value.split(",")])
        return value

    def _drawn(self, value: uuid.UUID | bytes) -> Slot:
        place = self._known.setdefault(value, len(self._makers))
        if place == len(self._makers):
            self._makers.append(_maker(value))
        return lambda fresh: fresh[place]

    @staticmethod
    def _text(ids: Sequence[Slot]) -> Slot:
        return lambda fresh: ",".join(str(each(fresh)) for each in ids)


def _maker(value: uuid.UUID | bytes) -> Callable[[], object]:
    """Draws another of its kind: ids that sort by time do so again, because indexes cost less by it."""
    if isinstance(value, bytes):
        return lambda: os.urandom(_DIGEST_BYTES)
    return uuid7 if value.version == 7 else random_id


async def recorded(settings: DatabaseSettings, case: intake.OpenCaseRequest) -> SameInsert:
    """Make intake's schema in that empty database, have intake open the case in it, and keep what it wrote."""
    await migrate(settings, "services.chassis", "services.intake")
    alone = settings.model_copy(update={"pool_size": 1})
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        database = await resources.enter_async_context(Database.connect(alone, REGION))
        service = await _service(database, folder, resources)
        agency = intake.RegisterAgencyRequest(
            agency_id=AGENCY, name="Bench", type=intake.AGENCY_TYPE_OUTREACH
        )
        await service.RegisterAgency(agency, _call("RegisterAgency", "operator"))
        written: list[tuple[str, Sequence[object]]] = []

        def note(query: Any) -> None:
            if "INTO case_file" in query.query:
                written.append((query.query, query.args))

        async with database.lend() as connection:
            connection.add_query_logger(note)
        await service.OpenCase(case, _call("OpenCase", "outreach"))
        [(sql, arguments)] = written  # all of a case is one statement
        return SameInsert(sql, arguments)


async def _service(database: Database, folder: Path, resources: AsyncExitStack) -> Any:
    """Intake's main service, without doors; to open a case it asks no neighbour."""
    key = folder / "kek"
    key.write_text(base64.b64encode(os.urandom(32)).decode())
    keyring, metrics = Keyring.of(KeyringSettings(file=key)), Metrics()
    nobody = await resources.enter_async_context(
        RpcClient("127.0.0.1:1", MATCHING, ServiceToken(key), metrics)
    )
    application = assemble(
        database, SystemClock(), Topics.load(TOPICS), keyring, await secrets_of(database, keyring),
        MatchingClient(nobody), Hub("", "", ""), metrics,
    )  # fmt: skip
    return next(each.implementation for each in application.services if each.name == SERVICE)


def _call(method: str, role: str) -> Call:
    """As a door makes it."""
    return Call(
        Principal("bench", AGENCY, frozenset({role})), wall() + timedelta(seconds=60),
        f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01", f"{SERVICE}/{method}", str(uuid.uuid4()),
    )  # fmt: skip


async def pool(settings: DatabaseSettings) -> asyncpg.Pool[asyncpg.Record]:
    """Eight sessions that speak for the agency, with the plans that intake's sessions keep."""

    async def speak(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        await connection.execute("SELECT set_config('aid.scope', $1, false)", AGENCY)

    return await asyncpg.create_pool(
        settings.dsn, password=settings.password(), min_size=8, max_size=8, init=speak, reset=left_as_it_is,
        server_settings={"jit": "off", "plan_cache_mode": "force_generic_plan"},
    )  # fmt: skip


async def left_as_it_is(connection: object) -> None:
    """Nobody changes session state here, so giving a connection back costs no round trip."""
