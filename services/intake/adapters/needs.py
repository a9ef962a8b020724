"""Needs in PostgreSQL, and what became of them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from services.chassis.work import Work
from services.intake.application.ports import Met, NeedRecord, NewCase
from services.intake.domain.cases import Case
from services.intake.domain.ids import AllocationId, CaseId, NeedId, ReferralId
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.outcomes import (
    Allocation,
    NeedOutcome,
    Referral,
    ReferralState,
    Unmatched,
    WouldChange,
    allocation_state,
    outcome_of,
)

_COLUMNS = """
need_id, kind, item_id, quantity, from_date, nights, urgency, size, latest_date, constraints, norm,
withdrawn_at IS NOT NULL AS withdrawn, met_at IS NOT NULL AS met, unmatched, import_mark
"""
_OF_CASE = f"SELECT {_COLUMNS} FROM need WHERE case_id = $1 ORDER BY ordinal"
_FIND = f"SELECT {_COLUMNS} FROM need WHERE case_id = $1 AND need_id = $2"
_REPORT = """
INSERT INTO need
    (need_id, case_id, agency_id, kind, item_id, quantity, from_date, nights, urgency, reported_at,
     import_mark, size, latest_date, constraints)
SELECT need_id, case_id, agency_id, kind, item_id, quantity, from_date, nights, urgency, reported_at,
       import_mark, size, latest_date, string_to_array(constraints, ',')
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::integer[],
            $8::date[], $9::integer[], $10::text[], $11::bytea[], $12::text[], $13::date[], $14::text[])
     WITH ORDINALITY AS new (need_id, case_id, agency_id, reported_at, kind, item_id, quantity, from_date,
                             nights, urgency, import_mark, size, latest_date, constraints, nth)
ORDER BY nth
"""
_CHANGE = """
UPDATE need SET quantity = $3, from_date = $4, nights = $5, urgency = $6, size = $7, latest_date = $8,
       constraints = $9, unmatched = NULL, would_change = NULL, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL
"""
_TAKEN = "SELECT need_ids_taken($1) AS need_id"
_WITHDRAW = """
UPDATE need SET withdrawn_at = $3, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL
"""
# Still known as an import's, and like no need that an export may ask for.
_RETIRE = "UPDATE need SET import_mark = '' WHERE need_id = ANY ($1::uuid[])"
_WITHDRAW_ALL = """
UPDATE need SET withdrawn_at = $2, version = version + 1
WHERE case_id = $1 AND withdrawn_at IS NULL AND met_at IS NULL
"""
_MEET = """
UPDATE need SET met_at = $3, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL RETURNING kind
"""
# Two bags of one need that arrive at the same time would each see only themselves: the case's lock makes the
# second one look after the first has committed. The household's, too: only what is locked is read anew.
_LOCK_CASE = """
SELECT confidential FROM case_file JOIN household USING (household_id) WHERE case_id = $1
FOR UPDATE OF case_file, household
"""
_MEET_WHEN_HANDED_OVER = """
UPDATE need SET met_at = $3, version = version + 1
WHERE case_id = $1 AND need_id = $2 AND withdrawn_at IS NULL AND met_at IS NULL
  AND quantity <= (SELECT coalesce(sum(allocation.quantity), 0) FROM allocation
                   WHERE allocation.need_id = $2 AND told = 'handed over')
