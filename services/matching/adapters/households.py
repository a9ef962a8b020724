"""What is known of households, in PostgreSQL."""

from __future__ import annotations

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.adapters.reports import Reports
from services.matching.application.views import KnownHousehold
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId

_FORGET = """
INSERT INTO household (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets,
                       unsheltered, confidential, area, closed)
VALUES ($1, 0, 0, 0, 0, '', false, false, false, false, '', true)
ON CONFLICT (case_id) DO UPDATE
SET adults = 0, children = 0, infants = 0, newborn_week = '', wheelchair = false, pets = false,
    unsheltered = false, confidential = false, area = '', arrival_code = '', avoid = '{}', one_place = NULL,
    one_place_revision = 0, closed = true
"""
# A need that led to a place stays as the place's history, without what was special about it.
_ERASE = (
    "UPDATE referral SET arrival_code = '' WHERE case_id = $1",
    """
    DELETE FROM need
    WHERE case_id = $1 AND NOT EXISTS (SELECT FROM referral WHERE referral.need_id = need.need_id)
    """,
    "UPDATE need SET constraints = '{}', excluded = '{}', latest_date = NULL WHERE case_id = $1",
)
_REOPEN = "UPDATE household SET closed = false, revision = 0 WHERE case_id = $1 AND closed"


class PostgresHouseholds:
    def __init__(self, work: Work, reports: Reports) -> None:
        self._work = work
        self._reports = reports

    def learn(self, case_id: CaseId, facts: Facts, arrival_code: str = "") -> None:
        self._reports.learn(case_id, facts, arrival_code)

    def forget(self, case_id: CaseId) -> None:
        self._work.write(_FORGET, case_id)

    def erase(self, case_id: CaseId) -> None:
        for statement in _ERASE:
            self._work.write(statement, case_id)

    def reopen(self, case_id: CaseId) -> None:
        self._reports.flush()
        self._work.write(_REOPEN, case_id)

    async def get(self, case_id: CaseId) -> KnownHousehold | None:
        row = await self._work.connection.fetchrow("SELECT * FROM household WHERE case_id = $1", case_id)
        return None if row is None else KnownHousehold(rows.facts(row), row["closed"])
