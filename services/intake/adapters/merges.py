"""Merges of cases in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.chassis.work import Work
from services.intake.domain.ids import AgencyId, CaseId, MergeId, WorkerName
from services.intake.domain.merge import Merge

_COLUMNS = "merge_id, case_id, merged_case_id, merged_by, merged_at, undone_at"
_BEGIN = """
INSERT INTO case_merge (merge_id, agency_id, case_id, merged_case_id, merged_by, merged_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_UNDO = "UPDATE case_merge SET undone_by = $2, undone_at = $3 WHERE merge_id = $1 AND undone_at IS NULL"
_FIND = f"SELECT {_COLUMNS} FROM case_merge WHERE merge_id = $1"
_OF = f"""
SELECT {_COLUMNS} FROM case_merge
WHERE case_id = ANY ($1::uuid[]) OR merged_case_id = ANY ($1::uuid[])
ORDER BY merged_at DESC, merge_id DESC LIMIT 200
"""


class PostgresMerges:
    def __init__(self, work: Work) -> None:
        self._work = work

    def begin(self, merge: Merge, agency_id: AgencyId) -> None:
        self._work.write(
            _BEGIN, merge.merge_id, agency_id, merge.kept, merge.merged, merge.merged_by, merge.merged_at
        )

    def undo(self, merge_id: MergeId, by: WorkerName, at: datetime) -> None:
        self._work.write(_UNDO, merge_id, by, at, expect=1)

    async def find(self, merge_id: MergeId) -> Merge | None:
        row = await self._work.connection.fetchrow(_FIND, merge_id)
        return None if row is None else _merge(row)

    async def of(self, case_ids: Sequence[CaseId]) -> Sequence[Merge]:
        return [_merge(row) for row in await self._work.connection.fetch(_OF, list(case_ids))]


def _merge(row: asyncpg.Record) -> Merge:
    return Merge(
        merge_id=MergeId(row["merge_id"]),
        kept=CaseId(row["case_id"]),
        merged=CaseId(row["merged_case_id"]),
        merged_by=WorkerName(row["merged_by"]),
        merged_at=row["merged_at"],
        undone_at=row["undone_at"],
    )
