"""What logistics says has happened: past tense, no household, no pledge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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


@dataclass(frozen=True, slots=True)
class AllocationReserved:
    """Goods are set aside in a bag."""

    allocation_id: AllocationId
    bag_code: BagCode


@dataclass(frozen=True, slots=True)
class AllocationRefused:
    """Screened stock does not cover it; `available` is what one warehouse could give at that moment."""

    allocation_id: AllocationId
    available: Pieces


@dataclass(frozen=True, slots=True)
class HandoverConfirmed:
    """The bag met its household; by day, never by the hour."""

    allocation_id: AllocationId
    day: date


@dataclass(frozen=True, slots=True)
class StockChanged:
    """Full state of one item in one warehouse, as far as matching may count on it."""

    warehouse_id: WarehouseId
    item_id: ItemId
    area: Area
    free: Pieces
    pack_size: Pieces


@dataclass(frozen=True, slots=True)
class ShipmentExpected:
    """Boxes will come to this warehouse."""

    shipment_id: ShipmentId
    warehouse_id: WarehouseId


@dataclass(frozen=True, slots=True)
class BoxAdded:
    """A box was packed for the shipment; `quantity` is what its sender declared."""

    shipment_id: ShipmentId
    label: Label
    item_id: ItemId
    quantity: Pieces


@dataclass(frozen=True, slots=True)
class ShipmentDispatched:
    """No box of it waits at its sender's any more."""

    shipment_id: ShipmentId


@dataclass(frozen=True, slots=True)
class ShipmentReceived:
    """Every box was opened, screened and counted, or given up."""

    shipment_id: ShipmentId


@dataclass(frozen=True, slots=True)
class DiscrepancyFound:
    """A box held something else than it declared. The last event that names a label."""

    shipment_id: ShipmentId
    label: Label
    declared: Pieces
    counted: Pieces


@dataclass(frozen=True, slots=True)
class ShipmentClosed:
    """Nothing more will happen to it."""

    shipment_id: ShipmentId


@dataclass(frozen=True, slots=True)
class LinePublished:
    """The line stands on the public list, new or with another number of packs."""

    line_id: LineId
    area: Area
    item_id: ItemId
    packs: Packs


@dataclass(frozen=True, slots=True)
class PledgesAdmitted:
    """Packs were pledged since the last tick; `packs_pledged` are all that now count against the line."""

    line_id: LineId
    packs_pledged: Packs


@dataclass(frozen=True, slots=True)
class PledgesExpired:
    """Packs came back onto the list since the last tick: they were not sent, or did not arrive whole."""

    line_id: LineId
    packs_pledged: Packs


@dataclass(frozen=True, slots=True)
class LineFulfilled:
    """Everything wanted has arrived."""

    line_id: LineId


@dataclass(frozen=True, slots=True)
class LineClosed:
    """The line left the list; it may be published again."""

    line_id: LineId


ShipmentEvent = (
    ShipmentExpected | BoxAdded | ShipmentDispatched | ShipmentReceived | DiscrepancyFound | ShipmentClosed
)
LineEvent = LinePublished | PledgesAdmitted | PledgesExpired | LineFulfilled | LineClosed
AllocationEvent = AllocationReserved | AllocationRefused | HandoverConfirmed
Event = ShipmentEvent | LineEvent | AllocationEvent | StockChanged
