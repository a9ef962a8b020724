"""Bytes that logistics once said must be read for ever; they are made anew only on purpose.

`python -m tests.contract.test_golden_logistics` writes the files of types that have none yet.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from aid.logistics.v1 import events_pb2 as said
from google.protobuf.message import Message

from deploy.kafka.topics import read
from services.logistics.adapters.wire import CONTRACTS, message
from services.logistics.domain import events
from services.logistics.domain.events import Event
from services.logistics.domain.ids import (
    AllocationId,
    Area,
    BagCode,
    ItemId,
    Label,
    LineId,
    Packs,
    Pieces,
    ShipmentId,
    WarehouseId,
)

FIXTURES = Path(__file__).parent / "fixtures" / "v1"
ALLOCATION = AllocationId(UUID("9d0f7a52-3b1e-4c86-8f2d-6a1b0c9e4d01"))
SHIPMENT = ShipmentId(UUID("0190b5a4-7c10-7d21-9e55-2f6a8b3c4d02"))
WAREHOUSE = WarehouseId(UUID("5e8c1f94-0a6b-4d37-b2f1-7c9d3e5a6b03"))
LINE = LineId(UUID("c4a7e2d8-61f3-4b95-a0c8-1d2e3f4a5b04"))
ITEM, AREA, LABEL = ItemId("diapers-size-1"), Area("riverside"), Label("ACDEFGHJ")

EVENTS: list[Event] = [
    events.AllocationReserved(ALLOCATION, BagCode("KMNPQRTV")),
    events.AllocationRefused(ALLOCATION, Pieces(17)),
    events.HandoverConfirmed(ALLOCATION, date(2026, 3, 9)),
    events.StockChanged(WAREHOUSE, ITEM, AREA, Pieces(120), Pieces(40)),
    events.ShipmentExpected(SHIPMENT, WAREHOUSE),
    events.BoxAdded(SHIPMENT, LABEL, ITEM, Pieces(80)),
    events.ShipmentDispatched(SHIPMENT),
    events.ShipmentReceived(SHIPMENT),
    events.DiscrepancyFound(SHIPMENT, LABEL, Pieces(80), Pieces(73)),
    events.ShipmentClosed(SHIPMENT),
    events.LinePublished(LINE, AREA, ITEM, Packs(12)),
    events.PledgesAdmitted(LINE, Packs(9)),
    events.PledgesExpired(LINE, Packs(7)),
    events.LineFulfilled(LINE),
    events.LineClosed(LINE),
]
BOX = said.BoxAdded(shipment_id=str(SHIPMENT), label=LABEL, item_id=ITEM, quantity=80)
SNAPSHOTS: list[Message] = [
    said.AllocationState(
        allocation_id=str(ALLOCATION), state="handed over", bag_code="KMNPQRTV", day="2026-03-09"
    ),
    said.ShipmentSnapshot(
        shipment_id=str(SHIPMENT), warehouse_id=str(WAREHOUSE), state="dispatched", boxes=[BOX]
    ),
    said.LineSnapshot(
        line_id=str(LINE), area=AREA, item_id=ITEM, packs=12, packs_pledged=9, state="published"
    ),
]
MESSAGES = {each.DESCRIPTOR.full_name: each for each in [*map(message, EVENTS), *SNAPSHOTS]}


def encoded(each: Message) -> bytes:
    return each.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_committed_bytes_are_read_and_written_the_same(name: str) -> None:
    committed = (FIXTURES / f"{name}.bin").read_bytes()
    assert type(MESSAGES[name]).FromString(committed) == MESSAGES[name]
    assert encoded(MESSAGES[name]) == committed


def test_every_event_that_logistics_may_say_is_here_and_on_its_topic() -> None:
    topics = [topic for topic in read() if topic.producer == "logistics"]
    assert {name for topic in topics for name in topic.events} == MESSAGES.keys()
    assert set(CONTRACTS) == {type(event) for event in EVENTS}
    declared = {name: topic.name for topic in topics for name in topic.events}
    for event in EVENTS:
        contract = CONTRACTS[type(event)]
        assert declared[message(event).DESCRIPTOR.full_name] == contract.topic


if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for full_name, each in MESSAGES.items():
        if not (file := FIXTURES / f"{full_name}.bin").exists():
            file.write_bytes(encoded(each))
