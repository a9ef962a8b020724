"""What a worker's desk lists, in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.work import Work
from services.intake.adapters.cases import case_columns, case_in
from services.intake.application.agencies_ports import Mark, RegisteredWorker
from services.intake.domain.access import agency_scope
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, WorkerName

_PAGE = f"""
SELECT * FROM (
    SELECT {case_columns("$3")} FROM case_file JOIN household USING (household_id)
    WHERE case_file.agency_id = $1 AND (opened_at, case_id) < ($4, $5) AND {{which}}
) AS found WHERE {{seen}} ORDER BY opened_at DESC, case_id DESC LIMIT $7
"""
# As domain/access.py decides; here so that what is not seen does not shorten a page. Each half has its own index. Of
# another agency ($8 false) only what the worker is assigned to; police ($6) what they opened, open or closed.
_OPEN = _PAGE.format(
    which="closed_at IS NULL AND NOT $6", seen="CASE WHEN confidential THEN assigned ELSE $8 END"
)
_OPENED = _PAGE.format(which="opened_by = $2 AND $8", seen="$6 OR (confidential AND NOT assigned)")
_CASES = f"SELECT * FROM (({_OPEN}) UNION ALL ({_OPENED})) AS halves ORDER BY opened_at DESC, case_id DESC LIMIT $7"
_ELSEWHERE = "SELECT agencies_assigning AS agency_id FROM agencies_assigning($1)"
_WORKERS = """
SELECT subject, registered_at FROM worker WHERE agency_id = $1 AND subject > $2 ORDER BY subject LIMIT $3
"""
_FROM_THE_TOP = Mark(datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


class PostgresDesk:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def cases(self, viewer: Viewer, after: Mark | None, limit: int) -> Sequence[Case]:
        """Of the own agency, and of every other one in which the worker is assigned to a case."""
        own = None if viewer.agency is None else viewer.agency.agency_id
        rows = await self._work.peek(_ELSEWHERE, viewer.worker)
        elsewhere = [] if viewer.police else [row["agency_id"] for row in rows]
        found: list[Case] = []
        for agency_id in {*elsewhere, own} - {None}:
            await self._work.speak_for(agency_scope(agency_id))
            mark = after or _FROM_THE_TOP
            page = await self._work.peek(
                _CASES, agency_id, viewer.worker, self._work.now, mark.at, mark.which, viewer.police, limit,
                agency_id == own,
            )  # fmt: skip
            found.extend(map(case_in, page))
        found.sort(key=lambda case: (case.opened_at, case.case_id), reverse=True)
        return found[:limit]

    async def workers(self, agency_id: AgencyId, after: str, limit: int) -> Sequence[RegisteredWorker]:
        rows = await self._work.peek(_WORKERS, agency_id, after, limit)
        return [RegisteredWorker(WorkerName(row["subject"]), row["registered_at"]) for row in rows]
