"""Logistics on a real database, with a clock that stands still until it is told to move."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aid.logistics.v1 import logistics_pb2 as pb
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import Message

from deploy.kafka.topics import FILE as TOPICS
from services.chassis import tracing
from services.chassis.call import PUBLIC, UNLIMITED, Call, Principal
from services.chassis.clock import Clock
from services.chassis.database import Database, DatabaseSettings
from services.chassis.envelope import Received
from services.chassis.ids import random_id
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.timers import Timers
from services.chassis.topics import Topics
from services.logistics.application.ports import Work
from services.logistics.application.tick_appeal import resume_ticks
from services.logistics.domain.ids import AllocationId
from services.logistics.domain.refusal import Refusal
from services.logistics.entrypoints.rpc import LogisticsRpc
from services.logistics.main import Application, assemble
from services.logistics.settings import AppealSettings, HandoverSettings
from tests.support.fixed_clock import FixedClock
from tests.support.stack import RunningStack

# A little after twelve: nothing in a test depends on what happens at the stroke.
NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
AREA = "riverside"
ITEM = "diapers-newborn"
PACK = 40
HOUR = timedelta(hours=1)

CREW = Principal("crew", "agency-east", frozenset({"warehouse"}))
OTHER_CREW = Principal("rival", "agency-west", frozenset({"warehouse"}))
OPERATOR = Principal("operator", "region", frozenset({"operator"}))
CARRIER = Principal("carrier", "carriers", frozenset({"carrier"}))


@dataclass
class Points:
    """Intake's answers to who asks where an allocation meets its household."""

    known: dict[AllocationId, tuple[str, str]] = field(default_factory=dict)

    async def of(self, allocation_id: AllocationId, patience_s: float) -> tuple[str, str]:
        if allocation_id not in self.known:
            raise Refusal("missing", "not-found", "There is no such thing here.")
        return self.known[allocation_id]


@dataclass
class World:
    """The assembled service, and hands to work it with."""

    app: Application
    database: Database
    clock: FixedClock
    points: Points
    metrics: Metrics
    warehouse: str

    @property
    def rpc(self) -> LogisticsRpc:
        implementation = self.app.service.implementation
        assert isinstance(implementation, LogisticsRpc)
        return implementation

    async def ask(
        self, method: str, request: Message, who: Principal = PUBLIC, key: str | None = None
    ) -> Any:
        """One call as a door makes it after its checks, the method's rule among them."""
        self.app.service.rules[method].check(who)
        return await getattr(self.rpc, method)(request, call(method, who, key))

    async def hear(self, type_name: str, message: Message) -> None:
        """One event of matching, in a transaction of its own."""
        event = heard(type_name, message)

        async def act(work: Work) -> None:
            await self.app.handlers[type_name](event, work)

        await self.app.works.run(act)

    async def shortfall(self, packs: int, item: str = ITEM, area: str = AREA) -> None:
        told = matching.ShortfallChanged(area=area, item_id=item, packs=packs, revision=1)
        await self.hear("aid.matching.v1.ShortfallChanged", told)

    async def propose(
        self, quantity: int, item: str = ITEM, area: str = AREA, size: str = ""
    ) -> AllocationId:
        allocation_id = AllocationId(random_id())
        told = matching.AllocationProposed(
            allocation_id=str(allocation_id), item_id=item, quantity=quantity, area=area, week="2026-W10",
            size=size,
        )  # fmt: skip
        await self.hear("aid.matching.v1.AllocationProposed", told)
        return allocation_id

    async def withdraw(self, allocation_id: AllocationId) -> None:
        told = matching.AllocationWithdrawn(allocation_id=str(allocation_id))
        await self.hear("aid.matching.v1.AllocationWithdrawn", told)

    async def advance(self, by: timedelta) -> None:
        """Move domain time, and keep every promise that falls due on the way."""
        self.clock.advance(by)
        timers = Timers(self.database, self.clock, self.app.works, self.app.deadlines, metrics=self.metrics)
        while await timers.keep():
            pass

    async def line(self, item: str = ITEM, area: str = AREA) -> pb.AppealLine | None:
        """A line as the public sees it."""
        answer = await self.ask("GetAppeal", pb.GetAppealRequest(area=area))
        return next((line for line in answer.lines if line.item.item_id == item), None)

    async def published(self, packs: int, item: str = ITEM) -> str:
        """A line that wants so many packs; its id."""
        await self.shortfall(packs, item)
        await self.advance(HOUR)
        line = await self.line(item)
        assert line is not None
        return str(line.line_id)

    async def pledge(self, line_id: str, packs: int = 1, key: str | None = None) -> pb.PledgeResponse:
        request = pb.PledgeRequest(line_id=line_id, packs=packs)
        answer: pb.PledgeResponse = await self.ask("Pledge", request, key=key)
        return answer

    async def packed(self, secret: str, quantity: int) -> str:
        answer = await self.ask("PackBox", pb.PackBoxRequest(secret=secret, quantity=quantity))
        return str(answer.label)

    async def sent(self, line_id: str, packs: int = 1, quantity: int | None = None) -> tuple[str, str]:
        """A parcel on its way: the secret of its pledge, and its label."""
        pledge = await self.pledge(line_id, packs)
        label = await self.packed(pledge.secret, packs * PACK if quantity is None else quantity)
        await self.ask("SendBox", pb.SendBoxRequest(secret=pledge.secret))
        return pledge.secret, label

    async def receive(
        self,
        label: str,
        counted: int,
        damaged: int = 0,
        screening: pb.Screening.ValueType = pb.SCREENING_CLEAN,
        who: Principal = CREW,
    ) -> str:
        request = pb.ReceiveBoxRequest(label=label, counted=counted, damaged=damaged, screening=screening)
        answer = await self.ask("ReceiveBox", request, who)
        return str(answer.outcome)

    async def stock(self, item: str = ITEM) -> tuple[int, int, int]:
        """Unscreened, screened and allocated pieces."""
        answer = await self.ask("ListStock", pb.ListStockRequest(warehouse_id=self.warehouse), CREW)
        shelf = next(shelf for shelf in answer.stock if shelf.item_id == item)
        return shelf.unscreened, shelf.screened, shelf.allocated

    async def put_on_shelf(self, pieces: int, item: str = ITEM) -> None:
        request = pb.CountStockRequest(warehouse_id=self.warehouse, item_id=item, screened=pieces)
        await self.ask("CountStock", request, CREW)

    async def told(self, topic: str) -> list[str]:
        """The types of what was announced on a topic, in order."""
        rows = await self.database.pool.fetch(
            "SELECT headers->>'ce_type' AS type FROM outbox WHERE topic = $1 ORDER BY id", topic
        )
        return [row["type"].rsplit(".", 1)[1] for row in rows]


