"""Boxes and the shipments they travel in, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import asyncpg

from services.chassis.ids import uuid7
from services.chassis.work import Work
from services.logistics.domain.ids import ItemId, Label, Pieces, ShipmentId, WarehouseId
from services.logistics.domain.shipments import Box, BoxState, ShipmentState

_RACES = 5


class PostgresBoxes:
    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, label: Label, shipment_id: ShipmentId, item_id: ItemId, declared: Pieces) -> None:
        self._work.write(
            """
            INSERT INTO box (label, shipment_id, item_id, declared, state)
            VALUES ($1, $2, $3, $4, 'packed')
            """,
            label, shipment_id, item_id, declared,
        )  # fmt: skip

    async def of(self, label: Label) -> tuple[Box, str] | None:
        row = await self._work.connection.fetchrow(
            """
            SELECT label, shipment_id, warehouse_id, item_id, pack_size, declared, box.state, agency
            FROM box JOIN shipment USING (shipment_id)
                JOIN warehouse USING (warehouse_id) JOIN item USING (item_id)
            WHERE label = $1 FOR UPDATE OF box
            """,
            label,
        )
        return None if row is None else (_box(row), row["agency"])

    def move(self, labels: Sequence[Label], state: BoxState) -> None:
        self._work.write(
            "UPDATE box SET state = $2 WHERE label = ANY($1::text[])", list(labels), state, expect=len(labels)
        )


def _box(row: asyncpg.Record) -> Box:
    return Box(
        Label(row["label"]), ShipmentId(row["shipment_id"]), WarehouseId(row["warehouse_id"]),
        ItemId(row["item_id"]), Pieces(row["pack_size"]), Pieces(row["declared"]), BoxState(row["state"]),
    )  # fmt: skip


class PostgresShipments:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def expected(self, warehouse_id: WarehouseId, day: date) -> tuple[ShipmentId, bool]:
        # The lock keeps it from being dispatched before the new box is in it; one that was dispatched while
        # we waited is no longer found, and a new one is made, unless another makes it first.
        for _ in range(_RACES):
            found = await self._work.connection.fetchval(
                """
                SELECT shipment_id FROM shipment
                WHERE warehouse_id = $1 AND day = $2 AND state = 'expected' FOR NO KEY UPDATE
                """,
                warehouse_id, day,
            )  # fmt: skip
            if found is not None:
                return ShipmentId(found), False
            made = await self._work.connection.fetchval(
                """
                INSERT INTO shipment (shipment_id, warehouse_id, day, state) VALUES ($1, $2, $3, 'expected')
                ON CONFLICT (warehouse_id, day) WHERE state = 'expected' DO NOTHING
                RETURNING shipment_id
                """,
                uuid7(), warehouse_id, day,
            )  # fmt: skip
            if made is not None:
                return ShipmentId(made), True
        raise RuntimeError("the day's shipment is dispatched faster than it can be joined")

    async def progress(self, shipment_id: ShipmentId) -> tuple[WarehouseId, ShipmentState, list[BoxState]]:
        row = await self._work.connection.fetchrow(
            "SELECT warehouse_id, state FROM shipment WHERE shipment_id = $1 FOR NO KEY UPDATE", shipment_id
        )
        if row is None:
            raise LookupError("a box has no shipment")
        # A statement of its own: it must see the boxes as they are once the shipment is locked.
        boxes = await self._work.connection.fetch("SELECT state FROM box WHERE shipment_id = $1", shipment_id)
        states = [BoxState(box["state"]) for box in boxes]
        return WarehouseId(row["warehouse_id"]), ShipmentState(row["state"]), states

    async def of_boxes(self, labels: Sequence[Label]) -> list[ShipmentId]:
        rows = await self._work.connection.fetch(
            "SELECT DISTINCT shipment_id FROM box WHERE label = ANY($1::text[]) ORDER BY shipment_id",
            list(labels),
        )
        return [ShipmentId(row["shipment_id"]) for row in rows]

    def move(self, shipment_id: ShipmentId, state: ShipmentState) -> None:
        self._work.write(
            "UPDATE shipment SET state = $2 WHERE shipment_id = $1", shipment_id, state, expect=1
        )
