"""What exports tell of a household's past, in PostgreSQL."""

from datetime import date

from services.chassis.ids import uuid7
from services.chassis.work import Work
from services.intake.domain.ids import AgencyId, CaseId, WorkerName
from services.intake.domain.imports import ImportedHistory

_OUTCOMES = """
INSERT INTO outcome (case_id, agency_id, entered_on, exited_on, destination, persons)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::date[], $5::smallint[], $6::smallint[])
ON CONFLICT (case_id, exited_on, destination) DO UPDATE
SET entered_on = EXCLUDED.entered_on, persons = EXCLUDED.persons
"""
_REFERRALS = """
INSERT INTO coordinated_entry (case_id, agency_id, on_date, event, result, result_on)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::smallint[], $5::smallint[], $6::date[])
ON CONFLICT DO NOTHING
"""
# An import says again what it said before.
_SITUATIONS = """
INSERT INTO living_situation
    (situation_id, case_id, agency_id, on_date, code, returned, recorded_by, recorded_at)
SELECT situation_id, case_id, agency_id, on_date, code, false, recorded_by, recorded_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::smallint[], $6::text[], $7::timestamptz[])
     AS new (situation_id, case_id, agency_id, on_date, code, recorded_by, recorded_at)
WHERE NOT EXISTS (SELECT FROM living_situation AS told
                  WHERE told.case_id = new.case_id AND told.on_date = new.on_date AND told.code = new.code)
"""
_EXITS = "SELECT exited_on, destination FROM outcome WHERE case_id = $1"
_FORGET_OUTCOMES = "DELETE FROM outcome WHERE case_id = $1"
_FORGET_REFERRALS = "DELETE FROM coordinated_entry WHERE case_id = $1"


class PostgresHistory:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def exits(self, case_id: CaseId) -> set[tuple[date, int]]:
        rows = await self._work.peek(_EXITS, case_id)
        return {(row["exited_on"], row["destination"]) for row in rows}

    def keep(self, case_id: CaseId, agency_id: AgencyId, history: ImportedHistory, by: WorkerName) -> None:
        """Of a new case; what many cases have is written together."""
        for left in history.exits:
            self._work.collect(
                _OUTCOMES, case_id, agency_id, left.entered_on, left.exited_on, left.destination, left.persons
            )
        for made in history.referrals:
            self._work.collect(
                _REFERRALS, case_id, agency_id, made.on, made.event, made.result, made.result_on
            )
        if history.situation is not None:
            on, code = history.situation
            self._work.collect(_SITUATIONS, uuid7(), case_id, agency_id, on, code, by, self._work.now)

    def replace(self, case_id: CaseId, agency_id: AgencyId, history: ImportedHistory, by: WorkerName) -> None:
        """A later export tells it otherwise. Where a household was found once stays known."""
        self._work.write(_FORGET_OUTCOMES, case_id)
        self._work.write(_FORGET_REFERRALS, case_id)
        self.keep(case_id, agency_id, history, by)
