"""Run intake: what it opens, what it serves, and in which order it lets go."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from zoneinfo import ZoneInfo

from services.chassis import logs
from services.chassis.apply import Handler
from services.chassis.call import Service
from services.chassis.clock import Clock
from services.chassis.consumer import Consumer
from services.chassis.database import Database
from services.chassis.health import Liveness, Readiness
from services.chassis.http import HttpServer
from services.chassis.identity import Identity, ServiceToken
from services.chassis.keyring import Keyring
from services.chassis.lifecycle import run
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.operate import operate
from services.chassis.relay import Relay
from services.chassis.rpc_client import RpcClient
from services.chassis.rpc_server import RpcServer
from services.chassis.timers import Deadline, Timers
from services.chassis.topics import Topic, Topics
from services.chassis.work import WorkFactory
from services.intake.adapters.entry_keys import PostgresEntryKeys
from services.intake.adapters.hmis.writing import HmisSheets
from services.intake.adapters.matching_client import SERVICE as MATCHING
from services.intake.adapters.matching_client import MatchingClient
from services.intake.adapters.secrets import Secrets, secrets_of
from services.intake.adapters.snapshots import CaseSnapshots
from services.intake.adapters.watch import CaseWatchers
from services.intake.adapters.wire import CASES
from services.intake.adapters.work import Outfit
from services.intake.application.ports import Hub, IntakeWork, Matching
from services.intake.application.publish_report import begin_reports
from services.intake.domain.access import REGION
from services.intake.entrypoints import (
    agencies,
    consents,
    entries,
    exports,
    households_rules,
    needs,
    places,
    reports,
    restored,
    search,
    stays,
)
from services.intake.entrypoints.agencies import AgencyRpc
from services.intake.entrypoints.consents import ConsentRpc
from services.intake.entrypoints.deadlines import deadlines
from services.intake.entrypoints.door import Door
from services.intake.entrypoints.entries import EntryRpc
from services.intake.entrypoints.events import handlers
from services.intake.entrypoints.exports import ExportRpc
from services.intake.entrypoints.households import HouseholdRpc
from services.intake.entrypoints.needs import NeedRpc
from services.intake.entrypoints.places import PlaceRpc
from services.intake.entrypoints.reports import ReportRpc
from services.intake.entrypoints.rpc import IntakeRpc
from services.intake.entrypoints.rules import ROUTES, RULES, SERVICE
from services.intake.entrypoints.search import SearchRpc
from services.intake.entrypoints.stays import StayRpc
from services.intake.settings import IntakeSettings

NAME = "intake"


@dataclass(frozen=True, slots=True)
class Application:
    """Intake without its wires."""

    works: WorkFactory[IntakeWork]
    services: Sequence[Service]
    topics: Topics
    handlers: Mapping[str, Handler[IntakeWork]]
    deadlines: Mapping[str, Deadline[IntakeWork]]
    snapshots: Mapping[str, CaseSnapshots]

    @property
    def consumes(self) -> Sequence[Topic]:
        return self.topics.consumed_by(NAME)


def assemble(
    database: Database,
    clock: Clock,
    topics: Topics,
    keyring: Keyring,
    secrets: Secrets,
    matching: Matching,
    hub: Hub,
    metrics: Metrics,
    watch_look_again_s: float = 1.0,
    zone: tzinfo = UTC,
    areas: Collection[str] = (),
    break_glass_lasts: timedelta = timedelta(hours=1),
) -> Application:
    """The whole service on these resources; tests call this with their own."""
    watchers = CaseWatchers(watch_look_again_s)
    outfit = Outfit(keyring, secrets, watchers, topics.of(CASES), metrics, zone)
    works: WorkFactory[IntakeWork] = WorkFactory(database, clock, outfit.make(), metrics)
    door = Door(works, secrets.digest, metrics)
    intake = IntakeRpc(matching, hub, watchers, metrics, door, areas)
    return Application(
        works=works.within(REGION),
        services=[
            Service(SERVICE, intake, RULES, ROUTES),
            Service(
                households_rules.SERVICE,
                HouseholdRpc(door, hub, areas),
                households_rules.RULES,
                households_rules.ROUTES,
            ),
            Service(agencies.SERVICE, AgencyRpc(door, break_glass_lasts), agencies.RULES, agencies.ROUTES),
            Service(places.SERVICE, PlaceRpc(door, hub, areas), places.RULES, places.ROUTES),
            Service(reports.SERVICE, ReportRpc(door), reports.RULES, reports.ROUTES),
            Service(consents.SERVICE, ConsentRpc(door), consents.RULES, consents.ROUTES),
            Service(stays.SERVICE, StayRpc(door, matching), stays.RULES, stays.ROUTES),
            Service(needs.SERVICE, NeedRpc(door), needs.RULES, needs.ROUTES),
            Service(search.SERVICE, SearchRpc(door), search.RULES, search.ROUTES),
            Service(exports.SERVICE, ExportRpc(door, HmisSheets, metrics), exports.RULES, exports.ROUTES),
            Service(
                entries.SERVICE,
                EntryRpc(door, intake, PostgresEntryKeys(keyring)),
                entries.RULES,
                entries.ROUTES,
            ),
        ],
        topics=topics,
        handlers=handlers(),
        deadlines=deadlines(sorted(areas)),
        snapshots={CASES: CaseSnapshots(topics.of(CASES), clock)},
    )


async def serve(settings: IntakeSettings) -> None:
    """Until a signal: accept cases, with or without Kafka and the neighbours."""
    logs.configure(NAME, settings.log_level)
    metrics, readiness, liveness = Metrics(), Readiness("migrated"), Liveness()
    identity = Identity(settings.identity)
    async with AsyncExitStack() as resources:
        application, database = await _opened(settings, resources, metrics)
        readiness.set("migrated")
        await application.works.run(begin_reports)
        relay = Relay(database, settings.kafka, NAME, metrics=metrics)
        timers = Timers(
            database, settings.clock_source(), application.works, application.deadlines, metrics=metrics
        )
        consumer = Consumer(
            database, settings.kafka, application.works, NAME, application.consumes, application.handlers,
            metrics=metrics,
        )  # fmt: skip
        for part in (relay, timers, consumer):
            liveness.watch(part.progress)
        http = HttpServer(
            settings.http, application.services, identity, metrics, readiness,
            liveness=liveness, metrics_settings=settings.metrics, title="Intake",
        )  # fmt: skip
        rpc = RpcServer(settings.rpc, application.services, identity, metrics)
        await run(http, relay, timers, consumer, rpc, grace=settings.grace)


async def operated(settings: IntakeSettings, argv: Sequence[str]) -> int:
    """One command of an operator: forget-again, parked, replay, reseed, raise-epoch."""
    logs.configure(NAME, settings.log_level)
    async with AsyncExitStack() as resources:
        application, database = await _opened(settings, resources, Metrics())
        if argv[0] == restored.COMMAND:
            return await restored.forget_erased(application.works)
        return await operate(
            argv, database=database, works=application.works, handlers=application.handlers,
            snapshots=application.snapshots, topics=application.topics,
        )  # fmt: skip


async def _opened(
    settings: IntakeSettings, resources: AsyncExitStack, metrics: Metrics
) -> tuple[Application, Database]:
    """The service on its own resources, which close with `resources`; its database is migrated."""
    if settings.keyring is None or settings.matching is None or settings.identity.token_file is None:
        raise ValueError("intake needs a keyring, matching's address and its own token")
    await migrate(settings.database, "services.chassis", "services.intake")
    database = await resources.enter_async_context(Database.connect(settings.database, REGION))
    keyring = Keyring.of(settings.keyring)
    token = ServiceToken(settings.identity.token_file)
    client = RpcClient(settings.matching.target, MATCHING, token, metrics)  # connects when first asked
    application = assemble(
        database=database,
        clock=settings.clock_source(),
        topics=Topics.load(settings.topics.file),
        keyring=keyring,
        secrets=await secrets_of(database, keyring),
        matching=MatchingClient(await resources.enter_async_context(client)),
        hub=settings.hub.hub(),
        metrics=metrics,
        watch_look_again_s=settings.watch_look_again_s,
        zone=ZoneInfo(settings.time_zone),
        areas=settings.areas,
        break_glass_lasts=timedelta(minutes=settings.break_glass_minutes),
    )
    return application, database
