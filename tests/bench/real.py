"""The network's own path from a reported need to a visible referral: intake and matching as their mains assemble
them, in this process."""

from __future__ import annotations

import base64
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching

from deploy.kafka.topics import FILE as TOPICS
from services.chassis.apply import Handler
from services.chassis.call import Call, Principal, Service
from services.chassis.clock import SystemClock, wall
from services.chassis.consumer import Consumer
from services.chassis.database import Database, DatabaseSettings
from services.chassis.envelope import Received
from services.chassis.identity import ServiceToken
from services.chassis.kafka import KafkaSettings
from services.chassis.keyring import Keyring, KeyringSettings
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.relay import Relay
from services.chassis.rpc_client import RpcClient
from services.chassis.topics import Topics
from services.chassis.work import Work
from services.intake import main as intake_main
from services.intake.adapters.matching_client import SERVICE as MATCHING
from services.intake.adapters.matching_client import MatchingClient
from services.intake.adapters.secrets import secrets_of
from services.intake.application.ports import Hub
from services.intake.domain.access import REGION
from services.matching import main as matching_main
from services.matching.settings import HubSettings, MatchingTerms
from tests.support.stack import RunningStack

PROPOSED = "aid.matching.v1.ReferralProposed"
OFFERS = 8
AGENCY = str(uuid.uuid4())
WORKER = Principal("worker", AGENCY, frozenset({"case_manager"}))
PROVIDER = Principal("provider", str(uuid.uuid4()), frozenset({"provider"}))
OPERATOR = Principal("operator", AGENCY, frozenset({"operator"}))


def call(method: str, who: Principal) -> Call:
    """As a door makes it."""
    return Call(
        who,
        wall() + timedelta(seconds=60),
        f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01",
        method,
        str(uuid.uuid4()),
    )


