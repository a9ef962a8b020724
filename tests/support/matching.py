"""Matching on a real database, with a clock that stands still until it is told to move."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as said
from aid.matching.v1 import matching_pb2 as pb
from google.protobuf.message import Message

from deploy.kafka.topics import FILE as TOPICS
from services.chassis import tracing
from services.chassis.call import UNLIMITED, Call, Principal
from services.chassis.database import Database, DatabaseSettings
from services.chassis.envelope import Received
from services.chassis.ids import random_id, uuid7
from services.chassis.metrics import Metrics
from services.chassis.migrate import migrate
from services.chassis.timers import Timers
from services.chassis.topics import Topics
from services.matching.application.ports import MatchingWork
from services.matching.entrypoints.deadlines import begin_rounds
from services.matching.entrypoints.rpc import MatchingRpc
from services.matching.main import Application, assemble
from services.matching.settings import HubSettings, MatchingTerms
from tests.support.fixed_clock import FixedClock
from tests.support.stack import RunningStack

EVENING = datetime(2026, 3, 2, 20, 0, 30, tzinfo=UTC)
TONIGHT = "2026-03-02"
AREA = "riverside"
HUB_PHONE = HubSettings().phone
REFERRALS = "aid.matching.referrals.v1"

SHELTER = Principal("shelter-desk", "agency-shelter", frozenset({"provider"}))
MOTEL = Principal("motel-desk", "agency-motel", frozenset({"provider"}))
HUB = Principal("hub-desk", "agency-hub", frozenset({"hub"}))
INTAKE = Principal("intake", "", frozenset({"service"}))
LOGISTICS = Principal("logistics", "", frozenset({"service"}))
OPERATOR = Principal("operator", "region", frozenset({"operator"}))

ANYBODY = pb.Rules(max_persons=0, children=True, without_children=True, wheelchair=True, pets=True)


@dataclass
class World:
    """The assembled service, and hands to work it with."""

    app: Application
    database: Database
    clock: FixedClock
    metrics: Metrics

    @property
    def rpc(self) -> MatchingRpc:
        implementation = self.app.service.implementation
        assert isinstance(implementation, MatchingRpc)
        return implementation

    async def ask(self, method: str, request: Message, who: Principal, key: str | None = None) -> Any:
        """One call as a door makes it after its checks, the method's rule among them."""
        self.app.service.rules[method].check(who)
        return await getattr(self.rpc, method)(request, call(method, who, key))

    async def hear(self, *messages: Message) -> None:
        """Events of a neighbour, as one batch in one transaction."""

        async def act(work: MatchingWork) -> None:
            for message in messages:
                event = heard(message)
                await self.app.handlers[event.type](event, work)

        await self.app.works.run(act)

    async def advance(self, by: timedelta) -> None:
        """Move domain time, and keep every promise that falls due on the way."""
        self.clock.advance(by)
        timers = Timers(self.database, self.clock, self.app.works, self.app.deadlines, metrics=self.metrics)
        while await timers.keep():
            pass

    async def offer(
        self,
        capacity: int,
        *,
        who: Principal = SHELTER,
        unit: pb.Unit.ValueType = pb.UNIT_BED,
        area: str = AREA,
        name: str = "East shelter",
        max_nights: int = 0,
        rules: pb.Rules = ANYBODY,
        confidential: bool = False,
        offer_id: str | None = None,
    ) -> str:
        """An offer made known; its id."""
        made = pb.Offer(
            offer_id=offer_id or str(uuid7()),
            kind=common.NEED_KIND_FOOD if unit == pb.UNIT_PORTION else common.NEED_KIND_LODGING,
            name=name, contact="555-0142", area=area, unit=unit, capacity=capacity, max_nights=max_nights,
            rules=rules, confidential=confidential,
        )  # fmt: skip
        await self.ask("PutOffer", pb.PutOfferRequest(offer=made), who)
        return made.offer_id

    async def tonight(
        self, facts: common.Facts, need: common.Need | None = None, case_id: str | None = None
    ) -> pb.FindTonightResponse:
        request = pb.FindTonightRequest(case_id=case_id or str(uuid7()), need=need or lodging(), facts=facts)
        answer: pb.FindTonightResponse = await self.ask("FindTonight", request, INTAKE)
        return answer

    async def described(self, case_id: str, *proposed: said.ReferralProposed) -> list[tuple[str, str]]:
        """Place and contact of proposals, as intake may show them to the case's agency."""
        ids = [each.referral_id for each in proposed]
        request = pb.DescribeReferralsRequest(case_id=case_id, referral_ids=ids)
        answer = await self.ask("DescribeReferrals", request, INTAKE)
        shown = {each.referral_id: (each.place, each.contact) for each in answer.referrals}
        return [shown[referral_id] for referral_id in ids if referral_id in shown]

    async def client(self, case_id: str, referral_id: str, accepted: bool) -> str:
        request = pb.AnswerReferralRequest(case_id=case_id, referral_id=referral_id, accepted=accepted)
        answer = await self.ask("AnswerReferral", request, INTAKE)
        return str(answer.state)

    async def provider(self, referral_id: str, accepted: bool, who: Principal = SHELTER) -> str:
        request = pb.AnswerAsProviderRequest(referral_id=referral_id, accepted=accepted)
        answer = await self.ask("AnswerAsProvider", request, who)
        return str(answer.state)

    async def check_in(self, referral_id: str, who: Principal = SHELTER) -> str:
        answer = await self.ask("CheckIn", pb.CheckInRequest(referral_id=referral_id), who)
        return str(answer.last_night)

    async def check_out(self, referral_id: str, until: str = "", who: Principal = SHELTER) -> None:
        await self.ask("CheckOut", pb.CheckOutRequest(referral_id=referral_id, until_date=until), who)

    async def nights(self, offer_id: str, nights: int = 7, who: Principal = SHELTER) -> list[tuple[int, int]]:
        """Capacity and taken units of an offer, from tonight on."""
        answer = await self.ask("ListOffers", pb.ListOffersRequest(nights=nights), who)
        view = next(view for view in answer.offers if view.offer.offer_id == offer_id)
        return [(night.capacity, night.taken) for night in view.nights]

    async def told(self, case_id: str) -> list[str]:
        """The types of what was announced about a case, in order."""
        return [type(message).__name__ for message in await self.said(REFERRALS, case_id)]

    async def said(self, topic: str, key: str | None = None) -> list[Any]:
        """What was announced on a topic, in order."""
        rows = await self.database.pool.fetch(
            "SELECT headers->>'ce_type' AS type, payload FROM outbox"
            " WHERE topic = $1 AND key = COALESCE($2, key) ORDER BY id",
            topic,
            key,
        )
        return [getattr(said, row["type"].rsplit(".", 1)[1]).FromString(row["payload"]) for row in rows]

    async def consistent(self) -> None:
        """Every night holds exactly what holds and occupancies say, and the standing units are true."""
        assert await self.database.pool.fetch(_WRONG_NIGHTS) == []
        assert await self.database.pool.fetch(_WRONG_STANDING) == []
        assert await self.database.pool.fetch(_WRONG_HOLDS) == []


