"""What a clock asked of a worker, in PostgreSQL."""

from datetime import date
from uuid import UUID

import asyncpg

from services.chassis.ids import uuid7
from services.chassis.work import Work
from services.intake.adapters.case_notes import CaseNotes
from services.intake.adapters.sight import FROM_THE_FIRST, SEEN_IN_FULL, UNASSIGNED, looks_as
from services.intake.application.agencies_ports import Mark
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.followups import Task, TaskKind, TaskOutcome
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, WorkerName

_TASK = f"""
SELECT task_id, task.case_id, task.agency_id, kind, about, due_on, asked, raised_at, done_at, outcome, code,
       task.sealed, CASE WHEN {UNASSIGNED} THEN arrival_code END AS hub_code
FROM task JOIN case_file USING (case_id) JOIN household USING (household_id)
"""
_ASK = """
INSERT INTO task (task_id, case_id, agency_id, kind, about, due_on, raised_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (case_id, kind, about) DO NOTHING RETURNING task_id
"""
_OPEN_OF = f"{_TASK} WHERE task.case_id = $1 AND kind = $2 AND done_at IS NULL ORDER BY due_on, task_id"
_ONCE_MORE = "UPDATE task SET asked = asked + 1 WHERE task_id = $1 AND done_at IS NULL"
_OVERTAKE = """
UPDATE task SET done_at = $3, done_by = '', outcome = 'overtaken'
WHERE case_id = $1 AND kind = $2 AND done_at IS NULL
"""
_FIND = f"{_TASK} WHERE task_id = $1"
_SEEN_BY = f"""{_TASK}
WHERE done_at IS NULL AND (due_on, task_id) > ($4, $5) AND {SEEN_IN_FULL}
ORDER BY due_on, task_id LIMIT $6
"""
_HIDDEN = f"""{_TASK}
WHERE done_at IS NULL AND (due_on, task_id) > ($1, $2) AND {UNASSIGNED}
ORDER BY due_on, task_id LIMIT $3
"""
_DO = """
UPDATE task SET done_at = $2, done_by = $3, outcome = $4, code = $5, sealed = $6
WHERE task_id = $1 AND done_at IS NULL
"""


class PostgresTasks:
    def __init__(self, work: Work, notes: CaseNotes) -> None:
        self._work = work
        self._notes = notes

    async def ask(self, case: Case, kind: TaskKind, about: str, due_on: date) -> bool:
        asked = await self._work.connection.fetchval(
            _ASK, uuid7(), case.case_id, case.agency_id, kind.value, about, due_on, self._work.now
        )
        return asked is not None

    async def open_of(self, case_id: CaseId, kind: TaskKind) -> list[Task]:
        rows = await self._work.connection.fetch(_OPEN_OF, case_id, kind.value)
        return [await self._read(row) for row in rows]

    def ask_once_more(self, task: Task) -> None:
        self._work.write(_ONCE_MORE, task.task_id)

    def overtake(self, case_id: CaseId, kind: TaskKind) -> None:
        self._work.write(_OVERTAKE, case_id, kind.value, self._work.now)

    async def find(self, task_id: UUID) -> Task | None:
        row = await self._work.connection.fetchrow(_FIND, task_id)
        return None if row is None else await self._read(row)

    async def seen_by(self, viewer: Viewer, after: Mark | None, limit: int) -> list[Task]:
        mark = after or FROM_THE_FIRST
        rows = await self._work.connection.fetch(
            _SEEN_BY, *looks_as(viewer), self._work.now, mark.at.date(), mark.which, limit
        )
        return [await self._read(row) for row in rows]

    async def hidden(self, after: Mark | None, limit: int) -> list[Task]:
        mark = after or FROM_THE_FIRST
        rows = await self._work.connection.fetch(_HIDDEN, mark.at.date(), mark.which, limit)
        return [await self._read(row) for row in rows]

    async def do(self, task: Task, outcome: TaskOutcome, code: int | None, by: WorkerName, note: str) -> None:
        sealed = await self._notes.seal(task.case_id, task.agency_id, task.task_id, note)
        self._work.write(_DO, task.task_id, self._work.now, by, outcome.value, code, sealed, expect=1)

    async def _read(self, row: asyncpg.Record) -> Task:
        case_id, agency_id = CaseId(row["case_id"]), AgencyId(row["agency_id"])
        return Task(
            task_id=row["task_id"],
            case_id=case_id,
            agency_id=agency_id,
            kind=TaskKind(row["kind"]),
            about=row["about"],
            due_on=row["due_on"],
            asked=row["asked"],
            raised_at=row["raised_at"],
            done_at=row["done_at"],
            outcome=None if row["outcome"] is None else TaskOutcome(row["outcome"]),
            code=row["code"],
            note=await self._notes.open(case_id, agency_id, row["task_id"], row["sealed"]),
            hub_code=None if row["hub_code"] is None else ArrivalCode(row["hub_code"]),
        )
