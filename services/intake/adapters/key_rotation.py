"""Renew keys without touching what they protect: only wrapped keys are written, the vault is not read at all.

It may be broken off at any moment and taken up again, and intake may run meanwhile: each row is compared and set,
and whatever is read is readable before, between and after.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import wall
from services.chassis.database import Database, Session
from services.chassis.keyring import DataKey, Keyring
from services.intake.application.rotation_ports import Progress
from services.intake.domain.access import REGION
from services.intake.domain.ids import AgencyId

PAGE = 1_000
# A work that read the agency's key before it was renewed has ended long before: its statements and its pauses have
# shorter limits than this.
LONGEST_WORK = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Table:
    """Whatever is wrapped by the key-encryption key: where it stands, and for whom it was wrapped."""

    name: str
    key: str
    context: str


_UNDER_THE_KEK = (
    _Table("keystore.agency_key", "agency_id::text", "{}"),
    _Table("keystore.secret", "name", "secret:{}"),
    _Table("keystore.entry_key", "key_id::text", "entry-key:{}"),
)
_BEGIN = """
UPDATE keystore.agency_key SET wrapped = $3, renewing_since = $4 WHERE agency_id = $1 AND wrapped = $2
"""
_END = """
UPDATE keystore.agency_key SET wrapped = $3, renewing_since = NULL WHERE agency_id = $1 AND wrapped = $2
"""
_COUNT = "SELECT count(*) FROM keystore.subject_key WHERE agency_id = $1"
_PAGE = """
SELECT subject_id, wrapped FROM keystore.subject_key
WHERE agency_id = $1 AND subject_id > $2 ORDER BY subject_id LIMIT $3
"""
_REWRAP = """
UPDATE keystore.subject_key AS kept SET wrapped = new.now
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS new (subject_id, before, now)
WHERE kept.subject_id = new.subject_id AND kept.wrapped = new.before
"""


class PostgresKeyRotation:
    def __init__(self, database: Database, keyring: Keyring, longest_work: timedelta = LONGEST_WORK) -> None:
        self._database = database
        self._keyring = keyring
        self._longest_work = longest_work

    async def rewrap_all(self, at: Progress) -> int:
        """Put everything that a key-encryption key wraps under the first line of its file. How many changed.

        Afterwards no row needs an older line: it can go.
        """
        changed = 0
        for table in _UNDER_THE_KEK:
            async with self._session() as session:
                rows = await session.fetch(f"SELECT {table.key} AS key, wrapped FROM {table.name} ORDER BY 1")
                for n, row in enumerate(rows, 1):
                    changed += await self._rewrap(session, table, row["key"], row["wrapped"])
                    at(table.name, n, len(rows))
        return changed

    async def agencies(self) -> Sequence[AgencyId]:
        async with self._session() as session:
            rows = await session.fetch("SELECT agency_id FROM keystore.agency_key ORDER BY agency_id")
        return [AgencyId(row["agency_id"]) for row in rows]

    async def renew(self, agency_id: AgencyId, at: Progress) -> timedelta | None:
        """Give the agency a new key and wrap the keys of its persons with it.

        None when the old key is gone. Otherwise how long it has to stay: until then somebody who began before the
        renewal may still wrap with it, so this is to be called again.
        """
        ring, since = await self._renewing(agency_id)
        left = (
            since + self._longest_work - wall()
        )  # before the walk, which must see what the last of them wrote
        while await self._rewrap_persons(agency_id, ring, at):
            pass
        if left > timedelta():
            return left
        await self._end(agency_id)
        return None

    async def _rewrap(self, session: Session, table: _Table, key: str, wrapped: bytes) -> int:
        now = await self._keyring.rewrapped(table.context.format(key), wrapped)
        if now is None:
            return 0
        update = f"UPDATE {table.name} SET wrapped = $3 WHERE {table.key} = $1 AND wrapped = $2"
        done = await session.execute(update, key, wrapped, now)
        return int(done.rpartition(" ")[2])

    async def _renewing(self, agency_id: AgencyId) -> tuple[DataKey, datetime]:
        """The agency's key as two, and since when; begun now, or when this was broken off."""
        while True:
            key, wrapped, since = await self._agency_key(agency_id)
            if since is not None:
                return key, since
            ring, now = key.renewed(), wall()
            wrapped_ring = await self._keyring.wrapped_agency_key(str(agency_id), ring)
            async with self._session() as session:
                await session.execute(_BEGIN, agency_id, wrapped, wrapped_ring, now)

    async def _rewrap_persons(self, agency_id: AgencyId, ring: DataKey, at: Progress) -> int:
        """One walk over the agency's keys; how many were still wrapped with the old one."""
        changed, seen, last = 0, 0, UUID(int=0)
        async with self._session() as session:
            count = int(await session.fetchval(_COUNT, agency_id))
            while rows := await session.fetch(_PAGE, agency_id, last, PAGE):
                last, seen = rows[-1]["subject_id"], seen + len(rows)
                anew = [
                    (row["subject_id"], row["wrapped"], now)
                    for row in rows
                    if (
                        now := self._keyring.rewrapped_person_key(
                            ring, str(row["subject_id"]), row["wrapped"]
                        )
                    )
                ]
                if anew:
                    await session.execute(_REWRAP, *map(list, zip(*anew, strict=True)))
                changed += len(anew)
                at(f"agency {agency_id}", seen, max(count, seen))
        return changed

    async def _end(self, agency_id: AgencyId) -> None:
        """The old key is gone; what it wrapped before, in a backup of the key store, only a backup can open."""
        key, wrapped, _ = await self._agency_key(agency_id)
        alone = await self._keyring.wrapped_agency_key(str(agency_id), key.newest())
        async with self._session() as session:
            done = await session.execute(_END, agency_id, wrapped, alone)
        if done != "UPDATE 1":
            raise RuntimeError("the agency's key was changed by another rotation; run this again")

    async def _agency_key(self, agency_id: AgencyId) -> tuple[DataKey, bytes, datetime | None]:
        async with self._session() as session:
            row = await session.fetchrow(
                "SELECT wrapped, renewing_since FROM keystore.agency_key WHERE agency_id = $1", agency_id
            )
        if row is None:
            raise LookupError("no agency of that id has a key")
        return (
            await self._keyring.agency_key(str(agency_id), row["wrapped"]),
            row["wrapped"],
            row["renewing_since"],
        )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with self._database.lend() as session:
            await session.speak_for(REGION)
            yield session
