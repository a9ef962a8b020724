"""What is committed, for those who only look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.chassis.database import Database
from services.logistics.adapters import allocations, lines
from services.logistics.application.ports import Journal, PledgeView, Shelf
from services.logistics.domain.allocations import AllocationState, Bag
from services.logistics.domain.appeal import Line
from services.logistics.domain.catalogue import Item
from services.logistics.domain.ids import Area, BagCode, ItemId, Label, Packs, Pieces, WarehouseId
from services.logistics.domain.journal import Entry
from services.logistics.domain.pledges import PledgeState


class PostgresReads:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def items(self) -> list[Item]:
        rows = await self._fetch("SELECT item_id, name, pack_size FROM item ORDER BY item_id")
        return [_item(row) for row in rows]

    async def appeal(self, area: Area) -> tuple[list[tuple[Line, Item]], datetime | None]:
        # One statement, so that a tick that lands meanwhile is seen whole or not at all.
        rows = await self._fetch(
            f"""
            SELECT ticked_at, {lines.COLUMNS}, name, pack_size
            FROM appeal LEFT JOIN (line JOIN item USING (item_id))
                ON state <> 'closed' AND ($1 = '' OR area = $1)
            ORDER BY area, item_id
            """,
            area,
        )
        listed = [(lines.line(row), _item(row)) for row in rows if row["line_id"] is not None]
        return listed, rows[0]["ticked_at"] if rows else None

    async def pledge(self, secret_hash: bytes) -> PledgeView | None:
        rows = await self._fetch(
            """
            SELECT state, packs, address, label, send_by FROM pledge JOIN warehouse USING (warehouse_id)
            WHERE secret_hash = $1
            """,
            secret_hash,
        )
        views = [
            PledgeView(
                PledgeState(row["state"]), Packs(row["packs"]), row["address"],
                None if row["label"] is None else Label(row["label"]), row["send_by"],
            )
            for row in rows
        ]  # fmt: skip
        return views[0] if views else None

    async def shelves(self, warehouse_id: WarehouseId) -> list[Shelf]:
        rows = await self._fetch(
            """
            SELECT item_id, unscreened, screened, allocated FROM stock
            WHERE warehouse_id = $1 ORDER BY item_id
            """,
            warehouse_id,
        )
        return [
            Shelf(
                ItemId(row["item_id"]),
                Pieces(row["unscreened"]),
                Pieces(row["screened"]),
                Pieces(row["allocated"]),
            )
            for row in rows
        ]

    async def bag(self, bag_code: BagCode) -> Bag | None:
        rows = await self._fetch(
            f"SELECT {allocations.COLUMNS} FROM allocation WHERE bag_code = $1", bag_code
        )
        return allocations.bag(rows[0]) if rows else None

    async def bags(
        self, warehouse_id: WarehouseId | None, carrier: str | None, states: Sequence[AllocationState]
    ) -> list[Bag]:
        rows = await self._fetch(
            f"""
            SELECT {allocations.COLUMNS} FROM allocation
            WHERE bag_code IS NOT NULL AND state = ANY($3::text[])
              AND ($1::uuid IS NULL OR warehouse_id = $1) AND ($2::text IS NULL OR carrier = $2)
            ORDER BY week, area, bag_code
            """,
            warehouse_id, carrier, list(states),
        )  # fmt: skip
        return [allocations.bag(row) for row in rows]

    async def journal(self, warehouse_id: WarehouseId) -> Journal | None:
        rows = await self._fetch(
            "SELECT agency, journal_last FROM warehouse WHERE warehouse_id = $1", warehouse_id
        )
        return Journal(rows[0]["agency"], rows[0]["journal_last"]) if rows else None

    async def entries(self, warehouse_id: WarehouseId, after: int, most: int) -> list[Entry]:
        rows = await self._fetch(
            """
            SELECT position, type, payload, occurred_at FROM journal
            WHERE warehouse_id = $1 AND position > $2 ORDER BY position LIMIT $3
            """,
            warehouse_id, after, most,
        )  # fmt: skip
        return [Entry(row["position"], row["type"], row["payload"], row["occurred_at"]) for row in rows]

    async def _fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._database.lend() as connection:
            return await connection.fetch(sql, *arguments)


def _item(row: asyncpg.Record) -> Item:
    return Item(ItemId(row["item_id"]), row["name"], Pieces(row["pack_size"]))
