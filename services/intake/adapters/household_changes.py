"""Which fields of a household changed with which revision, in PostgreSQL."""

from collections.abc import Sequence

from services.chassis.work import Work
from services.intake.domain.cases import Case
from services.intake.domain.ids import HouseholdId

_RECORD = """
INSERT INTO household_change (household_id, revision, agency_id, fields, changed_by, changed_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_SINCE = """
SELECT DISTINCT field FROM household_change, unnest(fields) AS field
WHERE household_id = $1 AND revision > $2 ORDER BY field
"""


class PostgresHouseholdChanges:
    def __init__(self, work: Work) -> None:
        self._work = work

    def record(self, case: Case, revision: int, fields: Sequence[str], by: str) -> None:
        self._work.write(
            _RECORD, case.household_id, revision, case.agency_id, list(fields), by, self._work.now
        )

    async def since(self, household_id: HouseholdId, revision: int) -> list[str]:
        """The names of all fields that changed after that revision, each once."""
        return [row["field"] for row in await self._work.peek(_SINCE, household_id, revision)]
