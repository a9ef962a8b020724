"""Allocations and their bags as rows."""

from __future__ import annotations

from datetime import date

import asyncpg

from services.chassis.work import Work
from services.logistics.domain.allocations import AllocationState, Bag, Proposal
from services.logistics.domain.events import HandoverConfirmed
from services.logistics.domain.ids import AllocationId, Area, BagCode, ItemId, Pieces, WarehouseId

COLUMNS = "allocation_id, bag_code, item_id, quantity, area, week, warehouse_id, state, carrier, withdrawn, day, size"
_QUALIFIED = ", ".join(f"allocation.{column}" for column in COLUMNS.split(", "))


class PostgresAllocations:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def known(self, allocation_id: AllocationId) -> bool:
        row = await self._work.connection.fetchval(
            "SELECT true FROM allocation WHERE allocation_id = $1", allocation_id
        )
        return row is not None

    def reserve(self, proposal: Proposal, warehouse_id: WarehouseId, bag_code: BagCode) -> None:
        self._work.write(
            """
            INSERT INTO allocation
                (allocation_id, state, item_id, quantity, area, week, warehouse_id, bag_code, size)
            VALUES ($1, 'reserved', $2, $3, $4, $5, $6, $7, $8)
            """,
            proposal.allocation_id, proposal.item_id, proposal.quantity, proposal.area, proposal.week,
            warehouse_id, bag_code, proposal.size,
        )  # fmt: skip

    def refuse(self, proposal: Proposal, available: Pieces) -> None:
        self._work.write(
            """
            INSERT INTO allocation (allocation_id, state, item_id, quantity, area, week, available)
            VALUES ($1, 'refused', $2, $3, $4, $5, $6)
            """,
            proposal.allocation_id, proposal.item_id, proposal.quantity, proposal.area, proposal.week,
            available,
        )  # fmt: skip

    async def withdrawn(self, allocation_id: AllocationId) -> Bag | None:
        row = await self._work.connection.fetchrow(
            f"""
            INSERT INTO allocation (allocation_id, state, withdrawn) VALUES ($1, 'withdrawn', true)
            ON CONFLICT (allocation_id) DO UPDATE SET withdrawn = true
            RETURNING {COLUMNS}
            """,
            allocation_id,
        )
        return bag(row) if row is not None and row["bag_code"] is not None else None

    async def bag(self, bag_code: BagCode) -> tuple[Bag, str] | None:
        row = await self._work.connection.fetchrow(
            f"""
            SELECT {_QUALIFIED}, agency FROM allocation JOIN warehouse USING (warehouse_id)
            WHERE bag_code = $1 FOR UPDATE OF allocation
            """,
            bag_code,
        )
        return None if row is None else (bag(row), row["agency"])

    def move(
        self,
        bag: Bag,
        state: AllocationState,
        *,
        carrier: str = "",
        day: date | None = None,
        told: bool = True,
    ) -> None:
        self._work.write(
            "UPDATE allocation SET state = $2, carrier = $3, day = $4, told = $5 WHERE allocation_id = $1",
            bag.allocation_id, state, carrier, day, told,
            expect=1,
        )  # fmt: skip

    async def untold(self) -> list[HandoverConfirmed]:
        rows = await self._work.connection.fetch(
            "UPDATE allocation SET told = true WHERE NOT told RETURNING allocation_id, day"
        )
        return [HandoverConfirmed(AllocationId(row["allocation_id"]), row["day"]) for row in rows]


def bag(row: asyncpg.Record) -> Bag:
    return Bag(
        AllocationId(row["allocation_id"]), BagCode(row["bag_code"]), ItemId(row["item_id"]),
        Pieces(row["quantity"]), Area(row["area"]), row["week"], WarehouseId(row["warehouse_id"]),
        AllocationState(row["state"]), row["carrier"], row["withdrawn"], row["day"], row["size"],
    )  # fmt: skip
