"""Run the matching service: what it opens, what it serves, and in which order it lets go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
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
from services.matching.adapters.gauges import Gauges
from services.matching.adapters.intake_client import SERVICE as INTAKE
from services.matching.adapters.intake_client import IntakeDisclosures
from services.matching.adapters.snapshots import Snapshots, snapshots
from services.matching.adapters.wire import Wire
from services.matching.adapters.work import PostgresWork
from services.matching.application.contention import Contention
from services.matching.application.describe_arrival import Disclosures
from services.matching.application.ports import MatchingWork
from services.matching.application.terms import Terms
from services.matching.entrypoints.deadlines import begin_rounds, deadlines
from services.matching.entrypoints.events import handlers
from services.matching.entrypoints.rpc import MatchingRpc
from services.matching.entrypoints.rules import NAME, ROUTES, RULES
from services.matching.settings import MatchingSettings

SERVICE = "matching"


@dataclass(frozen=True, slots=True)
class Application:
    """The whole service without its wires."""

    works: WorkFactory[MatchingWork]
    service: Service
    handlers: Mapping[str, Handler[MatchingWork]]
    deadlines: Mapping[str, Deadline[MatchingWork]]
    snapshots: Mapping[str, Snapshots]


def assemble(
    database: Database,
    clock: Clock,
    topics: Topics,
    metrics: Metrics,
    terms: Terms,
    disclosures: Disclosures | None = None,
) -> Application:
    """What main runs and tests call. Without `disclosures` providers are told nothing of whom to expect."""
    wire, contention = Wire(topics), Contention()
    works: WorkFactory[MatchingWork] = WorkFactory(
        database,
        clock,
        lambda connection, now: PostgresWork(connection, now, wire, terms, metrics, contention),
        metrics,
    )
    return Application(
        works=works,
        service=Service(
            NAME, MatchingRpc(works, metrics, disclosures or IntakeDisclosures(None)), RULES, ROUTES
        ),
        handlers=handlers(),
        deadlines=deadlines(),
        snapshots=snapshots(wire, clock, terms),
    )


async def serve(settings: MatchingSettings) -> None:
    """Until told to stop, or until a part breaks."""
    logs.configure(settings.name, settings.log_level)
    metrics, readiness = Metrics(), Readiness("migrated")
    async with AsyncExitStack() as resources:
        await migrate(settings.database, "services.chassis", "services.matching")
        readiness.set("migrated")
        database = await resources.enter_async_context(Database.connect(settings.database))
        clock, topics = settings.clock_source(), Topics.load(settings.topics.file)
        terms = settings.chosen()
        disclosures = IntakeDisclosures(await _intake(settings, resources, metrics))
        app = assemble(database, clock, topics, metrics, terms, disclosures)
        await app.works.run(begin_rounds)

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
                liveness=liveness, metrics_settings=settings.metrics, title="Matching",
            ),
            Gauges(database, clock, terms.calendar, metrics),
            relay,
            timers,
            consumer,
            RpcServer(settings.rpc, [app.service], identity, metrics),
            grace=settings.grace,
        )  # fmt: skip


async def _intake(
    settings: MatchingSettings, resources: AsyncExitStack, metrics: Metrics
) -> RpcClient | None:
    """The neighbour, connected to when first asked; None where nobody said where it is."""
    if settings.intake is None or settings.identity.token_file is None:
        return None
    token = ServiceToken(settings.identity.token_file)
    return await resources.enter_async_context(RpcClient(settings.intake.target, INTAKE, token, metrics))


async def operated(settings: MatchingSettings, argv: Sequence[str]) -> int:
    """One operator's command on the same database, beside the running service."""
    logs.configure(settings.name, "WARNING")
    topics = Topics.load(settings.topics.file)
    async with Database.connect(settings.database) as database:
        terms = settings.chosen()
        app = assemble(database, settings.clock_source(), topics, Metrics(), terms)
        return await operate(
            argv, database=database, works=app.works, handlers=app.handlers, snapshots=app.snapshots,
            topics=topics,
        )  # fmt: skip
