"""What workers write beside a case in their own words, sealed with a key of the case."""

from uuid import UUID

from services.chassis.keyring import DataKey, Keyring
from services.chassis.work import Work
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.domain.ids import AgencyId, CaseId

_KEY = "SELECT wrapped FROM keystore.subject_key WHERE subject_id = $1"
# The first key stays, so that what was written with it can be read: two who write at once use the same one.
_KEEP = """
INSERT INTO keystore.subject_key (subject_id, agency_id, wrapped, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (subject_id) DO NOTHING
"""


class CaseNotes:
    """Each note is bound to the row that it stands in. Deleting the case's key makes all of them unreadable."""

    def __init__(self, work: Work, keyring: Keyring, agencies: PostgresAgencies) -> None:
        self._work = work
        self._keyring = keyring
        self._agencies = agencies

    async def seal(self, case_id: CaseId, agency_id: AgencyId, row: UUID, note: str) -> bytes | None:
        """None for no words. The case is locked, or its key is there already."""
        if not note:
            return None
        key = await self._key(case_id, agency_id)
        if key is None:
            agency_key = await self._agencies.key(agency_id)
            _, wrapped = self._keyring.new_person_key(agency_key, str(case_id))
            await self._work.connection.execute(_KEEP, case_id, agency_id, wrapped, self._work.now)
            key = await self._key(case_id, agency_id)
        if key is None:
            raise LookupError("a case's key was not kept")
        return key.seal(note.encode(), f"note:{row}")

    async def open(self, case_id: CaseId, agency_id: AgencyId, row: UUID, sealed: bytes | None) -> str:
        if sealed is None:
            return ""
        key = await self._key(case_id, agency_id)
        # Without its key the case was erased, and its words with it.
        return "" if key is None else key.open(sealed, f"note:{row}").decode()

    async def _key(self, case_id: CaseId, agency_id: AgencyId) -> DataKey | None:
        wrapped = await self._work.connection.fetchval(_KEY, case_id)
        if wrapped is None:
            return None
        return self._keyring.person_key(await self._agencies.key(agency_id), str(case_id), wrapped)