RETURNING kind
"""
_UNMATCHED = """
UPDATE need SET unmatched = $3, would_change = $4, version = version + 1 WHERE case_id = $1 AND need_id = $2
"""
_RESET_UNMATCHED = """
UPDATE need SET unmatched = NULL, would_change = NULL, version = version + 1
WHERE case_id = $1 AND unmatched IS NOT NULL
"""
_REFERRALS = """
SELECT referral_id, need_id, state, from_date, nights, expires_at
FROM referral WHERE case_id = ANY ($1::uuid[]) ORDER BY ordinal DESC
"""
_ALLOCATIONS = """
SELECT allocation_id, need_id, quantity, taken_back, told, bag_code
FROM allocation WHERE case_id = ANY ($1::uuid[]) ORDER BY allocation_id
"""


class PostgresNeeds:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._looked_at: dict[NeedId, bool] = {}

    def report(self, case: Case, need: Need, import_mark: bytes | None = None) -> None:
        self._report(case.case_id, case.agency_id, [need], [import_mark])

    def report_all(self, case: NewCase) -> None:
        if case.needs:
            marks: list[bytes | None] = list(case.import_marks) or [None] * len(case.needs)
            self._report(case.case_id, case.agency_id, list(case.needs), marks)

    def _report(self, case_id: CaseId, agency_id: UUID, needs: list[Need], marks: list[bytes | None]) -> None:
        for need, mark in zip(needs, marks, strict=True):
            self._work.collect(
                _REPORT, need.need_id, case_id, agency_id, self._work.now, need.kind.value, need.item_id,
                need.quantity, need.from_date, need.nights, need.urgency.value, mark, need.size,
                need.latest_date, ",".join(need.constraints), in_place=True,
            )  # fmt: skip

    async def find(self, case_id: CaseId, need_id: NeedId) -> NeedRecord | None:
        rows = await self._work.peek(_FIND, case_id, need_id)
        return _record(rows[0]) if rows else None

    async def records(self, case_id: CaseId) -> list[NeedRecord]:
        return [_record(row) for row in await self._work.peek(_OF_CASE, case_id)]

    def change(self, case_id: CaseId, need: Need) -> None:
        """The open need is this one now. Why nothing was found for it before says nothing of it any more."""
        self._work.write(
            _CHANGE, case_id, need.need_id, need.quantity, need.from_date, need.nights, need.urgency.value,
            need.size, need.latest_date, list(need.constraints), expect=1,
        )  # fmt: skip

    def withdraw(self, case_id: CaseId, need_id: NeedId) -> None:
        self._work.write(_WITHDRAW, case_id, need_id, self._work.now, expect=1)

    def retire(self, need_ids: Sequence[NeedId]) -> None:
        """The export does not ask for these any more."""
        if need_ids:
            self._work.write(_RETIRE, list(need_ids))

    def withdraw_all(self, case_id: CaseId) -> None:
        self._work.write(_WITHDRAW_ALL, case_id, self._work.now)

    async def any_taken(self, need_ids: Sequence[NeedId]) -> bool:
        """Whether one of these ids is in use. Looked at only for ids that a caller made."""
        await self.look([each for each in need_ids if each not in self._looked_at])
        return any(self._looked_at[each] for each in need_ids)

    async def look(self, need_ids: Collection[NeedId]) -> None:
        """Look up many at once, for whoever opens many cases in one work."""
        self._looked_at |= dict.fromkeys(need_ids, False)
        for row in await self._work.peek(_TAKEN, list(need_ids)) if need_ids else ():
            self._looked_at[NeedId(row["need_id"])] = True

    async def meet(self, case_id: CaseId, need_id: NeedId) -> Met | None:
        """What became met by this. Under the case's lock: a snapshot of the case tells of it, or comes first."""
        return await self._meet(_MEET, case_id, need_id)

    async def meet_when_handed_over(self, case_id: CaseId, need_id: NeedId) -> Met | None:
        """What became met by this: all its pieces have been handed over."""
        return await self._meet(_MEET_WHEN_HANDED_OVER, case_id, need_id)

    async def _meet(self, statement: str, case_id: CaseId, need_id: NeedId) -> Met | None:
        hidden = await self._work.connection.fetchval(_LOCK_CASE, case_id)
        kind = await self._work.connection.fetchval(statement, case_id, need_id, self._work.now)
        return None if kind is None else Met(NeedKind(kind), hidden)

    def unmatched(
        self, case_id: CaseId, need_id: NeedId, why: Unmatched, would_change: WouldChange | None
    ) -> None:
        change = None if would_change is None else would_change.value
        self._work.write(_UNMATCHED, case_id, need_id, why.value, change)

    def reset_unmatched(self, case_id: CaseId) -> None:
        self._work.write(_RESET_UNMATCHED, case_id)

    async def outcomes(self, case_id: CaseId) -> list[NeedOutcome]:
        rows = await self._work.peek(_OF_CASE, case_id)
        referrals, allocations = await found_for(self._work, [case_id])
        return [need_outcome(row, referrals[row["need_id"]], allocations[row["need_id"]]) for row in rows]


ByNeed = tuple[dict[UUID, list[Referral]], dict[UUID, list[Allocation]]]


async def found_for(work: Work, case_ids: list[CaseId]) -> ByNeed:
    """What was found for the needs of these cases, by need; referrals newest first."""
    referrals: dict[UUID, list[Referral]] = defaultdict(list)
    allocations: dict[UUID, list[Allocation]] = defaultdict(list)
    for row in await work.peek(_REFERRALS, case_ids):
        referrals[row["need_id"]].append(_referral(row))
    for row in await work.peek(_ALLOCATIONS, case_ids):
        allocations[row["need_id"]].append(_allocation(row))
    return referrals, allocations


def need_outcome(
    row: asyncpg.Record, referrals: list[Referral], allocations: list[Allocation]
) -> NeedOutcome:
    return outcome_of(
        need_in(row),
        withdrawn=row["withdrawn"],
        met=row["met"],
        unmatched=None if row["unmatched"] is None else Unmatched(row["unmatched"]),
        referrals=tuple(referrals),
        allocations=tuple(allocations),
    )


def need_in(row: asyncpg.Record) -> Need:
    """The need that a row of `need` holds."""
    return Need(
        need_id=NeedId(row["need_id"]),
        kind=NeedKind(row["kind"]),
        item_id=row["item_id"],
        quantity=row["quantity"],
        from_date=row["from_date"],
        nights=row["nights"],
        urgency=Urgency(row["urgency"]),
        size=row["size"],
        latest_date=row["latest_date"],
        constraints=tuple(row["constraints"]),
        norm=row["norm"],
    )


def _record(row: asyncpg.Record) -> NeedRecord:
    return NeedRecord(need_in(row), row["withdrawn"], row["met"], row["import_mark"])


def _referral(row: asyncpg.Record) -> Referral:
    return Referral(
        referral_id=ReferralId(row["referral_id"]),
        need_id=NeedId(row["need_id"]),
        state=ReferralState(row["state"]),
        from_date=row["from_date"],
        nights=row["nights"],
        expires_at=row["expires_at"],
    )


def _allocation(row: asyncpg.Record) -> Allocation:
    return Allocation(
        allocation_id=AllocationId(row["allocation_id"]),
        need_id=NeedId(row["need_id"]),
        quantity=row["quantity"],
        state=allocation_state(row["told"], row["taken_back"]),
        bag_code=row["bag_code"],
    )
