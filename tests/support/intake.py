"""Intake on a real database, asked through its service as both doors ask it; matching answers as it is told.

async with opened_intake(stack, folder) as intake:
    answer = await intake.ask("OpenCase", request, OFFICER)
    assert await intake.announced(answer.case_id) == [...]
"""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from google.protobuf.message import Message

from services.chassis.call import Call, Principal
from services.chassis.clock import wall
from services.chassis.database import Database, DatabaseSettings, Session
from services.chassis.envelope import Received
from services.chassis.keyring import Keyring, KeyringSettings
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.topics import Topics
from services.intake.adapters.secrets import Secrets, secrets_of
from services.intake.application.ports import Hub, Place, SearchGoesOn, TonightAnswer
from services.intake.domain.access import REGION
from services.intake.domain.household import Facts
from services.intake.domain.ids import CaseId, ReferralId
from services.intake.domain.needs import Need
from services.intake.domain.outcomes import ReferralState
from services.intake.main import Application, assemble
from tests.support.fixed_clock import FixedClock
from tests.support.stack import RunningStack

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TOPICS = Path("deploy/kafka/topics.yaml")
HUB = Hub(phone="+1-555-0100", meeting_point="Central Library", handoff_slot="ask the hub")

AGENCIES = {
    name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("police", "outreach", "shelter", "safe")
}
OFFICER = Principal("officer", AGENCIES["police"], frozenset({"outreach"}))
OUTREACH = Principal("outreach", AGENCIES["outreach"], frozenset({"outreach"}))
COLLEAGUE = Principal("colleague", AGENCIES["outreach"], frozenset({"case_manager"}))
MANAGER = Principal("manager", AGENCIES["shelter"], frozenset({"case_manager"}))
ADVOCATE = Principal("advocate", AGENCIES["safe"], frozenset({"advocate"}))
HUB_DESK = Principal("hub", str(uuid.uuid5(uuid.NAMESPACE_DNS, "hub")), frozenset({"hub"}))
OPERATOR = Principal("operator", "", frozenset({"operator"}))
LOGISTICS = Principal("logistics", "", frozenset({"service"}))

_TYPES = {
    "police": messages.AGENCY_TYPE_POLICE,
    "outreach": messages.AGENCY_TYPE_OUTREACH,
    "shelter": messages.AGENCY_TYPE_SHELTER,
    "safe": messages.AGENCY_TYPE_OUTREACH,
}


@dataclass
class ToldMatching:
    """Matching as a neighbour that answers what the test says, and remembers what it was asked."""

    tonight: TonightAnswer = field(default_factory=lambda: SearchGoesOn(5))
    state: ReferralState = ReferralState.ACCEPTED
    asked: list[tuple[CaseId, Need, Facts]] = field(default_factory=list)
    answered: list[tuple[CaseId, ReferralId, bool]] = field(default_factory=list)
    named: dict[ReferralId, Place] = field(default_factory=dict)
    extended: list[tuple[CaseId, ReferralId, date]] = field(default_factory=list)
    refuses: Exception | None = None

    async def find_tonight(self, case_id: CaseId, need: Need, facts: Facts, call: Call) -> TonightAnswer:
        self.asked.append((case_id, need, facts))
        return self.tonight

    async def places(
        self, case_id: CaseId, referral_ids: Sequence[ReferralId], call: Call
    ) -> Mapping[ReferralId, Place]:
        return {each: self.named[each] for each in referral_ids if each in self.named}

    async def answer_referral(
        self, case_id: CaseId, referral_id: ReferralId, accepted: bool, call: Call
    ) -> ReferralState:
        self.answered.append((case_id, referral_id, accepted))
        return self.state

    async def extend_stay(
        self, case_id: CaseId, referral_id: ReferralId, last_night: date, call: Call
    ) -> date:
        self.extended.append((case_id, referral_id, last_night))
        if self.refuses is not None:
            raise self.refuses
        return last_night


@dataclass
class Intake:
    """`database` is for looking: as the application's role, and for the region. The application has its own."""

    application: Application
    database: Database
    clock: FixedClock
    matching: ToldMatching
    secrets: Secrets
    settings: DatabaseSettings
    metrics: Metrics

    async def ask(self, method: str, request: Message, who: Principal, key: str | None = None) -> Any:
        """As a door does it: the method's rule first, then its implementation."""
        return await self._allowed(method, who)(request, call(method, who, key))

    def _allowed(self, method: str, who: Principal) -> Callable[[Message, Call], Any]:
        """The method of whichever service has it; no two services of intake share a method's name."""
        [service] = [each for each in self.application.services if method in each.rules]
        service.rules[method].check(who)
        implementation: Callable[[Message, Call], Any] = getattr(service.implementation, method)
        return implementation

    def watch(self, case_id: str, who: Principal) -> AsyncGenerator[Any, None]:
        request = messages.WatchCaseRequest(case_id=case_id)
        stream: AsyncGenerator[Any, None] = self._allowed("WatchCase", who)(
            request, call("WatchCase", who, None)
        )
        return stream

    async def case(self, case_id: str, who: Principal) -> messages.CaseView:
        answer = await self.ask("GetCase", messages.GetCaseRequest(case_id=case_id), who)
        view: messages.CaseView = answer.case
        return view

    async def announced(self, case_id: str) -> list[Message]:
        """What the case has announced, in order."""
        rows = await self.database.pool.fetch(
            "SELECT headers, payload FROM outbox WHERE key = $1 ORDER BY sequence", case_id
        )
        return [_event(json.loads(row["headers"]), row["payload"]) for row in rows]

    async def hear(self, *events_heard: Message) -> None:
        """Apply events of the neighbours, each in a work of its own."""
        for event in events_heard:
            await self.hear_together(event)

    async def hear_together(self, *events_heard: Message) -> None:
        """Apply events in one work, as the consumer applies a batch."""
        async with self.application.works() as work:
            for event in events_heard:
                await self.application.handlers[event.DESCRIPTOR.full_name](received(event), work)

    async def count(self, table: str) -> int:
        return int(await self.database.pool.fetchval(f"SELECT count(*) FROM {table}"))


