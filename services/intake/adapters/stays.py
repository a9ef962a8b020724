"""Stays in PostgreSQL, the alarms of those that ended with nothing next, and where households live or went."""

from datetime import date
from uuid import UUID

import asyncpg

from services.chassis.ids import uuid7
from services.chassis.metrics import Metrics
from services.chassis.work import Work
from services.intake.adapters.case_notes import CaseNotes
from services.intake.adapters.sight import FROM_THE_FIRST, SEEN_IN_FULL, looks_as
from services.intake.application.agencies_ports import Mark
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.household import Facts
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, NeedId, ReferralId, WorkerName
from services.intake.domain.stays import Action, Alarm, Stay

_STAY = "stay_id, case_id, referral_id, from_date, last_night, ended_on, told_days, next_need"
# No stay is ever deleted, and a case's begin one after the other, so a number stays.
_OF_CASE = f"""
SELECT {_STAY}, row_number() OVER (ORDER BY stay_id) AS number FROM stay WHERE case_id = $1 ORDER BY from_date, stay_id
"""
_BEGIN = f"""
INSERT INTO stay (case_id, agency_id, referral_id, from_date, last_night) VALUES ($1, $2, $3, $4, $5)
RETURNING {_STAY}, (SELECT count(*) FROM stay AS before WHERE before.case_id = $1) + 1 AS number
"""
_SAVE = """
UPDATE stay SET from_date = $2, last_night = $3, ended_on = $4, told_days = $5, next_need = $6 WHERE stay_id = $1
"""
# Nobody sleeps where there are meals.
_ACCEPTED = """
SELECT referral.from_date, referral.nights FROM referral JOIN need USING (need_id)
WHERE referral.case_id = $1 AND state = 'accepted' AND referral.from_date IS NOT NULL AND kind <> 'food'
  AND NOT EXISTS (SELECT FROM stay WHERE stay.referral_id = referral.referral_id)
"""
# What somebody has acknowledged stays so; a stay that went on and ended on the same day after all rings again. Whoever is
# looked for already because the stay was doubted is looked for by the same alarm, which is of its end from then on.
_RAISE = """
WITH rings AS (
    UPDATE alarm SET ended_on = $5, doubted = false
    WHERE stay_id = $4 AND doubted AND acknowledged_at IS NULL AND NOT EXISTS (
        SELECT FROM alarm AS before WHERE before.stay_id = $4 AND before.ended_on = $5 AND NOT before.doubted
    ) RETURNING alarm_id
)
INSERT INTO alarm (alarm_id, case_id, agency_id, stay_id, ended_on, raised_at)
SELECT $1, $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT FROM rings)
ON CONFLICT (stay_id, ended_on, doubted) DO UPDATE
SET raised_at = EXCLUDED.raised_at, acknowledged_at = NULL, acknowledged_by = NULL, action = NULL
WHERE alarm.action = 'stay-goes-on' RETURNING alarm_id
"""
_DOUBT = """
INSERT INTO alarm (alarm_id, case_id, agency_id, stay_id, ended_on, raised_at, doubted)
SELECT $1, $2, $3, $4, $5, $6, true
WHERE NOT EXISTS (SELECT FROM alarm WHERE stay_id = $4 AND acknowledged_at IS NULL)
ON CONFLICT (stay_id, ended_on, doubted) DO NOTHING RETURNING alarm_id
"""
_SETTLE = """
UPDATE alarm SET acknowledged_at = $2, acknowledged_by = '', action = 'stay-goes-on'
WHERE stay_id = $1 AND acknowledged_at IS NULL
"""
_SETTLE_ALL = """
UPDATE alarm SET acknowledged_at = $2, acknowledged_by = '', action = 'other'
WHERE case_id = $1 AND acknowledged_at IS NULL
"""
_ALARM = """
SELECT alarm_id, alarm.case_id, alarm.agency_id, ended_on, raised_at, acknowledged_at, action, alarm.sealed,
       arrival_code, confidential
FROM alarm JOIN case_file USING (case_id) JOIN household USING (household_id)
"""
_FIND_ALARM = _ALARM + "WHERE alarm_id = $1"
_SEEN_BY = f"""{_ALARM}
WHERE acknowledged_at IS NULL AND (raised_at, alarm_id) > ($4, $5) AND {SEEN_IN_FULL}
ORDER BY raised_at, alarm_id LIMIT $6
"""
_HIDDEN = f"""{_ALARM}
WHERE acknowledged_at IS NULL AND (raised_at, alarm_id) > ($1, $2) AND confidential
ORDER BY raised_at, alarm_id LIMIT $3
"""
_ACKNOWLEDGE = """
UPDATE alarm SET acknowledged_at = $2, acknowledged_by = $3, action = $4, sealed = $5
WHERE alarm_id = $1 AND acknowledged_at IS NULL
"""
_SITUATION = """
INSERT INTO living_situation (situation_id, case_id, agency_id, on_date, code, returned, recorded_by, recorded_at, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_LATEST = """
SELECT on_date, code FROM living_situation WHERE case_id = $1 ORDER BY on_date DESC, recorded_at DESC LIMIT 1
"""
_FACTS = """
UPDATE household SET adults = $2, children = $3, infants = $4, newborn_space_from_week = $5, unsheltered = $6,
       revision = $7
