"""What the use cases of logistics need from outside, as nouns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar

from services.chassis import work as chassis
from services.logistics.domain.allocations import AllocationState, Bag, Proposal
from services.logistics.domain.appeal import Line
from services.logistics.domain.catalogue import Item, Warehouse
from services.logistics.domain.events import Event, HandoverConfirmed, ShipmentEvent, StockChanged
from services.logistics.domain.ids import (
    AllocationId,
    Area,
    BagCode,
    ItemId,
    Label,
    LineId,
    Packs,
    Pieces,
    PledgeId,
    ShipmentId,
    WarehouseId,
)
from services.logistics.domain.journal import Entry
from services.logistics.domain.pledges import Pledge, PledgeState
from services.logistics.domain.shipments import Box, BoxState, ShipmentState

T = TypeVar("T")


class Items(Protocol):
    async def of(self, item_id: ItemId) -> Item | None: ...
    def put(self, item: Item) -> None: ...


class Warehouses(Protocol):
    async def of(self, warehouse_id: WarehouseId) -> Warehouse | None: ...
    async def locked(self, warehouse_id: WarehouseId) -> Warehouse | None: ...
    def put(self, warehouse: Warehouse) -> None: ...


class Stock(Protocol):
    """Counted goods. What would allocate more than is screened is refused by the database: a Refusal."""

    async def shelve(self) -> None:
        """Make room for every item in every warehouse where there is none yet."""

    async def levels(self, *, warehouse_id: WarehouseId | None, item_id: ItemId | None) -> list[StockChanged]:
        """How it stands, for one warehouse, one item, or both."""

    async def move(
        self, warehouse_id: WarehouseId, item_id: ItemId, *, screened: int = 0, unscreened: int = 0
    ) -> StockChanged: ...

    async def count(
        self, warehouse_id: WarehouseId, item_id: ItemId, screened: Pieces
    ) -> StockChanged | None: ...

    async def reserve(self, item_id: ItemId, quantity: Pieces, area: Area) -> StockChanged | None:
        """Set aside from one warehouse, of the area if it can; None when none has enough."""

    async def available(self, item_id: ItemId) -> Pieces:
        """The most that one warehouse could give."""

    async def release(self, warehouse_id: WarehouseId, item_id: ItemId, quantity: Pieces) -> StockChanged: ...

    def hand_out(self, warehouse_id: WarehouseId, item_id: ItemId, quantity: Pieces) -> None:
        """What was set aside has left for good; what is free stays the same."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A line as a donor meets it: locked, with the warehouse that serves it, if there is any."""

    line: Line
    warehouse_id: WarehouseId | None