# What a night says is taken, beside what holds and occupancies of that night add up to.
_WRONG_NIGHTS = """
SELECT n.offer_id, n.night, n.taken, h.units AS held, o.units AS occupied
FROM night AS n
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(units), 0) AS units FROM hold
    WHERE offer_id = n.offer_id AND from_date <= n.night AND until_date > n.night
) AS h
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(units), 0) AS units FROM occupancy
    WHERE offer_id = n.offer_id AND from_date <= n.night AND (until_date IS NULL OR until_date > n.night)
) AS o
WHERE n.taken <> h.units + o.units
"""
_WRONG_STANDING = """
SELECT offer_id, standing FROM offer AS f
WHERE standing <> (SELECT COALESCE(sum(units), 0) FROM occupancy WHERE offer_id = f.offer_id AND until_date IS NULL)
"""
# A referral has a hold exactly while it is live and nobody has moved in; a need is referred exactly then.
_WRONG_HOLDS = """
SELECT r.referral_id FROM referral AS r LEFT JOIN hold AS h USING (referral_id)
WHERE (h.referral_id IS NOT NULL) <> (r.state IN ('proposed', 'accepted') AND NOT r.occupied)
UNION ALL
SELECT n.need_id FROM need AS n
WHERE (n.state = 'referred') <> EXISTS (SELECT FROM referral AS r JOIN hold USING (referral_id) WHERE r.need_id = n.need_id)
"""