WHERE household_id = $1 AND revision = $8
"""
_REOPEN = "UPDATE case_file SET closed_at = NULL WHERE case_id = $1"


class PostgresStays:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def of_case(self, case_id: CaseId) -> list[Stay]:
        return [_stay(row) for row in await self._work.connection.fetch(_OF_CASE, case_id)]

    async def begin(
        self, case: Case, referral_id: ReferralId | None, from_date: date, last_night: date | None
    ) -> Stay:
        row = await self._work.connection.fetchrow(
            _BEGIN, case.case_id, case.agency_id, referral_id, from_date, last_night
        )
        if row is None:
            raise LookupError("a stay was not written")
        return _stay(row)

    def save(self, stay: Stay) -> None:
        self._work.write(
            _SAVE, stay.stay_id, stay.from_date, stay.last_night, stay.ended_on, stay.told_days, stay.next_need,
            expect=1,
        )  # fmt: skip

    async def accepted(self, case_id: CaseId) -> list[tuple[date, int]]:
        rows = await self._work.connection.fetch(_ACCEPTED, case_id)
        return [(row["from_date"], row["nights"]) for row in rows]


class PostgresAlarms:
    def __init__(self, work: Work, notes: CaseNotes, metrics: Metrics) -> None:
        self._work = work
        self._notes = notes
        self._metrics = metrics

    async def raise_(self, case: Case, stay: Stay, ended_on: date) -> None:
        await self._raise(_RAISE, case, stay, ended_on)

    async def doubt(self, case: Case, stay: Stay, found_on: date) -> None:
        await self._raise(_DOUBT, case, stay, found_on)

    async def _raise(self, sql: str, case: Case, stay: Stay, day: date) -> None:
        raised = await self._work.connection.fetchval(
            sql, uuid7(), case.case_id, case.agency_id, stay.stay_id, day, self._work.now
        )
        # Of households in hiding no figure tells.
        if raised is not None and not case.confidential:
            self._work.after_commit(self._metrics.stays_ended_without_next_total.inc)

    def settle(self, stay: Stay) -> None:
        self._work.write(_SETTLE, stay.stay_id, self._work.now)

    def settle_all(self, case_id: CaseId) -> None:
        self._work.write(_SETTLE_ALL, case_id, self._work.now)

    async def find(self, alarm_id: UUID) -> Alarm | None:
        row = await self._work.connection.fetchrow(_FIND_ALARM, alarm_id)
        return None if row is None else await self._alarm(row)

    async def seen_by(self, viewer: Viewer, after: Mark | None, limit: int) -> list[Alarm]:
        mark = after or FROM_THE_FIRST
        rows = await self._work.connection.fetch(
            _SEEN_BY, *looks_as(viewer), self._work.now, mark.at, mark.which, limit
        )
        return [await self._alarm(row) for row in rows]

    async def hidden(self, after: Mark | None, limit: int) -> list[Alarm]:
        mark = after or FROM_THE_FIRST
        rows = await self._work.connection.fetch(_HIDDEN, mark.at, mark.which, limit)
        return [await self._alarm(row) for row in rows]

    async def acknowledge(self, alarm: Alarm, action: Action, by: WorkerName, note: str) -> None:
        sealed = await self._notes.seal(alarm.case_id, alarm.agency_id, alarm.alarm_id, note)
        self._work.write(_ACKNOWLEDGE, alarm.alarm_id, self._work.now, by, action.value, sealed, expect=1)

    async def _alarm(self, row: asyncpg.Record) -> Alarm:
        case_id, agency_id, code = CaseId(row["case_id"]), AgencyId(row["agency_id"]), row["arrival_code"]
        return Alarm(
            alarm_id=row["alarm_id"],
            case_id=case_id,
            agency_id=agency_id,
            ended_on=row["ended_on"],
            raised_at=row["raised_at"],
            arrival_code=None if code is None else ArrivalCode(code),
            confidential=row["confidential"],
            acknowledged_at=row["acknowledged_at"],
            action=None if row["action"] is None else Action(row["action"]),
            note=await self._notes.open(case_id, agency_id, row["alarm_id"], row["sealed"]),
        )


class PostgresSituations:
    def __init__(self, work: Work, notes: CaseNotes) -> None:
        self._work = work
        self._notes = notes

    async def record(
        self, case: Case, on_date: date, code: int, returned: bool, by: WorkerName, note: str
    ) -> None:
        situation_id = uuid7()
        sealed = await self._notes.seal(case.case_id, case.agency_id, situation_id, note)
        self._work.write(
            _SITUATION, situation_id, case.case_id, case.agency_id, on_date, code, returned, by, self._work.now,
            sealed,
        )  # fmt: skip

    async def latest(self, case_id: CaseId) -> tuple[date, int] | None:
        row = await self._work.connection.fetchrow(_LATEST, case_id)
        return None if row is None else (row["on_date"], row["code"])

    def tell_facts(self, case: Case, facts: Facts) -> None:
        self._work.write(
            _FACTS, case.household_id, facts.adults, facts.children, facts.infants,
            facts.newborn_space_from_week, facts.unsheltered, facts.revision, case.facts.revision, expect=1,
        )  # fmt: skip

    def reopen(self, case: Case) -> None:
        self._work.write(_REOPEN, case.case_id, expect=1)


def _stay(row: asyncpg.Record) -> Stay:
    referral_id = row["referral_id"]
    return Stay(
        stay_id=row["stay_id"],
        number=row["number"],
        case_id=CaseId(row["case_id"]),
        referral_id=None if referral_id is None else ReferralId(referral_id),
        from_date=row["from_date"],
        last_night=row["last_night"],
        ended_on=row["ended_on"],
        told_days=row["told_days"],
        next_need=None if row["next_need"] is None else NeedId(row["next_need"]),
    )
