"""Finding persons of an agency: an index in memory that is read anew where the database changed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from services.chassis.work import Work
from services.intake.adapters.person_index import PersonIndex
from services.intake.adapters.vault import PostgresVault
from services.intake.application.ports import KnownPerson
from services.intake.application.search_ports import Findable
from services.intake.domain.household import Person
from services.intake.domain.ids import AgencyId, CaseId, HouseholdId, PersonId
from services.intake.domain.search import Candidate, Wanted

PAGE = 2_000

# No transaction that this look does not see is older than its horizon. Always a row.
_CHANGED = """
SELECT horizon, household_id, changed_in, confidential
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon) AS look
LEFT JOIN LATERAL (
    SELECT household_id, changed_in::text AS changed_in, confidential
    FROM household
    WHERE agency_id = $1 AND (household.changed_in, household_id) > ($2::text::xid8, $3)
    ORDER BY household.changed_in, household_id LIMIT $4
) AS changed ON true
"""
_PERSONS = """
SELECT household_id, person_id, person.sealed, wrapped
FROM person JOIN keystore.subject_key ON subject_id = person_id
WHERE household_id = ANY ($1::uuid[])
"""
# A case that is part of another one leads to that, unless that one hides. Who hides meanwhile is not shown, whatever the
# index has. Each step is one row by its key: joined as whole tables, a planner that knows little would read them.
_FINDABLE = """
SELECT asked.person_id, sealed, wrapped, household_id, going_on.*
FROM unnest($1::uuid[]) AS asked (person_id)
CROSS JOIN LATERAL (
    SELECT household_id, sealed FROM person WHERE person.person_id = asked.person_id LIMIT 1
) AS known
CROSS JOIN LATERAL (
    SELECT wrapped FROM keystore.subject_key WHERE subject_id = asked.person_id LIMIT 1
) AS key
CROSS JOIN LATERAL (
    SELECT FROM household
    WHERE household.household_id = known.household_id AND agency_id = $2 AND NOT confidential LIMIT 1
) AS open
CROSS JOIN LATERAL (
    SELECT last.case_id, last.version, last.closed_at IS NOT NULL AS closed
    FROM case_file AS own
    CROSS JOIN LATERAL (
        SELECT case_id, version, closed_at, opened_at FROM case_file WHERE case_id = coalesce(
            (SELECT case_id FROM case_merge WHERE merged_case_id = own.case_id AND undone_at IS NULL
             AND EXISTS (SELECT FROM case_file JOIN household USING (household_id)
                         WHERE case_file.case_id = case_merge.case_id AND NOT confidential)), own.case_id
        ) LIMIT 1
    ) AS last
    WHERE own.household_id = known.household_id
    ORDER BY last.closed_at IS NOT NULL, last.opened_at DESC, last.case_id LIMIT 1
) AS going_on
"""


@dataclass(slots=True)
class _Shelf:
    """One agency's index and how far it has been read.

    Everything that changed before `cursor` has been read, so a reading that was broken off is taken up there. When
    one ends, the next begins at `upcoming`: no transaction that this one did not see is older. `recent` are
    households that were read and may come again, with the transaction as of which they were.
    """

    index: PersonIndex = field(default_factory=PersonIndex)
    upcoming: str | None = None
    cursor: tuple[str, UUID] = ("0", UUID(int=0))
    recent: dict[HouseholdId, str] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Shelves:
    """The indexes of this process, by agency; each is made when somebody of the agency first searches."""

    def __init__(self) -> None:
        self._shelves: defaultdict[AgencyId, _Shelf] = defaultdict(_Shelf)

    def of(self, agency_id: AgencyId) -> _Shelf:
        return self._shelves[agency_id]


class PostgresSearch:
    def __init__(self, work: Work, vault: PostgresVault, shelves: Shelves) -> None:
        self._work = work
        self._vault = vault
        self._shelves = shelves

    async def candidates(self, agency_id: AgencyId, wanted: Wanted) -> Sequence[Candidate]:
        shelf = self._shelves.of(agency_id)
        async with shelf.reading:
            await self._read(agency_id, shelf)
            return shelf.index.find(wanted)

    async def findable(self, agency_id: AgencyId, person_ids: Sequence[PersonId]) -> Sequence[Findable]:
        if not person_ids:
            return []
        rows = await self._work.peek(_FINDABLE, list(person_ids), agency_id)
        opened = await self._vault.opener(agency_id)
        return [_findable(row, opened(row).person) for row in rows]

    async def _read(self, agency_id: AgencyId, shelf: _Shelf) -> None:
        """Bring the index up to what is committed. A transaction that is still running is read when it is done:
        it is no older than the horizon, from which the next reading begins."""
        while True:
            rows = await self._work.peek(_CHANGED, agency_id, *shelf.cursor, PAGE)
            shelf.upcoming = shelf.upcoming or rows[0]["horizon"]
            changed = {
                row["household_id"]: row for row in rows if row["household_id"] and _is_news(shelf, row)
            }
            if changed:
                await self._shelve(agency_id, shelf, changed)
            if len(rows) < PAGE:
                break
            shelf.cursor = (rows[-1]["changed_in"], rows[-1]["household_id"])
        shelf.cursor = (shelf.upcoming, UUID(int=0))
        shelf.recent = {each: at for each, at in shelf.recent.items() if int(at) >= int(shelf.upcoming)}
        shelf.upcoming = None

    async def _shelve(
        self, agency_id: AgencyId, shelf: _Shelf, changed: Mapping[HouseholdId, asyncpg.Record]
    ) -> None:
        findable = [each for each, row in changed.items() if not row["confidential"]]
        persons = await self._work.peek(_PERSONS, findable) if findable else []
        opened = await self._vault.opener(agency_id)
        # Off the loop: opening seals takes a while, and others are served meanwhile.
        await asyncio.to_thread(_shelve, shelf.index, list(changed), persons, opened)
        shelf.recent |= {each: row["changed_in"] for each, row in changed.items()}


def _is_news(shelf: _Shelf, row: asyncpg.Record) -> bool:
    return bool(shelf.recent.get(row["household_id"]) != row["changed_in"])


def _shelve(
    index: PersonIndex,
    households: Sequence[HouseholdId],
    persons: Sequence[asyncpg.Record],
    opened: Callable[[asyncpg.Record], KnownPerson],
) -> None:
    members = defaultdict[HouseholdId, list[tuple[PersonId, Person]]](list)
    for row in persons:
        members[row["household_id"]].append((PersonId(row["person_id"]), opened(row).person))
    for household_id in households:
        index.put(household_id, members.get(household_id, ()))


def _findable(row: asyncpg.Record, person: Person) -> Findable:
    return Findable(
        person_id=PersonId(row["person_id"]),
        household_id=HouseholdId(row["household_id"]),
        case_id=CaseId(row["case_id"]),
        status="closed" if row["closed"] else "open",
        version=row["version"],
        person=person,
    )
