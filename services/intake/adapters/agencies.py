"""Agencies and workers in PostgreSQL, and the key of each agency."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from services.chassis.ids import parsed, uuid7
from services.chassis.keyring import DataKey, Keyring
from services.chassis.work import Work
from services.intake.domain.agencies import Agency, AgencyType, Asker, Viewer
from services.intake.domain.ids import AgencyId, WorkerName
from services.intake.domain.refusal import denied

# One look for both: what the agency is, and whether the worker is known to work for another one. Always a row.
OWN_AGENCY = "own.agency_id AS own_agency, own.name AS own_name, own.type AS own_type"
WHO = f"{OWN_AGENCY}, employer_of($2) AS works_for"
WHO_ASKS = """
FROM (SELECT) AS always
LEFT JOIN agency AS own ON own.agency_id = $1
"""
_VIEWER = f"""
SELECT {WHO}, wrapped {WHO_ASKS}
LEFT JOIN keystore.agency_key AS own_key ON own_key.agency_id = own.agency_id
"""
_FIND = "SELECT agency_id, name, type FROM agency WHERE agency_id = $1"
_OF_WORKER = "SELECT agency_id, name, type FROM employing_agency($1)"
_REGISTER = """
INSERT INTO agency (agency_id, name, type, source_id, source_key, registered_at) VALUES ($1, $2, $3, $4, $5,
       $6)
