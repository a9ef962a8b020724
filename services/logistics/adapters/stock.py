"""Counted goods as rows; the constraints of the table are the last word on what may be allocated."""

from __future__ import annotations

import asyncpg

from services.chassis.work import Work
from services.logistics.domain.events import StockChanged
from services.logistics.domain.ids import Area, ItemId, Pieces, WarehouseId
from services.logistics.domain.refusal import refused

# What matching is told of a row of `stock AS s` that has its warehouse `w` and its item `i` at hand.
_TOLD = "s.warehouse_id, s.item_id, w.area, s.screened - s.allocated AS free, i.pack_size"

_MOVE = f"""
UPDATE stock AS s SET screened = s.screened + $3, unscreened = s.unscreened + $4
FROM warehouse AS w, item AS i
WHERE s.warehouse_id = $1 AND s.item_id = $2 AND w.warehouse_id = s.warehouse_id AND i.item_id = s.item_id
RETURNING {_TOLD}
"""
_COUNT = f"""
UPDATE stock AS s SET screened = $3
FROM warehouse AS w, item AS i
WHERE s.warehouse_id = $1 AND s.item_id = $2 AND w.warehouse_id = s.warehouse_id AND i.item_id = s.item_id
RETURNING {_TOLD}
"""
_RELEASE = f"""
UPDATE stock AS s SET allocated = s.allocated - $3
FROM warehouse AS w, item AS i
WHERE s.warehouse_id = $1 AND s.item_id = $2 AND w.warehouse_id = s.warehouse_id AND i.item_id = s.item_id
RETURNING {_TOLD}
"""
# One warehouse gives all of it: of the area first, and there the one it empties best. The outer condition is
# checked again when the row was locked by another, so a lost race changes nothing.
_RESERVE = f"""
UPDATE stock AS s SET allocated = s.allocated + $2
FROM warehouse AS w, item AS i
WHERE s.item_id = $1 AND s.screened - s.allocated >= $2
  AND w.warehouse_id = s.warehouse_id AND i.item_id = s.item_id
  AND s.warehouse_id = (
    SELECT c.warehouse_id FROM stock AS c JOIN warehouse USING (warehouse_id)
    WHERE c.item_id = $1 AND c.screened - c.allocated >= $2
    ORDER BY area = $3 DESC, c.screened - c.allocated, c.warehouse_id LIMIT 1
  )
RETURNING {_TOLD}
"""
_RACES = 3


class PostgresStock:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def shelve(self) -> None:
        # In one order, so that two who shelve at the same time wait for each other instead of deadlocking.
        await self._work.connection.execute(
            """
            INSERT INTO stock (warehouse_id, item_id)
            SELECT warehouse_id, item_id FROM warehouse CROSS JOIN item ORDER BY warehouse_id, item_id
            ON CONFLICT (warehouse_id, item_id) DO NOTHING
            """
        )

    async def levels(self, *, warehouse_id: WarehouseId | None, item_id: ItemId | None) -> list[StockChanged]:
        rows = await self._work.connection.fetch(
            f"""
            SELECT {_TOLD}
            FROM stock AS s JOIN warehouse AS w USING (warehouse_id) JOIN item AS i USING (item_id)
            WHERE ($1::uuid IS NULL OR s.warehouse_id = $1) AND ($2::text IS NULL OR s.item_id = $2)
            ORDER BY s.warehouse_id, s.item_id FOR UPDATE OF s
            """,
            warehouse_id, item_id,
        )  # fmt: skip
        return [told(row) for row in rows]

    async def move(
        self, warehouse_id: WarehouseId, item_id: ItemId, *, screened: int = 0, unscreened: int = 0
    ) -> StockChanged:
        changed = await self._changed(_MOVE, warehouse_id, item_id, screened, unscreened)
        if changed is None:
            raise LookupError("an item of the catalogue has no shelf")
        return changed

    async def count(
        self, warehouse_id: WarehouseId, item_id: ItemId, screened: Pieces
    ) -> StockChanged | None:
        return await self._changed(_COUNT, warehouse_id, item_id, screened)

    async def reserve(self, item_id: ItemId, quantity: Pieces, area: Area) -> StockChanged | None:
        for _ in range(_RACES):
            changed = await self._changed(_RESERVE, item_id, quantity, area)
            if changed is not None:
                return changed
            if await self.available(item_id) < quantity:
                return None
        return None

    async def available(self, item_id: ItemId) -> Pieces:
        most = await self._work.connection.fetchval(
            "SELECT max(screened - allocated) FROM stock WHERE item_id = $1", item_id
        )
        return Pieces(most or 0)

    async def release(self, warehouse_id: WarehouseId, item_id: ItemId, quantity: Pieces) -> StockChanged:
        changed = await self._changed(_RELEASE, warehouse_id, item_id, quantity)
        if changed is None:
            raise LookupError("a reserved bag has no shelf")
        return changed

    def hand_out(self, warehouse_id: WarehouseId, item_id: ItemId, quantity: Pieces) -> None:
        self._work.write(
            """
            UPDATE stock SET screened = screened - $3, allocated = allocated - $3
            WHERE warehouse_id = $1 AND item_id = $2
            """,
            warehouse_id, item_id, quantity,
            expect=1,
        )  # fmt: skip

    async def _changed(self, sql: str, *arguments: object) -> StockChanged | None:
        try:
            row = await self._work.connection.fetchrow(sql, *arguments)
        except asyncpg.CheckViolationError as error:
            raise refused("stock-allocated", "Fewer pieces would be screened than are set aside.") from error
        return None if row is None else told(row)


def told(row: asyncpg.Record) -> StockChanged:
    return StockChanged(
        WarehouseId(row["warehouse_id"]), ItemId(row["item_id"]), Area(row["area"]),
        Pieces(row["free"]), Pieces(row["pack_size"]),
    )  # fmt: skip
