"""What workers write beside a case in their own words, sealed with a key of the case, or of what they wrote of."""

from uuid import UUID

from services.chassis.keyring import DataKey, Keyring, UnreadableError
from services.chassis.work import Work
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.domain.ids import AgencyId

_KEY = "SELECT wrapped FROM keystore.subject_key WHERE subject_id = $1"
# The first key stays, so that what was written with it can be read: two who write at once use the same one.
_KEEP = """
INSERT INTO keystore.subject_key (subject_id, agency_id, wrapped, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (subject_id) DO NOTHING
"""


class CaseNotes:
    """Each note is bound to the row that it stands in. Deleting the key of their `subject`, mostly a case, makes all
    of its notes unreadable."""

    def __init__(self, work: Work, keyring: Keyring, agencies: PostgresAgencies) -> None:
        self._work = work
        self._keyring = keyring
        self._agencies = agencies

    async def seal(self, subject: UUID, agency_id: AgencyId, row: UUID, note: str) -> bytes | None:
        """None for no words. The case is locked, or its key is there already."""
        if not note:
            return None
        key = await self._key(subject, agency_id)
        if key is None:
            agency_key = await self._agencies.key(agency_id)
            _, wrapped = self._keyring.new_person_key(agency_key, str(subject))
            await self._work.connection.execute(_KEEP, subject, agency_id, wrapped, self._work.now)
            key = await self._key(subject, agency_id)
        if key is None:
            raise LookupError("a key for notes was not kept")
        return key.seal(note.encode(), f"note:{row}")

    async def open(self, subject: UUID, agency_id: AgencyId, row: UUID, sealed: bytes | None) -> str:
        """Nothing of what was written before somebody was erased: its key is gone, or a later one is there."""
        if not sealed:
            return ""
        key = await self._key(subject, agency_id)
        try:
            return "" if key is None else key.open(sealed, f"note:{row}").decode()
        except UnreadableError:
            return ""

    async def _key(self, subject: UUID, agency_id: AgencyId) -> DataKey | None:
        wrapped = await self._work.connection.fetchval(_KEY, subject)
        if wrapped is None:
            return None
        return self._keyring.person_key(await self._agencies.key(agency_id), str(subject), wrapped)