ON CONFLICT (agency_id) DO UPDATE SET name = EXCLUDED.name, type = EXCLUDED.type
"""
# The first key stays: what was sealed with it must open for ever.
_KEEP_KEY = """
INSERT INTO keystore.agency_key (agency_id, wrapped, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_KEY = "SELECT wrapped FROM keystore.agency_key WHERE agency_id = $1"
_REGISTER_WORKER = """
INSERT INTO worker (subject, agency_id, registered_at) VALUES ($1, $2, $3)
ON CONFLICT (subject) DO UPDATE SET agency_id = EXCLUDED.agency_id, registered_at = EXCLUDED.registered_at
"""
# Told again with the same agency, nothing changes.
_LEAVE = """
DELETE FROM assignment
WHERE subject = $1 AND agency_id <> $2 AND agency_id = (SELECT agency_id FROM worker WHERE subject = $1)
"""
_IMPORTED = "SELECT agency_id FROM agency WHERE source_id = $1 AND source_key = $2"
_ALL_IMPORTED = """
SELECT source_key, agency.agency_id, wrapped
FROM agency JOIN keystore.agency_key USING (agency_id) WHERE source_id = $1 AND source_key = ANY ($2::text[])
"""
_LOCK_IMPORTED = "SELECT pg_advisory_xact_lock(hashtextextended('agency ' || $1 || chr(31) || $2, 0))"


class PostgresAgencies:
    def __init__(self, work: Work, keyring: Keyring) -> None:
        self._work = work
        self._keyring = keyring
        self._wrapped: dict[AgencyId, bytes] = {}
        self._keys: dict[bytes, DataKey] = {}
        self._askers: dict[tuple[str, WorkerName], asyncpg.Record] = {}
        self._imported: dict[tuple[str, str], AgencyId] = {}

    async def viewer(self, asker: Asker) -> Viewer:
        """Who asks. Refused when the worker is registered with another agency than the token names."""
        row = self._askers.get((asker.agency, asker.worker))
        if row is None:
            [row] = await self._work.peek(_VIEWER, uuid_or_none(asker.agency), asker.worker)
            self._askers[asker.agency, asker.worker] = row
        viewer = viewer_in(row, asker)
        if viewer.agency is not None and row["wrapped"] is not None:
            self._wrapped[viewer.agency.agency_id] = row["wrapped"]
        return viewer

    async def find(self, agency_id: AgencyId) -> Agency | None:
        rows = await self._work.peek(_FIND, agency_id)
        return _agency(rows[0]) if rows else None

    async def knows_worker(self, worker: WorkerName) -> Agency | None:
        """The agency of a registered worker."""
        rows = await self._work.peek(_OF_WORKER, worker)
        return _agency(rows[0]) if rows else None

    async def register(self, agency: Agency) -> None:
        await self._register(agency, None, None)

    def register_worker(self, worker: WorkerName, agency_id: AgencyId) -> None:
        """Whoever comes from another agency is assigned to none of its cases any more."""
        self._work.write(_LEAVE, worker, agency_id)
        self._work.write(_REGISTER_WORKER, worker, agency_id, self._work.now)

    async def imported(self, source_id: str, source_key: str, name: str) -> AgencyId:
        """The agency of that organisation; made known at its first household."""
        known = self._imported.get((source_id, source_key))
        if known is not None:
            return known
        connection = self._work.connection
        found: UUID | None = await connection.fetchval(_IMPORTED, source_id, source_key)
        if found is None:
            # Another import of the same organisation may be making it known: the second one waits and looks again.
            await connection.execute(_LOCK_IMPORTED, source_id, source_key)
            found = await connection.fetchval(_IMPORTED, source_id, source_key)
        if found is None:
            agency = Agency(AgencyId(uuid7()), name, AgencyType.IMPORTED)
            await self._register(agency, source_id, source_key)
            found = agency.agency_id
        self._imported[source_id, source_key] = AgencyId(found)
        return AgencyId(found)

    async def all_imported(self, source_id: str, names: Mapping[str, str]) -> None:
        """Know the agencies of these organisations, by their keys, in one look; `imported` then has them."""
        for row in await self._work.peek(_ALL_IMPORTED, source_id, list(names)):
            self._imported[source_id, row["source_key"]] = AgencyId(row["agency_id"])
            self._wrapped[AgencyId(row["agency_id"])] = row["wrapped"]
        for source_key, name in names.items():
            await self.imported(source_id, source_key, name)

    async def key(self, agency_id: AgencyId) -> DataKey:
        """The agency's key, which is kept in no memory beyond this work. It may be of this very work."""
        wrapped = self._wrapped.get(agency_id)
        if wrapped is None:
            rows = await self._work.peek(_KEY, agency_id)
            wrapped = rows[0]["wrapped"] if rows else await self._work.connection.fetchval(_KEY, agency_id)
        if wrapped is None:
            raise LookupError("an agency has lost its key")
        self._wrapped[agency_id] = wrapped
        key = self._keys.get(wrapped)
        if key is None:
            key = self._keys[wrapped] = await self._keyring.agency_key(str(agency_id), wrapped)
        return key

    async def _register(self, agency: Agency, source_id: str | None, source_key: str | None) -> None:
        _, wrapped = await self._keyring.new_agency_key(str(agency.agency_id))
        now = self._work.now
        self._work.write(
            _REGISTER, agency.agency_id, agency.name, agency.type.value, source_id, source_key, now
        )
        self._work.write(_KEEP_KEY, agency.agency_id, wrapped, now)
        if source_id is not None:
            self._wrapped[agency.agency_id] = wrapped


def viewer_in(row: asyncpg.Record, asker: Asker) -> Viewer:
    """The asker, as a row with what is known of their agency says."""
    known = row["own_agency"]
    if row["works_for"] is not None and row["works_for"] != known:
        raise denied("worker-of-another-agency", "The worker is registered with another agency.")
    agency = None if known is None else Agency(AgencyId(known), row["own_name"], AgencyType(row["own_type"]))
    return Viewer(asker.worker, agency, asker.roles)


def _agency(row: asyncpg.Record) -> Agency:
    return Agency(AgencyId(row["agency_id"]), row["name"], AgencyType(row["type"]))


def uuid_or_none(text: str) -> UUID | None:
    """An agency that is not named by a UUID is none of ours."""
    try:
        return parsed(text)
    except ValueError:
        return None
