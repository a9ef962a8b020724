"""Run the logistics service: what it opens, what it serves, and in which order it lets go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.chassis import logs
from services.chassis.apply import Handler
from services.chassis.call import Service
from services.chassis.clock import Clock
from services.chassis.consumer import Consumer
from services.chassis.database import Database
from services.chassis.health import Liveness, Readiness
from services.chassis.http import HttpServer
from services.chassis.identity import Identity, ServiceToken
from services.chassis.lifecycle import run
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.operate import operate
from services.chassis.relay import Relay
from services.chassis.rpc_client import RpcClient
from services.chassis.rpc_server import RpcServer
from services.chassis.timers import Deadline, Timers
from services.chassis.topics import Topics
from services.chassis.work import WorkFactory
from services.logistics.adapters.intake_client import SERVICE as INTAKE
from services.logistics.adapters.intake_client import IntakeHandoffs
from services.logistics.adapters.reads import PostgresReads
from services.logistics.adapters.snapshots import Snapshots, snapshots
from services.logistics.adapters.wire import Wire
from services.logistics.adapters.work import PostgresWork
from services.logistics.application.admissions import Admissions
from services.logistics.application.ports import Handoffs, Work
from services.logistics.application.tick_appeal import resume_ticks
from services.logistics.application.watch_shipments import Bell
from services.logistics.entrypoints.deadlines import Deadlines
from services.logistics.entrypoints.events import Hearing
from services.logistics.entrypoints.rpc import LogisticsRpc
from services.logistics.entrypoints.rules import NAME, ROUTES, RULES
from services.logistics.settings import AppealSettings, HandoverSettings, LogisticsSettings

SERVICE = "logistics"


@dataclass(frozen=True, slots=True)
class Application:
    """The whole service without its wires."""

    works: WorkFactory[Work]
    service: Service
    handlers: Mapping[str, Handler[Work]]
    deadlines: Mapping[str, Deadline[Work]]
    snapshots: Mapping[str, Snapshots]


def assemble(
    database: Database,
    clock: Clock,
    topics: Topics,
    handoffs: Handoffs,
    metrics: Metrics,
    settings: AppealSettings,
    handovers: HandoverSettings,
) -> Application:
    """What main runs and tests call: only `handoffs` reaches beyond the database, and only when asked."""
    wire, bell = Wire(topics), Bell()
    works: WorkFactory[Work] = WorkFactory(
        database, clock, lambda connection, now: PostgresWork(connection, now, wire, bell, metrics), metrics
    )
    rpc = LogisticsRpc(
        works=works,
        reads=PostgresReads(database),
        admissions=Admissions(works, settings.send_within, settings.admitted_together),
        handoffs=handoffs,
        bell=bell,
        metrics=metrics,
        settings=settings,
        told_every=handovers.told_every,
    )
    return Application(
        works=works,
        service=Service(NAME, rpc, RULES, ROUTES),
        handlers=Hearing(metrics).handlers(),
        deadlines=Deadlines(settings, metrics).by_kind(),
        snapshots=snapshots(wire, clock),
    )


async def serve(settings: LogisticsSettings) -> None:
    """Until told to stop, or until a part breaks."""
    logs.configure(settings.name, settings.log_level)
    metrics, readiness = Metrics(), Readiness("migrated")
    async with AsyncExitStack() as resources:
        await migrate(settings.database, "services.chassis", "services.logistics")
        readiness.set("migrated")
        database = await resources.enter_async_context(Database.connect(settings.database))
        intake = await resources.enter_async_context(_intake(settings, metrics))
        clock, topics = settings.clock_source(), Topics.load(settings.topics.file)
        app = assemble(database, clock, topics, intake, metrics, settings.appeal, settings.handovers)
        await app.works.run(lambda work: resume_ticks(work, settings.appeal.tick))

        identity = Identity(settings.identity)
        relay = Relay(database, settings.kafka, SERVICE, metrics=metrics)
        timers = Timers(database, clock, app.works, app.deadlines, metrics=metrics)
        consumer = Consumer(
            database, settings.kafka, app.works, SERVICE, topics.consumed_by(SERVICE), app.handlers,
            metrics=metrics,
        )  # fmt: skip
        liveness = Liveness(relay.progress, timers.progress, consumer.progress)
        await run(
            HttpServer(
                settings.http, [app.service], identity, metrics, readiness,
                liveness=liveness, metrics_settings=settings.metrics, title="Logistics",
            ),
            relay,
            timers,
            consumer,
            RpcServer(settings.rpc, [app.service], identity, metrics),
            grace=settings.grace,
        )  # fmt: skip


async def operated(settings: LogisticsSettings, argv: Sequence[str]) -> int:
    """One operator's command on the same database, beside the running service."""
    logs.configure(settings.name, "WARNING")
    topics, metrics = Topics.load(settings.topics.file), Metrics()
    async with Database.connect(settings.database) as database, _intake(settings, metrics) as intake:
        app = assemble(
            database, settings.clock_source(), topics, intake, metrics, settings.appeal, settings.handovers
        )
        return await operate(
            argv, database=database, works=app.works, handlers=app.handlers, snapshots=app.snapshots,
            topics=topics,
        )  # fmt: skip


@asynccontextmanager
async def _intake(settings: LogisticsSettings, metrics: Metrics) -> AsyncIterator[IntakeHandoffs]:
    """Connects when first asked, so intake may be away when logistics starts."""
    token = settings.identity.token_file
    if settings.intake is None or token is None:
        yield IntakeHandoffs(None)
        return
    async with RpcClient(settings.intake.target, INTAKE, ServiceToken(token), metrics) as client:
        yield IntakeHandoffs(client)