def call(method: str, who: Principal, key: str | None) -> Call:
    return Call(
        principal=who,
        deadline=wall() + timedelta(seconds=10),
        traceparent=f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01",
        method=f"aid.intake.v1.IntakeService/{method}",
        idempotency_key=str(uuid.uuid4()) if key is None else key,
    )


def received(event: Message) -> Received:
    return Received(
        topic="test", partition=0, offset=0, key="", type=event.DESCRIPTOR.full_name,
        payload=event.SerializeToString(), id=uuid.uuid4(), source="test", subject="", occurred_at=NOON,
        recorded_at=NOON, epoch=1, sequence=1, classification="restricted", correlation=None, causation=None,
        traceparent=None, snapshot=False,
    )  # fmt: skip


def household(**changes: Any) -> messages.Household:
    """A mother and her toddler, met on the sidewalk."""
    fields: dict[str, Any] = {
        "persons": [
            messages.Person(given_name="Mara", family_name="Quill", birth_date="1998-05-02", relationship=1),
            messages.Person(given_name="Ivo", family_name="Quill", birth_date="2025-03-01", relationship=2),
        ],
        "unsheltered": True,
        "area": "riverside",
    }
    return messages.Household(**{**fields, **changes})


def lodging(nights: int = 3, **changes: Any) -> messages.NeedInput:
    return messages.NeedInput(
        kind=common.NEED_KIND_LODGING, nights=nights, urgency=common.URGENCY_TONIGHT, **changes
    )


def goods(item: str = "diapers-size-1", quantity: int = 60, **changes: Any) -> messages.NeedInput:
    return messages.NeedInput(kind=common.NEED_KIND_GOODS, item_id=item, quantity=quantity, **changes)


def open_request(*needs: messages.NeedInput, **changes: Any) -> messages.OpenCaseRequest:
    return messages.OpenCaseRequest(**{"household": household(), "needs": needs, **changes})


def _event(headers: dict[str, str], payload: bytes) -> Message:
    name = headers["ce_type"].rpartition(".")[2]
    message: Message = getattr(events, name).FromString(payload)
    return message


@asynccontextmanager
async def opened_intake(
    stack: RunningStack, folder: Path, look_again_s: float = 0.2
) -> AsyncIterator[Intake]:
    """Intake on a database of its own, with the agencies that the principals above belong to."""
    made = await stack.database("intake")
    settings = DatabaseSettings(
        dsn=made.dsn,
        password_file=made.password_file,
        owner_dsn=made.owner_dsn,
        owner_password_file=made.owner_password_file,
    )
    await migrate(settings, "services.chassis", "services.intake")
    kek = folder / "kek"
    kek.write_text(base64.b64encode(os.urandom(32)).decode())
    async with serving_intake(settings, kek, look_again_s) as intake:
        await _register(intake)
        yield intake


@asynccontextmanager
async def serving_intake(
    settings: DatabaseSettings, kek: Path, look_again_s: float = 0.2
) -> AsyncIterator[Intake]:
    """Intake on a database that is there, with the keys of that file."""
    async with Database.connect(settings) as database, _looking(settings) as looking:
        keyring = Keyring.of(KeyringSettings(file=kek))
        secrets = await secrets_of(database, keyring)
        clock, matching, metrics = FixedClock(NOON), ToldMatching(), Metrics()
        application = assemble(
            database=database, clock=clock, topics=Topics.load(TOPICS), keyring=keyring, secrets=secrets,
            matching=matching, hub=HUB, metrics=metrics, watch_look_again_s=look_again_s,
        )  # fmt: skip
        yield Intake(application, looking, clock, matching, secrets, settings, metrics)


@asynccontextmanager
async def _looking(settings: DatabaseSettings) -> AsyncIterator[Database]:
    async with asyncpg.create_pool(
        settings.dsn, password=settings.password(), min_size=1, max_size=4, connection_class=Session,
        server_settings={"aid.scope": REGION},
    ) as pool:  # fmt: skip
        yield Database(settings, pool)


async def _register(intake: Intake) -> None:
    for name, agency_id in AGENCIES.items():
        request = messages.RegisterAgencyRequest(agency_id=agency_id, name=name, type=_TYPES[name])
        await intake.ask("RegisterAgency", request, OPERATOR)
    for who in (OFFICER, ADVOCATE, MANAGER):
        worker = messages.RegisterWorkerRequest(worker=who.subject, agency_id=who.agency)
        await intake.ask("RegisterWorker", worker, OPERATOR)


def new_id() -> str:
    return str(UUID(int=uuid.uuid4().int))
