"""Cases in PostgreSQL."""

from collections.abc import Collection

import asyncpg

from services.chassis import discretion
from services.chassis.work import Work
from services.intake.adapters.agencies import OWN_AGENCY, WHO, WHO_ASKS, uuid_or_none, viewer_in
from services.intake.adapters.facts import ONE_PLACE, facts_in
from services.intake.adapters.needs import PostgresNeeds
from services.intake.adapters.secrets import Secrets
from services.intake.adapters.vault import PostgresVault
from services.intake.application.ports import Approach, Approaching, NewCase
from services.intake.domain.access import Sight, agency_scope, scope_of, sight
from services.intake.domain.agencies import Asker
from services.intake.domain.arrival import arrival_code
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, HouseholdId, NeedId, WorkerName

_FACTS = f"""
{ONE_PLACE},
case_file.case_id, case_file.household_id, case_file.agency_id, opened_by, opened_at, recorded_at, closed_at,
arrival_code, version, adults, children, infants, newborn_space_from_week, wheelchair, pets, unsheltered, confidential, area,
revision, avoid,
"""


def case_columns(now: str, who: str = "$2") -> str:
    """All of a case as the worker `who` finds it; `now`: the placeholder of this moment."""
    return f"""{_FACTS}
EXISTS (SELECT FROM assignment
        WHERE assignment.case_id = case_file.case_id AND assignment.subject = {who}) AS assigned,
EXISTS (SELECT FROM break_glass
        WHERE break_glass.case_id = case_file.case_id AND break_glass.subject = {who} AND ended_at IS NULL
          AND until > {now}) AS glass_broken
"""


_CASE = f"SELECT {case_columns('$3')} FROM case_file JOIN household USING (household_id) "
# Who asks and what they ask for, in one look: it takes as long for a case that is not there.
_APPROACH = f"""
SELECT {WHO}, {case_columns("$5")}, coalesce(need_id_taken($4), false) AS taken {WHO_ASKS}
LEFT JOIN (case_file JOIN household USING (household_id)) ON case_file.case_id = $3
"""
# The same for many, in their order. Each case is looked up by its id (OFFSET 0): a planner that believes a policy lets
# hardly a row through would rather read all cases of all agencies first.
_APPROACH_ALL = f"""
SELECT {OWN_AGENCY}, works_for, its.*, taken IS NOT NULL AS taken
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[]) WITH ORDINALITY
     AS asked (agency_id, subject, case_id, need_id, nth)
LEFT JOIN agency AS own ON own.agency_id = asked.agency_id
LEFT JOIN employers_of($2) ON employed = asked.subject
LEFT JOIN need_ids_taken($4) AS taken ON taken = asked.need_id
LEFT JOIN LATERAL (
    SELECT {case_columns("$5", "asked.subject")} FROM case_file JOIN household USING (household_id)
    WHERE case_file.case_id = asked.case_id OFFSET 0
) AS its ON true
ORDER BY nth
"""
_FIND = _CASE + "WHERE case_file.case_id = $1"
_FIND_BY_CODE = _CASE + "WHERE arrival_code = $1"
# The household, too: of a case that another work has just changed, only what is locked is read anew.
_LOCK = _FIND + " FOR UPDATE OF case_file, household"
_ASSIGNING = "SELECT agency_assigning($1, $2) AS agency_id"
_TAKEN = "SELECT case_ids_taken($1) AS case_id"
_OPEN = """
INSERT INTO case_file
    (case_id, household_id, agency_id, opened_by, opened_at, recorded_at, closed_at, arrival_code)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::text[])
"""
# In the order of their ids, so that two works which change the same cases do not lock them crosswise.
_ADVANCE = """
UPDATE case_file SET version = case_file.version + 1
FROM (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS read (case_id, version) ORDER BY case_id) AS read
WHERE case_file.case_id = read.case_id AND case_file.version = read.version
"""
# The revision must not fall when the case's allocations are forgotten.
_CLOSE = """
UPDATE case_file SET closed_at = $3, version = version + 1 + (
    SELECT coalesce(sum(allocation.version), 0) FROM allocation WHERE allocation.case_id = $1
) WHERE case_id = $1 AND version = $2
"""
_ASSIGN = """
INSERT INTO assignment (case_id, subject, assigned_by, assigned_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT DO NOTHING
"""
_CODE_TAKEN = "SELECT arrival_code_taken($1, $2) AS taken"
_SET_CODE = "UPDATE case_file SET arrival_code = $2 WHERE case_id = $1"
# Rises with whatever a view of the case shows, whoever changed it: each row counts its own changes.
_REVISION = """
SELECT version
     + (SELECT coalesce(sum(version), 0) FROM need WHERE need.case_id = case_file.case_id)
     + (SELECT coalesce(sum(version), 0) FROM referral WHERE referral.case_id = case_file.case_id)
     + (SELECT coalesce(sum(version), 0) FROM allocation WHERE allocation.case_id = case_file.case_id) AS
     revision
FROM case_file WHERE case_id = $1
"""


