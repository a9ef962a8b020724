"""Derived needs and workers' words against norms, in PostgreSQL."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from services.chassis.ids import uuid7
from services.chassis.work import Work
from services.intake.adapters.case_notes import CaseNotes
from services.intake.adapters.needs import need_in
from services.intake.application.norms_ports import Followed
from services.intake.domain.cases import Case
from services.intake.domain.derived_needs import Asked
from services.intake.domain.ids import CaseId, NeedId, WorkerName
from services.intake.domain.needs import Need
from services.intake.domain.norms import Overrule, Plan

_FOLLOWED = "SELECT since, horizon_days, derived_on FROM norms_followed WHERE case_id = $1"
_FOLLOW = """
INSERT INTO norms_followed (case_id, agency_id, since, horizon_days, derived_on, followed_by, followed_at)
VALUES ($1, $2, $3, $4, $3, $5, $6)
ON CONFLICT (case_id) DO NOTHING
"""
_DERIVED = "UPDATE norms_followed SET derived_on = greatest(derived_on, $2) WHERE case_id = $1"
_STOP = "DELETE FROM norms_followed WHERE case_id = $1"
_ASKED = """
SELECT need_id, kind, item_id, quantity, from_date, nights, urgency, size, latest_date, constraints, norm, period,
       carried, met_at, handed.pieces AS handed_over,
       EXISTS (SELECT FROM referral AS r
               WHERE r.need_id = need.need_id AND r.state IN ('proposed', 'accepted')) AS found
FROM need
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.quantity), 0)::integer AS pieces FROM allocation AS a
    WHERE a.need_id = need.need_id AND a.told = 'handed over'
) AS handed
WHERE case_id = $1 AND norm <> '' AND withdrawn_at IS NULL ORDER BY ordinal
"""
_REPORT = """
INSERT INTO need (need_id, case_id, agency_id, kind, item_id, quantity, from_date, nights, urgency, reported_at,
                  size, latest_date, constraints, norm, period)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
_CHANGE = """
UPDATE need SET quantity = $3, from_date = $4, nights = $5, size = $6, latest_date = $7, period = $8, carried = $9,
       unmatched = NULL, would_change = NULL, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL
"""
_MEET = """
UPDATE need SET met_at = $3, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL
"""
_OVERRULES = """
SELECT overrule_id, norm, item_id, quantity, sealed, overruled_by, overruled_at FROM overrule
WHERE case_id = $1 ORDER BY overruled_at, overrule_id
"""
_OVERRULE = """
INSERT INTO overrule (overrule_id, case_id, agency_id, norm, item_id, quantity, sealed, overruled_by, overruled_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (case_id, norm, item_id) DO UPDATE
SET overrule_id = EXCLUDED.overrule_id, quantity = EXCLUDED.quantity, sealed = EXCLUDED.sealed,
    overruled_by = EXCLUDED.overruled_by, overruled_at = EXCLUDED.overruled_at
"""
_LIFT = "DELETE FROM overrule WHERE case_id = $1 AND norm = $2 AND item_id = $3"
_HANDED_OVER = """
SELECT need_id, sum(quantity)::integer AS pieces FROM allocation
WHERE case_id = $1 AND told = 'handed over' GROUP BY need_id
"""


class PostgresNorms:
    def __init__(self, work: Work, notes: CaseNotes) -> None:
        self._work = work
        self._notes = notes

    async def followed(self, case_id: CaseId) -> Followed | None:
        rows = await self._work.peek(_FOLLOWED, case_id)
        if not rows:
            return None
        [row] = rows
        return Followed(Plan(row["since"], row["horizon_days"]), row["derived_on"])

    def follow(self, case: Case, plan: Plan, by: WorkerName) -> None:
        self._work.write(
            _FOLLOW, case.case_id, case.agency_id, plan.since, plan.horizon_days, by, self._work.now
        )

    def derived(self, case_id: CaseId, on: date) -> None:
        self._work.write(_DERIVED, case_id, on)

    def stop(self, case_id: CaseId) -> None:
        self._work.write(_STOP, case_id)

    async def asked(self, case_id: CaseId) -> list[Asked]:
        return [_asked(row) for row in await self._work.peek(_ASKED, case_id)]

    def report(self, case: Case, need: Need, period: date | None) -> None:
        self._work.write(
            _REPORT, need.need_id, case.case_id, case.agency_id, need.kind.value, need.item_id, need.quantity,
            need.from_date, need.nights, need.urgency.value, self._work.now, need.size, need.latest_date,
            list(need.constraints), need.norm, period,
        )  # fmt: skip

    def change(self, case_id: CaseId, asked: Asked) -> None:
        need = asked.need
        self._work.write(
            _CHANGE, case_id, need.need_id, need.quantity, need.from_date, need.nights, need.size,
            need.latest_date, asked.period, asked.carried, expect=1,
        )  # fmt: skip

    def meet(self, case_id: CaseId, need_id: NeedId) -> None:
        self._work.write(_MEET, case_id, need_id, self._work.now, expect=1)

    async def overrules(self, case: Case) -> list[Overrule]:
        return [await self._overrule(case, row) for row in await self._work.peek(_OVERRULES, case.case_id)]

    async def overrule(self, case: Case, word: Overrule) -> None:
        overrule_id = uuid7()
        sealed = await self._notes.seal(case.case_id, case.agency_id, overrule_id, word.reason)
        self._work.write(
            _OVERRULE, overrule_id, case.case_id, case.agency_id, word.norm, word.item_id, word.quantity,
            sealed, word.overruled_by, word.overruled_at,
        )  # fmt: skip

    def lift(self, case_id: CaseId, norm: str, item_id: str) -> None:
        self._work.write(_LIFT, case_id, norm, item_id)

    async def handed_over(self, case_id: CaseId) -> Sequence[tuple[NeedId, int]]:
        rows = await self._work.peek(_HANDED_OVER, case_id)
        return [(NeedId(row["need_id"]), row["pieces"]) for row in rows if row["need_id"] is not None]

    async def _overrule(self, case: Case, row: asyncpg.Record) -> Overrule:
        row_id: UUID = row["overrule_id"]
        return Overrule(
            norm=row["norm"],
            item_id=row["item_id"],
            quantity=row["quantity"],
            # Empty since somebody was erased of whom it may have told.
            reason=await self._notes.open(case.case_id, case.agency_id, row_id, row["sealed"] or None),
            overruled_by=WorkerName(row["overruled_by"]),
            overruled_at=row["overruled_at"],
        )


def _asked(row: asyncpg.Record) -> Asked:
    met_at = row["met_at"]
    return Asked(
        need=need_in(row),
        period=row["period"],
        carried=row["carried"],
        handed_over=row["handed_over"],
        met_on=None if met_at is None else met_at.date(),
        found=row["found"],
    )
