"""Boxes that travel together: how far they have come follows from where each box is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from services.logistics.domain.events import (
    ShipmentClosed,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentReceived,
)
from services.logistics.domain.ids import ItemId, Label, Pieces, ShipmentId, WarehouseId


class BoxState(StrEnum):
    PACKED = "packed"
    SENT = "sent"
    # On the crew's table, counted by declaration, not opened.
    UNSCREENED = "unscreened"
    RECEIVED = "received"
    SET_APART = "set apart"
    # Not sent in time, or sent and never seen again.
    GIVEN_UP = "given up"


class ShipmentState(StrEnum):
    EXPECTED = "expected"
    DISPATCHED = "dispatched"
    RECEIVED = "received"
    CLOSED = "closed"


DONE = frozenset({BoxState.RECEIVED, BoxState.SET_APART, BoxState.GIVEN_UP})


@dataclass(frozen=True, slots=True)
class Box:
    """A parcel. It knows its shipment and never its donor."""

    label: Label
    shipment_id: ShipmentId
    warehouse_id: WarehouseId
    item_id: ItemId
    pack_size: Pieces
    declared: Pieces
    state: BoxState


def progress(
    shipment_id: ShipmentId, state: ShipmentState, boxes: Collection[BoxState]
) -> tuple[ShipmentState, list[ShipmentEvent]]:
    """How far the shipment is when its boxes are where they are, and what that announces.

    It is dispatched when no box waits at its sender's any more; a shipment of which nothing ever left is
    closed without having been dispatched or received.
    """
    if state is ShipmentState.CLOSED or BoxState.PACKED in boxes:
        return state, []
    done = DONE.issuperset(boxes)
    if done and state is ShipmentState.EXPECTED and set(boxes) <= {BoxState.GIVEN_UP}:
        return ShipmentState.CLOSED, [ShipmentClosed(shipment_id)]
    events: list[ShipmentEvent] = []
    if state is ShipmentState.EXPECTED:
        events.append(ShipmentDispatched(shipment_id))
    if not done:
        return ShipmentState.DISPATCHED, events
    return ShipmentState.CLOSED, [*events, ShipmentReceived(shipment_id), ShipmentClosed(shipment_id)]