@dataclass(slots=True)
class RealPath:
    """Both services without their doors. `arrived` has the clock's reading at which intake committed each need's referral."""

    intake: Any  # the implementations that both doors call
    matching: Any
    cases: list[str] = field(default_factory=list)
    arrived: dict[str, float] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def running(cls, stack: RunningStack, cases: int) -> AsyncIterator[RealPath]:
        """With plenty of places and that many open cases."""
        async with AsyncExitStack() as resources:
            folder = stack.state.folder
            ours = await cls._matching(stack, resources)
            theirs, application = await cls._intake(stack, resources, folder)
            path = cls(application.services[0].implementation, ours.implementation)
            await theirs(path)
            await path._fill(cases)
            yield path

    @staticmethod
    async def _database(
        stack: RunningStack, cluster: str, resources: AsyncExitStack, *standing: str
    ) -> Database:
        fresh = await stack.database(cluster)
        settings = DatabaseSettings(
            dsn=fresh.dsn,
            password_file=fresh.password_file,
            owner_dsn=fresh.owner_dsn,
            owner_password_file=fresh.owner_password_file,
        )
        await migrate(settings, "services.chassis", f"services.{cluster}")
        return await resources.enter_async_context(Database.connect(settings, *standing))

    @classmethod
    async def _matching(cls, stack: RunningStack, resources: AsyncExitStack) -> Service:
        database, metrics, topics = (
            await cls._database(stack, "matching", resources),
            Metrics(),
            Topics.load(TOPICS),
        )
        application = matching_main.assemble(
            database, SystemClock(), topics, metrics, MatchingTerms().terms(HubSettings())
        )
        kafka = KafkaSettings(bootstrap=stack.bootstrap, instance_id="bench-matching")
        await _start(
            resources,
            Relay(database, kafka, "matching", metrics=metrics),
            Consumer(
                database,
                kafka,
                application.works,
                "matching",
                topics.consumed_by("matching"),
                application.handlers,
                metrics=metrics,
            ),
        )
        return application.service

    @classmethod
    async def _intake(cls, stack: RunningStack, resources: AsyncExitStack, folder: Path):  # type: ignore[no-untyped-def]
        database, metrics, topics = (
            await cls._database(stack, "intake", resources, REGION),
            Metrics(),
            Topics.load(TOPICS),
        )
        kek = folder / "bench-kek"
        kek.write_text(base64.b64encode(os.urandom(32)).decode())
        keyring = Keyring.of(KeyringSettings(file=kek))
        nobody = RpcClient(
            "127.0.0.1:1", MATCHING, ServiceToken(kek), metrics
        )  # reporting a need asks no neighbour
        application = intake_main.assemble(
            database, SystemClock(), topics, keyring, await secrets_of(database, keyring),
            MatchingClient(await resources.enter_async_context(nobody)), Hub("", "", ""), metrics,
        )  # fmt: skip
        kafka = KafkaSettings(bootstrap=stack.bootstrap, instance_id="bench-intake")

        async def start(path: RealPath) -> None:
            handlers = dict(application.handlers)
            handlers[PROPOSED] = path._noting(handlers[PROPOSED])
            await _start(
                resources,
                Relay(database, kafka, "intake", metrics=metrics),
                Consumer(
                    database,
                    kafka,
                    application.works,
                    "intake",
                    application.consumes,
                    handlers,
                    metrics=metrics,
                ),
            )

        return start, application

    def _noting(self, handler: Handler[Any]) -> Handler[Any]:
        from aid.matching.v1 import events_pb2

        async def handle(event: Received, work: Work) -> None:
            await handler(event, work)
            need = events_pb2.ReferralProposed.FromString(event.payload).need_id
            work.after_commit(lambda: self.arrived.setdefault(need, time.perf_counter()))

        return handle

    async def _fill(self, cases: int) -> None:
        rules = matching.Rules(children=True, without_children=True, wheelchair=True, pets=True)
        for number in range(OFFERS):
            offer = matching.Offer(
                offer_id=str(uuid.uuid4()), kind=common.NEED_KIND_LODGING, name=f"House {number}", contact="-", area="riverside",
                unit=matching.UNIT_ROOM, capacity=1_000_000, max_nights=30, rules=rules,
            )  # fmt: skip
            await self.matching.PutOffer(matching.PutOfferRequest(offer=offer), call("PutOffer", PROVIDER))
        agency = intake.RegisterAgencyRequest(agency_id=AGENCY, name="Bench", type=intake.AGENCY_TYPE_SHELTER)
        await self.intake.RegisterAgency(agency, call("RegisterAgency", OPERATOR))
        worker = intake.RegisterWorkerRequest(worker=WORKER.subject, agency_id=AGENCY)
        await self.intake.RegisterWorker(worker, call("RegisterWorker", OPERATOR))
        household = intake.Household(
            persons=[intake.Person(given_name="Bench", birth_date="1990-01-01", relationship=1)],
            area="riverside",
        )
        for _ in range(cases):
            opened = await self.intake.OpenCase(
                intake.OpenCaseRequest(household=household), call("OpenCase", WORKER)
            )
            self.cases.append(opened.case_id)

    async def report(self, name: str, key: str) -> None:
        """One lodging need of one case, at the method that both doors call."""
        need_id = self.needs[name] = str(uuid.uuid4())
        need = intake.NeedInput(
            need_id=need_id, kind=common.NEED_KIND_LODGING, nights=1, urgency=common.URGENCY_SOON
        )
        request = intake.ReportNeedRequest(case_id=self.cases[int(key.removeprefix("key-"))], need=need)
        await self.intake.ReportNeed(request, call("ReportNeed", WORKER))

    def arrived_at(self, name: str) -> float | None:
        """When intake had committed the referral of that report's need."""
        return self.arrived.get(self.needs[name])


async def _start(resources: AsyncExitStack, *parts: Relay | Consumer) -> None:  # type: ignore[type-arg]
    """Running until the resources close."""
    for part in parts:
        await part.start()
        resources.push_async_callback(part.drain)
