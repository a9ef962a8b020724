"""The full state of any key of logistics' topics, for consumers that missed something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import asyncpg
from aid.logistics.v1 import events_pb2 as said
from google.protobuf.message import Message

from services.chassis.clock import Clock
from services.chassis.database import Connection
from services.chassis.envelope import Announcement
from services.logistics.adapters.wire import ALLOCATIONS, APPEAL, SHIPMENTS, STOCK, Wire


class Snapshots:
    """One topic's keys and their states. Read under the lock of the key's stream, so no event can pass it."""

    topic: str
    _keys: str
    _state: str

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock

    async def keys(self, connection: Connection) -> AsyncIterator[str]:
        for row in await connection.fetch(self._keys):
            yield row["key"]

    async def snapshot(self, connection: Connection, key: str) -> Announcement | None:
        rows = await connection.fetch(self._state, *self._bound(key))
        if not rows:
            return None
        now: datetime = self._clock.now()
        return self._wire.snapshot(self.topic, key, self._message(key, rows), now)

    def _bound(self, key: str) -> tuple[object, ...]:
        return (UUID(key),)

    def _message(self, key: str, rows: list[asyncpg.Record]) -> Message:
        raise NotImplementedError


class AllocationSnapshots(Snapshots):
    topic = ALLOCATIONS
    # A withdrawal that came first was never announced, so its key has no stream.
    _keys = (
        "SELECT allocation_id::text AS key FROM allocation WHERE item_id IS NOT NULL ORDER BY allocation_id"
    )
    _state = """
        SELECT state, told, coalesce(bag_code, '') AS bag_code, available, coalesce(day::text, '') AS day
        FROM allocation WHERE allocation_id = $1 AND item_id IS NOT NULL
    """

    def _message(self, key: str, rows: list[asyncpg.Record]) -> Message:
        row = rows[0]
        # That a bag is with its carrier is nobody's business: until its handover is told it is reserved.
        under_way = row["state"] == "dispatched" or not row["told"]
        state = "reserved" if under_way else row["state"]
        return said.AllocationState(
            allocation_id=key, state=state, bag_code=row["bag_code"] if state != "withdrawn" else "",
            available=row["available"], day="" if under_way else row["day"],
        )  # fmt: skip


class StockSnapshots(Snapshots):
    topic = STOCK
    _keys = "SELECT warehouse_id || ':' || item_id AS key FROM stock ORDER BY warehouse_id, item_id"
    _state = """
        SELECT area, screened - allocated AS free, pack_size
        FROM stock JOIN warehouse USING (warehouse_id) JOIN item USING (item_id)
        WHERE warehouse_id = $1 AND item_id = $2
    """

    def _bound(self, key: str) -> tuple[object, ...]:
        warehouse_id, _, item_id = key.partition(":")
        return UUID(warehouse_id), item_id

    def _message(self, key: str, rows: list[asyncpg.Record]) -> Message:
        warehouse_id, _, item_id = key.partition(":")
        return said.StockChanged(warehouse_id=warehouse_id, item_id=item_id, **rows[0])


class ShipmentSnapshots(Snapshots):
    topic = SHIPMENTS
    _keys = "SELECT shipment_id::text AS key FROM shipment ORDER BY shipment_id"
    # Boxes that were opened are left out: their labels ended at the receipt.
    _state = """
        SELECT warehouse_id::text, shipment.state, label, item_id, declared
        FROM shipment LEFT JOIN box
            ON box.shipment_id = shipment.shipment_id AND box.state IN ('packed', 'sent', 'unscreened')
        WHERE shipment.shipment_id = $1 ORDER BY label
    """

    def _message(self, key: str, rows: list[asyncpg.Record]) -> Message:
        boxes = [
            said.BoxAdded(
                shipment_id=key, label=row["label"], item_id=row["item_id"], quantity=row["declared"]
            )
            for row in rows
            if row["label"] is not None
        ]
        return said.ShipmentSnapshot(
            shipment_id=key, warehouse_id=rows[0]["warehouse_id"], state=rows[0]["state"], boxes=boxes
        )


class LineSnapshots(Snapshots):
    topic = APPEAL
    _keys = "SELECT line_id::text AS key FROM line ORDER BY line_id"
    # As the last tick left it: what was pledged since is told by the next one.
    _state = (
        "SELECT area, item_id, wanted AS packs, shown AS packs_pledged, state FROM line WHERE line_id = $1"
    )

    def _message(self, key: str, rows: list[asyncpg.Record]) -> Message:
        return said.LineSnapshot(line_id=key, **rows[0])


def snapshots(wire: Wire, clock: Clock) -> dict[str, Snapshots]:
    """By topic."""
    kinds = (AllocationSnapshots, StockSnapshots, ShipmentSnapshots, LineSnapshots)
    return {kind.topic: kind(wire, clock) for kind in kinds}