def call(method: str, who: Principal, key: str | None = None) -> Call:
    return Call(who, UNLIMITED, tracing.new(), method, str(uuid.uuid4()) if key is None else key)


def heard(type_name: str, message: Message) -> Received:
    return Received(
        topic="", partition=0, offset=0, key="key", type=type_name, payload=message.SerializeToString(),
        id=random_id(), source="matching", subject="key", occurred_at=NOON, recorded_at=NOON, epoch=1,
        sequence=1, classification="internal", correlation=None, causation=None, traceparent=None,
        snapshot=False,
    )  # fmt: skip


async def settings_of(stack: RunningStack) -> DatabaseSettings:
    """A new database for logistics, migrated."""
    made = await stack.database("logistics")
    settings = DatabaseSettings(
        dsn=made.dsn, password_file=made.password_file, owner_dsn=made.owner_dsn,
        owner_password_file=made.owner_password_file,
    )  # fmt: skip
    await migrate(settings, "services.chassis", "services.logistics")
    return settings


def assembled(
    database: Database,
    clock: Clock,
    points: Points,
    metrics: Metrics,
    handovers: HandoverSettings | None = None,
) -> Application:
    """The service as main assembles it, with hand-off points from memory."""
    topics = Topics.load(Path(TOPICS))
    return assemble(
        database,
        clock,
        topics,
        points,
        metrics,
        AppealSettings(),
        handovers or HandoverSettings(told_every_s=0),
    )


@asynccontextmanager
async def logistics(stack: RunningStack, handovers: HandoverSettings | None = None) -> AsyncIterator[World]:
    """A world at noon with one warehouse in the area, its first tick done."""
    settings, clock, points, metrics = await settings_of(stack), FixedClock(NOON), Points(), Metrics()
    async with Database.connect(settings) as database:
        app = assembled(database, clock, points, metrics, handovers)
        await app.works.run(lambda work: resume_ticks(work, HOUR))
        world = World(app, database, clock, points, metrics, str(random_id()))
        await world.ask(
            "PutWarehouse",
            pb.PutWarehouseRequest(
                warehouse_id=world.warehouse, name="East depot", area=AREA, address="Depot road 1",
                agency_id=CREW.agency,
            ),
            OPERATOR,
        )  # fmt: skip
        await world.advance(timedelta(0))
        yield world
