"""What is promised to households, in PostgreSQL: many reminders, and one timer of the chassis for each case."""

from datetime import datetime

from services.chassis.work import Work
from services.intake.application.household_clock import CASE_CLOCK
from services.intake.domain.clocks import Reminder
from services.intake.domain.ids import AgencyId, CaseId

_ARM = """
INSERT INTO reminder (case_id, agency_id, kind, about, due_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (case_id, kind, about) DO UPDATE SET due_at = EXCLUDED.due_at
"""
# Only ever earlier: works that arm different promises of one case do not know of each other, and a timer that
# fires too early is set again under the case's lock. What failed and waits to be tried again waits on.
_WIND = f"""
INSERT INTO timer (kind, subject, due_at)
SELECT '{CASE_CLOCK}', subject, min(due_at) FROM unnest($1::text[], $2::timestamptz[]) AS new (subject, due_at)
GROUP BY subject
ON CONFLICT (kind, subject) DO UPDATE SET due_at = LEAST(timer.due_at, EXCLUDED.due_at)
"""
_DISARM = "DELETE FROM reminder WHERE case_id = $1 AND kind = $2 AND ($3::text IS NULL OR about = $3)"
_FORGET = "DELETE FROM reminder WHERE case_id = $1"
# A time of the database's own order: two that are due at one moment are kept in the order of their names.
_TAKE = """
DELETE FROM reminder WHERE (case_id, kind, about) = (
    SELECT case_id, kind, about FROM reminder WHERE case_id = $1 AND due_at <= $2
    ORDER BY due_at, kind, about LIMIT 1
)
RETURNING kind, about, due_at
"""
# A work that arms has the case and waits for the timer; a clock that rings has the timer, so it never waits for the
# case. Wall time: it is about another transaction, which takes milliseconds.
_LOCK = "SELECT FROM case_file WHERE case_id = $1 FOR UPDATE SKIP LOCKED"
_PUT_OFF = f"""
INSERT INTO timer (kind, subject, due_at, next_try_at)
SELECT '{CASE_CLOCK}', $1::uuid::text, min(due_at), clock_timestamp() + interval '0.1 seconds'
FROM reminder WHERE case_id = $1 HAVING min(due_at) IS NOT NULL
ON CONFLICT (kind, subject) DO UPDATE
SET due_at = LEAST(timer.due_at, EXCLUDED.due_at), next_try_at = EXCLUDED.next_try_at
"""
_NEXT = "SELECT min(due_at) FROM reminder WHERE case_id = $1"


class PostgresClocks:
    def __init__(self, work: Work) -> None:
        self._work = work

    def arm(self, case_id: CaseId, agency_id: AgencyId, kind: str, about: str, due_at: datetime) -> None:
        self._work.collect(_ARM, case_id, agency_id, kind, about, due_at)
        self._work.collect(_WIND, str(case_id), due_at)

    def disarm(self, case_id: CaseId, kind: str, about: str | None = None) -> None:
        self._work.write(_DISARM, case_id, kind, about)

    def forget(self, case_id: CaseId) -> None:
        self._work.write(_FORGET, case_id)

    async def hold(self, case_id: CaseId) -> bool:
        return await self._work.connection.fetchrow(_LOCK, case_id) is not None

    def put_off(self, case_id: CaseId) -> None:
        self._work.write(_PUT_OFF, case_id)

    async def take(self, case_id: CaseId) -> Reminder | None:
        row = await self._work.connection.fetchrow(_TAKE, case_id, self._work.now)
        return None if row is None else Reminder(case_id, row["kind"], row["about"], row["due_at"])

    async def rewind(self, case_id: CaseId) -> None:
        due_at = await self._work.connection.fetchval(_NEXT, case_id)
        if due_at is not None:
            self._work.collect(_WIND, str(case_id), due_at)