class PostgresCases:
    def __init__(self, work: Work, vault: PostgresVault, needs: PostgresNeeds, secrets: Secrets) -> None:
        self._work = work
        self._vault = vault
        self._needs = needs
        self._secrets = secrets
        self._looked_at: dict[CaseId, bool] = {}
        self._approached: dict[Approaching, asyncpg.Record] = {}
        self._advanced: set[tuple[CaseId, int]] = set()

    async def open(self, case: NewCase) -> None:
        """Everything of the new case, in one go."""
        await self._vault.keep(case)
        self._work.collect(
            _OPEN, case.case_id, case.household_id, case.agency_id, case.opened_by, case.opened_at,
            self._work.now, case.closed_at, case.arrival_code, in_place=True,
        )  # fmt: skip
        self._needs.report_all(case)
        if case.assigned:
            self.assign(case.case_id, case.opened_by, case.opened_by)

    async def taken(self, case_id: CaseId) -> bool:
        """Whether the id is in use. Looked at only for an id that a caller made."""
        if case_id not in self._looked_at:
            await self.look([case_id])
        return self._looked_at[case_id]

    async def look(self, case_ids: Collection[CaseId]) -> None:
        """Look up many at once, for whoever opens many cases in one work."""
        self._looked_at |= dict.fromkeys(case_ids, False)
        for row in await self._work.peek(_TAKEN, list(case_ids)) if case_ids else ():
            self._looked_at[CaseId(row["case_id"])] = True

    async def approach(self, case_id: CaseId, asker: Asker, new_need: NeedId | None = None) -> Approach:
        """Who asks and what they ask for. The work goes on for the agency whose case it is.

        A case that is not seen among the asker's own costs a second look, whether it is hidden or not there. But
        for those who look together there is none: the work cannot go on for several agencies.
        """
        row = self._approached.get((case_id, asker, new_need))
        together = row is not None
        if row is None:
            await self._work.speak_for(scope_of(asker))
            agency = uuid_or_none(asker.agency)
            [row] = await self._work.peek(_APPROACH, agency, asker.worker, case_id, new_need, self._work.now)
        case = None if row["case_id"] is None else case_in(row)
        viewer = viewer_in(row, asker)
        if not together and (case is None or sight(case, viewer) is Sight.ABSENT):
            case = await self._assigned_elsewhere(case_id, asker.worker) or case
        if case is not None and case.confidential and sight(case, viewer) is not Sight.ABSENT:
            discretion.hush()
        return Approach(case, viewer, row["taken"])

    async def approach_all(self, approaching: Collection[Approaching]) -> None:
        """Look up many at once, of one scope; `approach` then answers each of them from that."""
        every = list(dict.fromkeys(approaching))
        rows = await self._work.peek(
            _APPROACH_ALL,
            [uuid_or_none(asker.agency) for _, asker, _ in every],
            [asker.worker for _, asker, _ in every],
            [case_id for case_id, _, _ in every],
            [need_id for _, _, need_id in every],
            self._work.now,
        )
        self._approached.update(zip(every, rows, strict=True))

    async def _assigned_elsewhere(self, case_id: CaseId, worker: WorkerName) -> Case | None:
        """The case of another agency, if this worker was assigned to it."""
        [row] = await self._work.peek(_ASSIGNING, case_id, worker)
        if row["agency_id"] is None:
            return None
        await self._work.speak_for(agency_scope(row["agency_id"]))
        return await self.find(case_id, worker)

    async def find(self, case_id: CaseId, worker: WorkerName) -> Case | None:
        rows = await self._work.peek(_FIND, case_id, worker, self._work.now)
        return case_in(rows[0]) if rows else None

    async def find_by_code(self, code: ArrivalCode, worker: WorkerName) -> Case | None:
        rows = await self._work.peek(_FIND_BY_CODE, code, worker, self._work.now)
        if not rows:
            return None
        discretion.hush()  # only a household in hiding has one
        return case_in(rows[0])

    async def lock(self, case_id: CaseId, worker: WorkerName) -> Case | None:
        row = await self._work.connection.fetchrow(_LOCK, case_id, worker, self._work.now)
        return None if row is None else case_in(row)

    async def revision(self, case_id: CaseId) -> int | None:
        rows = await self._work.peek(_REVISION, case_id)
        return int(rows[0]["revision"]) if rows else None

    def advance(self, case: Case) -> None:
        """By one, however many commands of this work found the case as it was."""
        if (case.case_id, case.version) not in self._advanced:
            self._advanced.add((case.case_id, case.version))
            self._work.collect(_ADVANCE, case.case_id, case.version, each=True, in_place=True)

    def close(self, case: Case) -> None:
        """The case and its open needs with it."""
        self._work.write(_CLOSE, case.case_id, case.version, self._work.now, expect=1)
        self._needs.withdraw_all(case.case_id)

    def assign(self, case_id: CaseId, worker: WorkerName, by: WorkerName) -> None:
        self._work.collect(_ASSIGN, case_id, worker, by, self._work.now, in_place=True)

    async def free_arrival_code(self, case_id: CaseId) -> ArrivalCode:
        """The case's code; a further one only in the rare event that another case has it."""
        attempt = 0
        code = arrival_code(self._secrets.arrival, case_id)
        while await self._code_taken(code, case_id):
            attempt += 1
            code = arrival_code(self._secrets.arrival, case_id, attempt)
        return code

    async def _code_taken(self, code: ArrivalCode, case_id: CaseId) -> bool:
        [row] = await self._work.peek(_CODE_TAKEN, code, case_id)
        return bool(row["taken"])

    def set_arrival_code(self, case_id: CaseId, code: ArrivalCode) -> None:
        self._work.write(_SET_CODE, case_id, code)


def case_in(row: asyncpg.Record) -> Case:
    """The case that a row of `case_columns` holds."""
    return Case(
        case_id=CaseId(row["case_id"]),
        household_id=HouseholdId(row["household_id"]),
        agency_id=AgencyId(row["agency_id"]),
        opened_by=WorkerName(row["opened_by"]),
        opened_at=row["opened_at"],
        recorded_at=row["recorded_at"],
        closed_at=row["closed_at"],
        facts=facts_in(row),
        arrival_code=None if row["arrival_code"] is None else ArrivalCode(row["arrival_code"]),
        version=row["version"],
        assigned=row["assigned"],
        glass_broken=row["glass_broken"],
    )
