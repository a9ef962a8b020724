"""Allocations, the stock they come from, and what the region is short of, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from asyncpg import Record

from services.chassis.work import Work
from services.matching.application.views import Allocation
from services.matching.domain.goods import Asked, Shelf
from services.matching.domain.ids import AllocationId, CaseId, NeedId, WarehouseId

_COLUMNS = "allocation_id, need_id, case_id, item_id, quantity, area, week, state, untold, size"
_PROPOSE = f"""
INSERT INTO allocation ({_COLUMNS}, proposed_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::integer[], $6::text[], $7::text[],
                     $8::text[], $9::boolean[], $10::text[], $11::timestamptz[])
"""
# One that somebody else is busy with is told of on the round after this.
_TELL_WITHDRAWN = """
WITH due AS (SELECT allocation_id FROM allocation WHERE untold FOR UPDATE SKIP LOCKED)
UPDATE allocation SET untold = false FROM due WHERE allocation.allocation_id = due.allocation_id
RETURNING allocation.allocation_id
"""
_COUNT = """
INSERT INTO stock (warehouse_id, item_id, area, free, pack_size, told_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (warehouse_id, item_id) DO UPDATE
SET area = EXCLUDED.area, free = EXCLUDED.free, pack_size = EXCLUDED.pack_size, told_at = EXCLUDED.told_at
"""
_TELL_SHORTFALL = """
INSERT INTO shortfall (area, item_id, packs, revision) VALUES ($1, $2, $3, $4)
ON CONFLICT (area, item_id) DO UPDATE SET packs = EXCLUDED.packs, revision = EXCLUDED.revision
"""


class PostgresGoods:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def get(self, allocation_id: AllocationId) -> Allocation | None:
        row = await self._work.connection.fetchrow(
            f"SELECT {_COLUMNS} FROM allocation WHERE allocation_id = $1 FOR UPDATE", allocation_id
        )
        return None if row is None else _allocation(row)

    async def live_of(self, need_ids: Collection[NeedId]) -> Sequence[Allocation]:
        found = await self._work.connection.fetch(
            f"SELECT {_COLUMNS} FROM allocation WHERE need_id = ANY($1) AND state IN ('proposed', 'reserved')"
            " ORDER BY allocation_id FOR UPDATE",
            list(need_ids),
        )
        return [_allocation(row) for row in found]

    def propose(self, allocations: Sequence[Allocation], now: datetime) -> None:
        if not allocations:
            return
        columns = [
            (
                each.allocation_id, each.need_id, each.case_id, each.item_id, each.quantity, each.area,
                each.week, each.state, each.untold, each.size, now,
            )
            for each in allocations
        ]  # fmt: skip
        self._work.write(_PROPOSE, *map(list, zip(*columns, strict=True)))

    def save(self, allocation: Allocation) -> None:
        self._work.write(
            "UPDATE allocation SET state = $2, untold = $3 WHERE allocation_id = $1",
            allocation.allocation_id,
            allocation.state,
            allocation.untold,
        )

    async def tell_withdrawn(self) -> Sequence[AllocationId]:
        found = await self._work.connection.fetch(_TELL_WITHDRAWN)
        return [AllocationId(row["allocation_id"]) for row in found]

    def forget(self, case_id: CaseId) -> None:
        self._work.write("UPDATE allocation SET need_id = NULL, case_id = NULL WHERE case_id = $1", case_id)

    async def shelves(self) -> Sequence[Shelf]:
        found = await self._work.connection.fetch(
            "SELECT warehouse_id, item_id, area, free FROM stock WHERE free > 0"
        )
        return [
            Shelf(WarehouseId(row["warehouse_id"]), row["item_id"], row["area"], row["free"]) for row in found
        ]

    async def asked(self) -> Sequence[Asked]:
        found = await self._work.connection.fetch(
            "SELECT item_id, area, quantity FROM allocation WHERE state = 'proposed'"
        )
        return [Asked(row["item_id"], row["area"], row["quantity"]) for row in found]

    async def pack_sizes(self) -> Mapping[str, int]:
        found = await self._work.connection.fetch(
            "SELECT item_id, max(pack_size) AS size FROM stock GROUP BY item_id"
        )
        return {row["item_id"]: row["size"] for row in found}

    def count(self, shelf: Shelf, pack_size: int, now: datetime) -> None:
        self._work.write(_COUNT, shelf.warehouse_id, shelf.item_id, shelf.area, shelf.free, pack_size, now)

    def correct(self, item_id: str, at_most: int) -> None:
        self._work.write("UPDATE stock SET free = $2 WHERE item_id = $1 AND free > $2", item_id, at_most)

    async def shortfalls(self) -> Mapping[tuple[str, str], tuple[int, int]]:
        found = await self._work.connection.fetch("SELECT area, item_id, packs, revision FROM shortfall")
        return {(row["area"], row["item_id"]): (row["packs"], row["revision"]) for row in found}

    def tell_shortfall(self, area: str, item_id: str, packs: int, revision: int) -> None:
        self._work.write(_TELL_SHORTFALL, area, item_id, packs, revision)


def _allocation(row: Record) -> Allocation:
    return Allocation(
        allocation_id=AllocationId(row["allocation_id"]),
        need_id=None if row["need_id"] is None else NeedId(row["need_id"]),
        case_id=None if row["case_id"] is None else CaseId(row["case_id"]),
        item_id=row["item_id"],
        quantity=row["quantity"],
        area=row["area"],
        week=row["week"],
        state=row["state"],
        untold=row["untold"],
        size=row["size"],
    )