def call(method: str, who: Principal, key: str | None = None) -> Call:
    return Call(who, UNLIMITED, tracing.new(), method, str(uuid.uuid4()) if key is None else key)


def heard(message: Message) -> Received:
    type_name = message.DESCRIPTOR.full_name
    internal = type_name.startswith("aid.logistics")
    return Received(
        topic="", partition=0, offset=0, key="key", type=type_name, payload=message.SerializeToString(),
        id=random_id(), source="neighbour", subject="key", occurred_at=EVENING, recorded_at=EVENING, epoch=1,
        sequence=1, classification="internal" if internal else "restricted", correlation=None,
        causation=None, traceparent=None, snapshot=False,
    )  # fmt: skip


def facts(adults: int = 1, children: int = 0, infants: int = 0, **more: Any) -> common.Facts:
    told = {"area": AREA, "revision": 1, **more}
    return common.Facts(adults=adults, children=children, infants=infants, **told)


def lodging(
    nights: int = 1,
    from_date: str = TONIGHT,
    urgency: common.Urgency.ValueType = common.URGENCY_TONIGHT,
    need_id: str | None = None,
) -> common.Need:
    return common.Need(
        need_id=need_id or str(uuid7()), kind=common.NEED_KIND_LODGING, from_date=from_date, nights=nights,
        urgency=urgency,
    )  # fmt: skip


def goods(item_id: str, quantity: int) -> common.Need:
    return common.Need(
        need_id=str(uuid7()), kind=common.NEED_KIND_GOODS, item_id=item_id, quantity=quantity,
        urgency=common.URGENCY_SOON,
    )  # fmt: skip


def reported(
    case_id: str, need: common.Need, of: common.Facts, arrival_code: str = ""
) -> intake.NeedReported:
    return intake.NeedReported(case_id=case_id, need=need, facts=of, arrival_code=arrival_code)


def stock(warehouse_id: str, item_id: str, free: int, pack_size: int = 10, area: str = AREA) -> Message:
    return logistics.StockChanged(
        warehouse_id=warehouse_id, item_id=item_id, area=area, free=free, pack_size=pack_size
    )


def cases(count: int) -> Sequence[str]:
    return [str(uuid7()) for _ in range(count)]


@asynccontextmanager
async def matching(
    stack: RunningStack, terms: MatchingTerms | None = None, hiding_places: Collection[str] = ()
) -> AsyncIterator[World]:
    """A world in the evening; its rounds have begun. `hiding_places`: agencies that are victim service
    providers."""
    made = await stack.database("matching")
    settings = DatabaseSettings(
        dsn=made.dsn, password_file=made.password_file, owner_dsn=made.owner_dsn,
        owner_password_file=made.owner_password_file,
    )  # fmt: skip
    await migrate(settings, "services.chassis", "services.matching")
    clock, metrics = FixedClock(EVENING), Metrics()
    async with Database.connect(settings) as database:
        chosen = (terms or MatchingTerms()).terms(HubSettings(), hiding_places)
        app = assemble(database, clock, Topics.load(Path(TOPICS)), metrics, chosen)
        await app.works.run(begin_rounds)
        yield World(app, database, clock, metrics)


async def owner(database: Database) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of the owner, who may do whatever SQL can."""
    settings = database.settings
    return await asyncpg.connect(settings.owner_dsn, password=settings.owner_password())
