"""Allocations in PostgreSQL: one row, written from two sides that are not ordered among each other.

Whose an allocation is stands here only while the case is open: with its end the two are joined by nothing.
"""

from collections.abc import Sequence

from services.chassis.work import Work
from services.intake.application.ports import AllocationPart
from services.intake.domain.ids import AllocationId, CaseId, NeedId

# The case is held fast until the commit: an end of it that comes at the same moment finds the row to forget.
_ALLOCATED = """
INSERT INTO allocation (allocation_id, case_id, need_id, quantity)
SELECT $1, $2, $3, $4 FROM case_file WHERE case_id = $2 AND closed_at IS NULL FOR SHARE
ON CONFLICT (allocation_id) DO UPDATE
SET case_id = EXCLUDED.case_id, need_id = EXCLUDED.need_id, quantity = EXCLUDED.quantity,
    version = allocation.version + 1
RETURNING told = 'handed over'
"""
_TAKEN_BACK = """
INSERT INTO allocation (allocation_id, case_id, need_id, taken_back)
SELECT $1, $2, $3, true FROM case_file WHERE case_id = $2 AND closed_at IS NULL FOR SHARE
ON CONFLICT (allocation_id) DO UPDATE
SET case_id = EXCLUDED.case_id, need_id = EXCLUDED.need_id, taken_back = true, version = allocation.version +
       1
"""
_TAKE_BACK_ALL_BUT = """
UPDATE allocation SET taken_back = true, version = version + 1
WHERE case_id = $1 AND NOT taken_back AND allocation_id <> ALL ($2::uuid[])
"""
# What was handed over stays handed over, and a bag keeps its code.
_TOLD = """
INSERT INTO allocation (allocation_id, told, bag_code) VALUES ($1, $2, $3)
ON CONFLICT (allocation_id) DO UPDATE
SET told = CASE WHEN allocation.told = 'handed over' THEN allocation.told ELSE EXCLUDED.told END,
    bag_code = CASE WHEN EXCLUDED.bag_code = '' THEN allocation.bag_code ELSE EXCLUDED.bag_code END,
    version = allocation.version + 1
RETURNING case_id, need_id, told = 'handed over' AS handed_over
"""
# Only a bag that is on its way has a hand-off.
_CARRIED = """
SELECT case_id FROM allocation WHERE allocation_id = $1 AND NOT taken_back AND told = 'reserved' AND case_id
       IS NOT NULL
"""
_FORGET = "DELETE FROM allocation WHERE case_id = $1"


class PostgresAllocations:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def allocated(
        self, allocation_id: AllocationId, case_id: CaseId, need_id: NeedId, quantity: int
    ) -> bool:
        """Record matching's word; true if logistics has told of the handover already."""
        handed_over = await self._work.connection.fetchval(
            _ALLOCATED, allocation_id, case_id, need_id, quantity
        )
        return bool(handed_over)

    def taken_back(self, allocation_id: AllocationId, case_id: CaseId, need_id: NeedId) -> None:
        self._work.write(_TAKEN_BACK, allocation_id, case_id, need_id)

    def take_back_all_but(self, case_id: CaseId, allocation_ids: Sequence[AllocationId]) -> None:
        self._work.write(_TAKE_BACK_ALL_BUT, case_id, list(allocation_ids))

    async def told(self, allocation_id: AllocationId, state: str, bag_code: str) -> AllocationPart:
        """Record logistics' word; returns what matching has told of it so far."""
        row = await self._work.connection.fetchrow(_TOLD, allocation_id, state, bag_code)
        if row is None or row["case_id"] is None:
            return AllocationPart(None, None, handed_over=False)
        return AllocationPart(CaseId(row["case_id"]), NeedId(row["need_id"]), row["handed_over"])

    async def carried(self, allocation_id: AllocationId) -> CaseId | None:
        rows = await self._work.peek(_CARRIED, allocation_id)
        return CaseId(rows[0]["case_id"]) if rows else None

    def forget(self, case_id: CaseId) -> None:
        self._work.write(_FORGET, case_id)
