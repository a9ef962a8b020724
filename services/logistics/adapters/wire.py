"""Between the domain's events and the contract's messages, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from aid.logistics.v1 import events_pb2 as said
from google.protobuf.message import Message

from services.chassis.envelope import Announcement
from services.chassis.topics import Topics, announce
from services.logistics.domain import events
from services.logistics.domain.events import Event, StockChanged
from services.logistics.domain.ids import ItemId, WarehouseId

ALLOCATIONS = "aid.logistics.allocations.v1"
STOCK = "aid.logistics.stock.v1"
SHIPMENTS = "aid.logistics.shipments.v1"
APPEAL = "aid.logistics.appeal.v1"


def stock_key(warehouse_id: WarehouseId, item_id: ItemId) -> str:
    """The key of the stock topic."""
    return f"{warehouse_id}:{item_id}"


def _by(field: str) -> Callable[[Any], str]:
    return lambda event: str(getattr(event, field))


def _by_stock(event: StockChanged) -> str:
    return stock_key(event.warehouse_id, event.item_id)


@dataclass(frozen=True, slots=True)
class Contract:
    """Where an event is told, as what, and what orders it."""

    message: Callable[..., Message]
    topic: str
    key: Callable[[Any], str]


# Fields of event and message have the same names; this is the whole translation.
CONTRACTS: dict[type[Event], Contract] = {
    events.AllocationReserved: Contract(said.AllocationReserved, ALLOCATIONS, _by("allocation_id")),
    events.AllocationRefused: Contract(said.AllocationRefused, ALLOCATIONS, _by("allocation_id")),
    events.HandoverConfirmed: Contract(said.HandoverConfirmed, ALLOCATIONS, _by("allocation_id")),
    events.StockChanged: Contract(said.StockChanged, STOCK, _by_stock),
    events.ShipmentExpected: Contract(said.ShipmentExpected, SHIPMENTS, _by("shipment_id")),
    events.BoxAdded: Contract(said.BoxAdded, SHIPMENTS, _by("shipment_id")),
    events.ShipmentDispatched: Contract(said.ShipmentDispatched, SHIPMENTS, _by("shipment_id")),
    events.ShipmentReceived: Contract(said.ShipmentReceived, SHIPMENTS, _by("shipment_id")),
    events.DiscrepancyFound: Contract(said.DiscrepancyFound, SHIPMENTS, _by("shipment_id")),
    events.ShipmentClosed: Contract(said.ShipmentClosed, SHIPMENTS, _by("shipment_id")),
    events.LinePublished: Contract(said.LinePublished, APPEAL, _by("line_id")),
    events.PledgesAdmitted: Contract(said.PledgesAdmitted, APPEAL, _by("line_id")),
    events.PledgesExpired: Contract(said.PledgesExpired, APPEAL, _by("line_id")),
    events.LineFulfilled: Contract(said.LineFulfilled, APPEAL, _by("line_id")),
    events.LineClosed: Contract(said.LineClosed, APPEAL, _by("line_id")),
}


def message(event: Event) -> Message:
    """The event in the contract's words."""
    named = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    return CONTRACTS[type(event)].message(**named)


def _plain(value: object) -> object:
    match value:
        case UUID():
            return str(value)
        case date():
            return value.isoformat()
        case _:
            return value


class Wire:
    """Says events on the topics that topics.yaml gives them."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def announcement(self, event: Event, now: datetime) -> Announcement:
        contract = CONTRACTS[type(event)]
        return self._said(contract.topic, contract.key(event), message(event), now, snapshot=False)

    def snapshot(self, topic: str, key: str, state: Message, now: datetime) -> Announcement:
        """Full state of a key, for those who missed something."""
        return self._said(topic, key, state, now, snapshot=True)

    def _said(self, topic: str, key: str, body: Message, now: datetime, *, snapshot: bool) -> Announcement:
        # Nothing here has a cause that may be named: every topic of logistics is joined to no case.
        return announce(
            self._topics.of(topic), key, body.DESCRIPTOR.full_name,
            body.SerializeToString(deterministic=True),
            subject=key, occurred_at=now, recorded_at=now, cause=None, snapshot=snapshot,
        )  # fmt: skip
