"""Breakings of the glass in PostgreSQL. A supervisor's reads and the timer are the region's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from services.chassis.work import Work
from services.intake.adapters.case_notes import CaseNotes
from services.intake.application.agencies_ports import Mark, Notice
from services.intake.domain.break_glass import BrokenGlass
from services.intake.domain.ids import AgencyId, CaseId, GlassId, WorkerName

_KEEP = """
INSERT INTO break_glass (glass_id, case_id, agency_id, subject, opened_at, until, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_UNREAD = """
SELECT glass_id, case_id, agency_id, agency.name, subject, opened_at, until, reason
FROM break_glass JOIN agency USING (agency_id)
WHERE acknowledged_at IS NULL AND agency_id IS DISTINCT FROM $1 AND (opened_at, glass_id) < ($2, $3)
ORDER BY opened_at DESC, glass_id DESC LIMIT $4
"""
_ACKNOWLEDGE = """
UPDATE break_glass SET acknowledged_at = coalesce(acknowledged_at, $3), acknowledged_by = coalesce(acknowledged_by, $4)
WHERE glass_id = $1 AND agency_id IS DISTINCT FROM $2 RETURNING glass_id
"""
_END = "UPDATE break_glass SET ended_at = $2 WHERE glass_id = $1 AND ended_at IS NULL"
_FROM_THE_TOP = Mark(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class PostgresGlass:
    def __init__(self, work: Work, notes: CaseNotes) -> None:
        self._work = work
        self._notes = notes

    async def keep(self, glass: BrokenGlass) -> None:
        """Sealed with a key of its own, which goes with anybody of the household who is forgotten: it may name them."""
        sealed = await self._notes.seal(glass.glass_id, glass.agency_id, glass.glass_id, glass.reason)
        self._work.write(
            _KEEP, glass.glass_id, glass.case_id, glass.agency_id, glass.worker, glass.opened_at, glass.until,
            sealed,
        )  # fmt: skip

    async def unread(self, elsewhere: AgencyId | None, after: Mark | None, limit: int) -> Sequence[Notice]:
        mark = after or _FROM_THE_TOP
        rows = await self._work.connection.fetch(_UNREAD, elsewhere, mark.at, mark.which, limit)
        return [Notice(await self._opened(row), row["name"]) for row in rows]

    async def acknowledge(self, glass_id: GlassId, elsewhere: AgencyId | None, by: WorkerName) -> bool:
        """Whether there is such a one; the first supervisor's name stays."""
        found = await self._work.connection.fetchval(_ACKNOWLEDGE, glass_id, elsewhere, self._work.now, by)
        return found is not None

    async def end(self, glass_id: GlassId) -> None:
        self._work.write(_END, glass_id, self._work.now)

    async def _opened(self, row: asyncpg.Record) -> BrokenGlass:
        case_id, agency_id = CaseId(row["case_id"]), AgencyId(row["agency_id"])
        glass_id, sealed = GlassId(row["glass_id"]), row["reason"]
        reason = await self._notes.open(glass_id, agency_id, glass_id, sealed)
        if not reason:  # those that are older than their own keys have the case's
            reason = await self._notes.open(case_id, agency_id, glass_id, sealed)
        return BrokenGlass(
            glass_id=glass_id,
            case_id=case_id,
            agency_id=agency_id,
            worker=WorkerName(row["subject"]),
            opened_at=row["opened_at"],
            until=row["until"],
            reason=reason,
        )
