"""A tiny network's whole history and everything it left behind, all of it right: for tests that doctor it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from deploy.kafka.topics import FILE
from services.chassis.topics import Topics
from tests.support.chaos.check_commands import WITHOUT_A_STORED_ANSWER, place_of
from tests.support.chaos.doors import method_of
from tests.support.chaos.evidence import TABLES, Event, Evidence
from tests.support.history import Entry, History

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(days=1), NOW - timedelta(days=1)
CASES, REFERRALS = "aid.intake.cases.v1", "aid.matching.referrals.v1"
ASKED, ANSWERED = "aid.matching.allocations.v1", "aid.logistics.allocations.v1"
STOCK, SHIPMENTS, APPEAL = "aid.logistics.stock.v1", "aid.logistics.shipments.v1", "aid.logistics.appeal.v1"
SHELF = "house:blanket"
SECRET_HASH = sha256(b"secret").digest()


class World:
    """Rows, events and commands are added in the order in which they happen; then it is doctored."""

    def __init__(self) -> None:
        self.history = History()
        self.topics = [topic for topic in Topics.load(FILE) if topic.producer in TABLES]
        self.log: list[Event] = []
        self.rows: dict[str, dict[str, list[dict[str, Any]]]] = {
            service: {table: [] for table in tables} for service, tables in TABLES.items()
        }
        self.ends: dict[tuple[str, int], int] = defaultdict(int)
        self.watched: dict[str, list[tuple[str, bytes]]] = {}

    def evidence(self) -> Evidence:
        return Evidence(self.topics, self.log, self.rows, self.ends, NOW, self.watched)

    def command(
        self, service: str, use_case: str, request: dict[str, Any], answer: dict[str, Any] | None = None,
        *, principal: str = "ana",
    ) -> Entry:  # fmt: skip
        """An acknowledged one; without an answer it stays unanswered and does nothing."""
        key = f"key-{len(self.history)}"
        entry = self.history.begin(
            client=principal,
            service=service,
            use_case=use_case,
            principal=principal,
            key=key,
            request=request,
        )
        entry.attempts = 1
        if answer is not None:
            entry.acknowledge(answer)
            self._remember(entry)
        return entry

    def _remember(self, entry: Entry) -> None:
        if entry.use_case in WITHOUT_A_STORED_ANSWER:
            return
        service, principal, key = place_of(entry)
        message = GetMessageClass(method_of(entry.service, entry.use_case).output_type)()
        stored = json_format.ParseDict(dict(entry.answer), message).SerializeToString()
        self.row(service, "idempotency", principal=principal, key=key, answer=stored)

    def row(self, service: str, table: str, **columns: Any) -> dict[str, Any]:
        self.rows[service][table].append(columns)
        return columns

    def event(self, topic: str, key: str, type_: str, **body: Any) -> Event:
        """Said, sent, and applied by everybody who reads it."""
        declared = next(each for each in self.topics if each.name == topic)
        sequence = 1 + sum(event.key == key and event.topic == topic for event in self.log)
        offset = self.ends[topic, 0]
        event = Event(topic, 0, offset, key, type_, f"id-{len(self.log)}", 1, sequence, body)
        self.log.append(event)
        self.ends[topic, 0] = offset + 1
        self._count(self.rows[declared.producer]["stream"], {"topic": topic, "key": key}, "last", sequence)
        for consumer in set(declared.consumers) & TABLES.keys():
            tables = self.rows[consumer]
            self._count(tables["inbox"], {"consumer": consumer, "topic": topic, "key": key}, "last", sequence)
            place = {"consumer": consumer, "topic": topic, "partition": 0}
            self._count(tables["consumer_position"], place, "next_offset", offset + 1)
        return event

    @staticmethod
    def _count(rows: list[dict[str, Any]], which: dict[str, Any], column: str, value: int) -> None:
        found = next((row for row in rows if which.items() <= row.items()), None)
        if found is None:
            rows.append({**which, "epoch": 1, column: value})
        else:
            found[column] = value


def right() -> World:
    """A household gets a room for a night and blankets, one of them from a donor."""
    world = World()
    _shelf(world)
    _case(world)
    _room(world)
    _blankets(world)
    _gift(world)
    return world


def _shelf(world: World) -> None:
    put = {"warehouse_id": "house"}
    world.command("logistics", "PutWarehouse", put, {})
    world.row("logistics", "item", item_id="blanket")
    world.event(STOCK, SHELF, "StockChanged", warehouse_id="house", item_id="blanket", free=0)


def _case(world: World) -> None:
    lodging = {"kind": "NEED_KIND_LODGING", "item_id": "", "quantity": 0, "nights": 1}
    blankets = {"kind": "NEED_KIND_GOODS", "item_id": "blanket", "quantity": 2, "nights": 0}
    asked = [{**lodging, "need_id": ""}, {**blankets, "need_id": ""}]
    world.command(
        "intake",
        "OpenCase",
        {"case_id": "", "needs": asked},
        {"case_id": "case", "need_ids": ["bed", "goods"]},
    )
    world.row("intake", "case_file", case_id="case", closed_at=None)
    world.row(
        "matching", "household", case_id="case", adults=1, children=0, infants=0, area="", confidential=False
    )
    world.event(CASES, "case", "CaseOpened", case_id="case")
    for need_id, need in (("bed", lodging), ("goods", blankets)):
        world.row("intake", "need", need_id=need_id, case_id="case", met_at=NOW, withdrawn_at=None)
        sought = {
            **need, "kind": "lodging" if need["nights"] else "goods", "from_date": "2026-03-03",
            "excluded": (), "rests_until": None,
        }  # fmt: skip
        world.row("matching", "need", **{**sought, "need_id": need_id, "case_id": "case", "state": "closed"})
        reported = {**need, "need_id": need_id}
        world.event(CASES, "case", "NeedReported", case_id="case", need=reported)


def _room(world: World) -> None:
    named = {"case_id": "case", "referral_id": "referral", "need_id": "bed"}
    world.row(
        "matching", "offer", offer_id="room", capacity=1, kind="lodging", unit="room", area="here",
        confidential=False,
    )  # fmt: skip
    world.row(
        "matching", "referral", **named, offer_id="room", state="accepted", units=1, occupied=True,
        client_said_yes=True, provider_said_yes=True, expires_at=EARLIER,
    )  # fmt: skip
    world.event(REFERRALS, "case", "ReferralProposed", **named)
    answer = {"referral_id": "referral", "accepted": True}
    world.command("matching", "AnswerAsProvider", answer, {"state": "proposed"})
    world.command("intake", "AnswerReferral", {**answer, "case_id": "case"}, {"state": "accepted"})
    world.event(REFERRALS, "case", "ReferralAccepted", **named)
    world.command("matching", "CheckIn", {"referral_id": "referral"}, {"last_night": "2026-03-03"})
    world.event(REFERRALS, "case", "OccupancyStarted", **named)
    world.event(CASES, "case", "NeedMet", case_id="case", need_id="bed")
    world.command("matching", "CheckOut", {"referral_id": "referral", "until_date": ""}, {})
    world.event(REFERRALS, "case", "OccupancyEnded", **named)
    world.row(
        "matching", "occupancy", referral_id="referral", offer_id="room", units=1, ended=True,
        from_date="2026-03-03", until_date="2026-03-04",
    )  # fmt: skip
    world.row("matching", "night", offer_id="room", night="2026-03-03", capacity=1, taken=1, said=False)
    world.row("intake", "referral", referral_id="referral", state="accepted")
    world.row("intake", "stay", referral_id="referral", ended_on="2026-03-04")


def _blankets(world: World) -> None:
    count = {"warehouse_id": "house", "item_id": "blanket", "screened": 10}
    world.command("logistics", "CountStock", count, {})
    changed = {"warehouse_id": "house", "item_id": "blanket"}
    world.event(STOCK, SHELF, "StockChanged", **changed, free=10)
    goods = {"allocation_id": "bag-1", "case_id": "case", "need_id": "goods", "quantity": 2}
    world.row("matching", "allocation", **goods, state="handed over")
    world.event(REFERRALS, "case", "NeedAllocated", **goods)
    world.event(ASKED, "bag-1", "AllocationProposed", allocation_id="bag-1")
    world.row(
        "logistics", "allocation", allocation_id="bag-1", state="handed over", warehouse_id="house",
        item_id="blanket", quantity=2, bag_code="CODE", withdrawn=False,
    )  # fmt: skip
    world.event(ANSWERED, "bag-1", "AllocationReserved", allocation_id="bag-1")
    world.event(STOCK, SHELF, "StockChanged", **changed, free=8)
    world.command("logistics", "DispatchBag", {"bag_code": "CODE", "carrier": "cy"}, {})
    world.command("logistics", "ConfirmHandover", {"bag_code": "CODE"}, {}, principal="cy")
    world.event(ANSWERED, "bag-1", "HandoverConfirmed", allocation_id="bag-1")
    world.row("intake", "allocation", allocation_id="bag-1", need_id="goods", taken_back=False)
    world.event(CASES, "case", "NeedMet", case_id="case", need_id="goods")


def _gift(world: World) -> None:
    line = {"line_id": "line", "area": "here", "item_id": "blanket"}
    world.event(APPEAL, "line", "LinePublished", **line, packs=3)
    ask = {"line_id": "line", "packs": 1}
    made = {"pledge_id": "pledge", "secret": "secret", "packs": 1, "send_by": "2026-03-09T00:00:00Z"}
    pledge = world.command("logistics", "Pledge", ask, made, principal="public")
    key_hash = sha256(f"pledge\0public\0{pledge.key}".encode()).digest()
    world.row(
        "logistics", "pledge", pledge_id="pledge", line_id="line", packs=1, state="received", label="LABEL",
        key_hash=key_hash, secret_hash=SECRET_HASH, send_by=LATER,
    )  # fmt: skip
    world.row("logistics", "line", line_id="line", state="published", wanted=3, pledged=0)
    world.event(APPEAL, "line", "PledgesAdmitted", line_id="line", packs_pledged=1)
    donor = f"pledge {SECRET_HASH.hex()}"
    pack, label = {"secret": "secret", "quantity": 1}, {"label": "LABEL", "address": "road 1"}
    world.command("logistics", "PackBox", pack, label, principal=donor)
    world.row(
        "logistics", "box", label="LABEL", shipment_id="ship", item_id="blanket", declared=1, state="received"
    )
    world.row("logistics", "shipment", shipment_id="ship", warehouse_id="house", state="closed")
    world.command("logistics", "SendBox", {"secret": "secret"}, {}, principal=donor)
    received = {"label": "LABEL", "counted": 1, "damaged": 0, "screening": "SCREENING_CLEAN"}
    world.command("logistics", "ReceiveBox", received, {"outcome": "accepted"})
    world.event(STOCK, SHELF, "StockChanged", warehouse_id="house", item_id="blanket", free=9)
    world.row(
        "logistics", "stock", warehouse_id="house", item_id="blanket", screened=9, allocated=0, unscreened=0
    )
    world.event(SHIPMENTS, "ship", "ShipmentExpected", shipment_id="ship")
    world.event(SHIPMENTS, "ship", "BoxAdded", shipment_id="ship", label="LABEL", quantity=1)
    for step in ("ShipmentDispatched", "ShipmentReceived", "ShipmentClosed"):
        world.event(SHIPMENTS, "ship", step, shipment_id="ship")
    _journal(world)


def _journal(world: World) -> None:
    entries = [event for event in world.log if event.topic == SHIPMENTS]
    for position, event in enumerate(entries, start=1):
        told = {"type": f"aid.logistics.v1.{event.type}", "payload": event.id.encode()}
        world.row("logistics", "journal", warehouse_id="house", position=position, **told)
    world.row("logistics", "warehouse", warehouse_id="house", journal_last=len(entries))
    kept = world.rows["logistics"]["journal"]
    world.watched["house"] = [(row["type"], row["payload"]) for row in kept]
