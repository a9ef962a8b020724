"""What is known of households, in PostgreSQL."""

from __future__ import annotations

from services.chassis.work import Work
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId

# Older facts are ignored. Equal ones may still bring the arrival code, which a case is opened without.
_LEARN = """
INSERT INTO household (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets,
                       unsheltered, confidential, area, arrival_code)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (case_id) DO UPDATE
SET revision = EXCLUDED.revision, adults = EXCLUDED.adults, children = EXCLUDED.children,
    infants = EXCLUDED.infants, newborn_week = EXCLUDED.newborn_week, wheelchair = EXCLUDED.wheelchair,
    pets = EXCLUDED.pets, unsheltered = EXCLUDED.unsheltered, confidential = EXCLUDED.confidential,
    area = EXCLUDED.area,
    arrival_code = COALESCE(NULLIF(EXCLUDED.arrival_code, ''), household.arrival_code)
WHERE NOT household.closed
  AND (household.revision < EXCLUDED.revision
       OR household.revision = EXCLUDED.revision
          AND EXCLUDED.arrival_code NOT IN ('', household.arrival_code))
"""
_FORGET = """
INSERT INTO household (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets,
                       unsheltered, confidential, area, closed)
VALUES ($1, 0, 0, 0, 0, '', false, false, false, false, '', true)
ON CONFLICT (case_id) DO UPDATE
SET adults = 0, children = 0, infants = 0, newborn_week = '', wheelchair = false, pets = false,
    unsheltered = false, confidential = false, area = '', arrival_code = '', closed = true
"""


class PostgresHouseholds:
    def __init__(self, work: Work) -> None:
        self._work = work

    def learn(self, case_id: CaseId, facts: Facts, arrival_code: str = "") -> None:
        self._work.write(
            _LEARN, case_id, facts.revision, facts.adults, facts.children, facts.infants, facts.newborn_week,
            facts.wheelchair, facts.pets, facts.unsheltered, facts.confidential, facts.area, arrival_code,
        )  # fmt: skip

    def forget(self, case_id: CaseId) -> None:
        self._work.write(_FORGET, case_id)

    async def closed(self, case_id: CaseId) -> bool:
        return bool(
            await self._work.connection.fetchval("SELECT closed FROM household WHERE case_id = $1", case_id)
        )
