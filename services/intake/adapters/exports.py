"""What an export of an agency's cases reads, in PostgreSQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from services.chassis.work import Work
from services.intake.adapters.cases import case_columns, case_in
from services.intake.application.exports_ports import Told
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, CaseId, WorkerName
from services.intake.domain.imports import ImportedExit, ImportedHistory, ImportedReferral

_CASES = f"""
SELECT {case_columns("$3")} FROM case_file JOIN household USING (household_id)
WHERE case_file.agency_id = $1 AND case_id > $4 ORDER BY case_id LIMIT $5
"""
_OUTCOMES = """
SELECT case_id, entered_on, exited_on, destination, persons FROM outcome
WHERE case_id = ANY ($1::uuid[]) ORDER BY case_id, exited_on, destination
"""
_REFERRALS = """
SELECT case_id, on_date, event, result, result_on FROM coordinated_entry
WHERE case_id = ANY ($1::uuid[]) ORDER BY case_id, on_date, event
"""
_SITUATIONS = """
SELECT DISTINCT ON (case_id) case_id, on_date, code FROM living_situation
WHERE case_id = ANY ($1::uuid[]) ORDER BY case_id, on_date DESC, recorded_at DESC
"""
_STAYS = """
SELECT case_id, max(from_date) AS since FROM stay
WHERE case_id = ANY ($1::uuid[]) AND ended_on IS NULL GROUP BY case_id
"""
_NEEDS = """
SELECT DISTINCT case_id FROM need
WHERE case_id = ANY ($1::uuid[]) AND kind = 'lodging' AND withdrawn_at IS NULL AND met_at IS NULL
"""
_FIRST = UUID(int=0)


class PostgresExports:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def cases(
        self, agency_id: AgencyId, worker: WorkerName, after: CaseId | None, limit: int
    ) -> Sequence[Case]:
        rows = await self._work.peek(_CASES, agency_id, worker, self._work.now, after or _FIRST, limit)
        return [case_in(row) for row in rows]

    async def told(self, case_ids: Sequence[CaseId]) -> Mapping[CaseId, Told]:
        ids = list(case_ids)
        exits: dict[CaseId, list[ImportedExit]] = defaultdict(list)
        for row in await self._work.peek(_OUTCOMES, ids):
            exits[row["case_id"]].append(
                ImportedExit(row["entered_on"], row["exited_on"], row["destination"], row["persons"])
            )
        referrals: dict[CaseId, list[ImportedReferral]] = defaultdict(list)
        for row in await self._work.peek(_REFERRALS, ids):
            referrals[row["case_id"]].append(
                ImportedReferral(row["on_date"], row["event"], row["result"], row["result_on"])
            )
        found: dict[CaseId, tuple[date, int]] = {
            row["case_id"]: (row["on_date"], row["code"]) for row in await self._work.peek(_SITUATIONS, ids)
        }
        stays = {row["case_id"]: row["since"] for row in await self._work.peek(_STAYS, ids)}
        needing = {row["case_id"] for row in await self._work.peek(_NEEDS, ids)}
        return {
            each: Told(
                ImportedHistory(tuple(exits[each]), tuple(referrals[each]), found.get(each)),
                stays.get(each),
                each in needing,
            )
            for each in case_ids
        }