class Lines(Protocol):
    async def publication(self, line_id: LineId) -> Publication | None: ...
    async def all_locked(self) -> list[Line]: ...
    async def shortfalls(self) -> dict[tuple[Area, ItemId], Packs]:
        """What matching says is short, of items that the catalogue knows."""

    def note_shortfall(self, area: Area, item_id: ItemId, packs: Packs) -> None: ...
    def pledge(self, line_id: LineId, packs: Packs) -> None:
        """Refused at commit by a constraint when it would exceed what is wanted."""

    def settle(self, line_id: LineId, *, promised: Packs, arrived: Packs) -> None:
        """A promise of so many packs ended with so many on the table; what is missing is wanted again."""

    def save(self, lines: Sequence[Line]) -> None:
        """New lines and ticked ones."""

    async def ticked_at(self) -> datetime | None: ...
    def tick(self, at: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Made:
    """A pledge that its key made before, and what was asked with it."""

    pledge_id: PledgeId
    line_id: LineId
    asked: Packs
    packs: Packs
    send_by: datetime


@dataclass(frozen=True, slots=True)
class NewPledge:
    pledge_id: PledgeId
    line_id: LineId
    packs: Packs
    asked: Packs
    send_by: datetime
    warehouse_id: WarehouseId
    key_hash: bytes
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class Expired:
    """Pledges that ended together: how many, their packs in all, the labels of those that were packed."""

    pledges: int
    packs: Packs
    labels: Sequence[Label]


class Pledges(Protocol):
    async def made_with(self, key_hashes: Collection[bytes]) -> Mapping[bytes, Made]: ...
    def add(self, pledges: Sequence[NewPledge]) -> None: ...
    async def opened_by(self, secret_hash: bytes) -> tuple[Pledge, str] | None:
        """The pledge, locked, and the address of its warehouse."""

    async def labelled(self, label: Label) -> Pledge | None:
        """The pledge of a parcel, locked."""

    def move(self, pledge_id: PledgeId, state: PledgeState, label: Label | None) -> None: ...
    async def expire(self, line_id: LineId, due: datetime) -> Expired:
        """End the unsent ones that are due."""


class Boxes(Protocol):
    def add(self, label: Label, shipment_id: ShipmentId, item_id: ItemId, declared: Pieces) -> None: ...
    async def of(self, label: Label) -> tuple[Box, str] | None:
        """The box, locked, and the agency of its warehouse."""

    def move(self, labels: Sequence[Label], state: BoxState) -> None: ...


class Shipments(Protocol):
    async def expected(self, warehouse_id: WarehouseId, day: date) -> tuple[ShipmentId, bool]:
        """The day's shipment that still takes boxes, locked, and whether it is new."""

    async def progress(self, shipment_id: ShipmentId) -> tuple[WarehouseId, ShipmentState, list[BoxState]]:
        """The shipment, locked, and where its boxes are."""

    async def of_boxes(self, labels: Sequence[Label]) -> list[ShipmentId]: ...
    def move(self, shipment_id: ShipmentId, state: ShipmentState) -> None: ...


class Allocations(Protocol):
    async def known(self, allocation_id: AllocationId) -> bool: ...
    def reserve(self, proposal: Proposal, warehouse_id: WarehouseId, bag_code: BagCode) -> None: ...
    def refuse(self, proposal: Proposal, available: Pieces) -> None: ...
    async def withdrawn(self, allocation_id: AllocationId) -> Bag | None:
        """Remember that it is not wanted, also when it was never seen; its bag, locked, if it has goods."""

    async def untold(self) -> list[HandoverConfirmed]:
        """Handovers that nobody was told of; from now on they count as told."""

    async def bag(self, bag_code: BagCode) -> tuple[Bag, str] | None:
        """The bag, locked, and the agency of its warehouse."""

    def move(
        self,
        bag: Bag,
        state: AllocationState,
        *,
        carrier: str = "",
        day: date | None = None,
        told: bool = True,
    ) -> None: ...


class Work(chassis.Work):
    """One transaction: what it changes, what it tells, what it promises."""

    items: Items
    warehouses: Warehouses
    stock: Stock
    lines: Lines
    pledges: Pledges
    boxes: Boxes
    shipments: Shipments
    allocations: Allocations

    def tell(self, *events: Event) -> None:
        """Say what has become true."""
        raise NotImplementedError

    async def tell_warehouse(self, warehouse_id: WarehouseId, events: Sequence[ShipmentEvent]) -> None:
        """Say it to everybody, and write it into the warehouse's own journal."""
        raise NotImplementedError


class Works(Protocol):
    async def run(self, act: Callable[[Work], Awaitable[T]]) -> T:
        """Act in a transaction of its own; again when another was in the way."""


@dataclass(frozen=True, slots=True)
class Journal:
    """Where a warehouse's journal ends, and whose it is."""

    agency: str
    last: int


@dataclass(frozen=True, slots=True)
class PledgeView:
    state: PledgeState
    packs: Packs
    address: str
    label: Label | None
    send_by: datetime


@dataclass(frozen=True, slots=True)
class Shelf:
    item_id: ItemId
    unscreened: Pieces
    screened: Pieces
    allocated: Pieces


class Reads(Protocol):
    """What is committed, read without a transaction."""

    async def items(self) -> list[Item]: ...
    async def appeal(self, area: Area) -> tuple[list[tuple[Line, Item]], datetime | None]:
        """The lines that the last tick left on the list, and that tick."""

    async def pledge(self, secret_hash: bytes) -> PledgeView | None: ...
    async def shelves(self, warehouse_id: WarehouseId) -> list[Shelf]: ...
    async def bag(self, bag_code: BagCode) -> Bag | None: ...
    async def bags(
        self, warehouse_id: WarehouseId | None, carrier: str | None, states: Sequence[AllocationState]
    ) -> list[Bag]: ...
    async def journal(self, warehouse_id: WarehouseId) -> Journal | None: ...
    async def entries(self, warehouse_id: WarehouseId, after: int, most: int) -> list[Entry]: ...


class Handoffs(Protocol):
    """Intake, asked where an allocation meets its household."""

    async def of(self, allocation_id: AllocationId, patience_s: float) -> tuple[str, str]:
        """Point and slot. Raises AidError when intake does not say."""
