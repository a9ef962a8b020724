"""Which households came from which export, in PostgreSQL."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

import asyncpg

from services.chassis.work import Work
from services.intake.adapters.needs import found_for, need_outcome
from services.intake.adapters.secrets import Secrets
from services.intake.application.ports import Imported, ImportedNeed
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, HouseholdId, NeedId
from services.intake.domain.outcomes import NeedOutcome

# Two imports of one household at the same time: the second waits here and then finds what the first wrote.
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 0))"
_FIND = """
SELECT household_id, case_id, digest FROM imported WHERE source_id = $1 AND source_key = ANY ($2::text[])
"""
# In one order everywhere, so that two imports of the same households wait for each other and not in a circle.
_LOCK_KEYS = """
SELECT pg_advisory_xact_lock(number)
FROM (SELECT DISTINCT hashtextextended($1 || chr(31) || source_key, 0) AS number
      FROM unnest($2::text[]) AS wanted (source_key) ORDER BY number) AS keys
"""
_FIND_ALL = """
SELECT source_key, household_id, case_id, digest FROM imported
WHERE source_id = $1 AND source_key = ANY ($2::text[])
"""
_NEEDS = """
SELECT case_id, need_id FROM need WHERE case_id = ANY ($1::uuid[]) AND import_mark IS NOT NULL ORDER BY ordinal
"""
_REMEMBER = """
INSERT INTO imported (source_id, source_key, household_id, case_id, digest) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (source_id, source_key) DO UPDATE
SET household_id = EXCLUDED.household_id, case_id = EXCLUDED.case_id, digest = EXCLUDED.digest
"""
_OUTCOMES = """
SELECT source_key, case_id, need_id, kind, item_id, quantity, from_date, nights, urgency, size,
       latest_date, constraints, norm,
       withdrawn_at IS NOT NULL AS withdrawn, met_at IS NOT NULL AS met, unmatched, confidential
FROM imported JOIN need USING (case_id) JOIN household USING (household_id)
WHERE source_id = $1 AND source_key > $2 AND import_mark IS NOT NULL AND erased_at IS NULL
ORDER BY source_key, ordinal LIMIT $3
"""
_NAMES = "SELECT source_id, source_key FROM imported WHERE household_id = $1"
_UNNAME = "UPDATE imported SET source_key = $3 WHERE source_id = $1 AND source_key = $2"
# Beside those who were erased: a vault that is restored from a backup must not forget it. The digests differ.
_STAY_AWAY = """
INSERT INTO keystore.erased_person (household_id, agency_id, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_STAYING_AWAY = (
    "SELECT digest FROM keystore.erased_person WHERE household_id = $1 AND digest = ANY ($2::bytea[])"
)
_STAY_AWAY_TOO = """
INSERT INTO keystore.erased_person (household_id, agency_id, digest)
SELECT now.household_id, now.agency_id, digest
FROM case_file AS before JOIN keystore.erased_person AS gone USING (household_id), case_file AS now
WHERE before.case_id = $1 AND now.case_id = $2 ON CONFLICT DO NOTHING
"""
_MOST = 1_000


class PostgresImports:
    def __init__(self, work: Work, secrets: Secrets) -> None:
        self._work = work
        self._secrets = secrets

    async def lock(self, source_id: str, source_key: str) -> Imported | None:
        """The household as imported before; nobody else imports it until this work ends."""
        await self._work.connection.execute(_LOCK_KEY, source_id, source_key)
        names = [source_key, self._unnamed(source_id, source_key)]
        row = await self._work.connection.fetchrow(_FIND, source_id, names)
        if row is None:
            return None
        return Imported(HouseholdId(row["household_id"]), CaseId(row["case_id"]), row["digest"])

    async def lock_all(self, source_id: str, source_keys: Sequence[str]) -> dict[str, Imported]:
        """Those of the households that were imported before; nobody else imports any of them meanwhile."""
        keys = list(source_keys)
        await self._work.connection.execute(_LOCK_KEYS, source_id, keys)
        names = {name: key for key in keys for name in (self._unnamed(source_id, key), key)}
        rows = await self._work.connection.fetch(_FIND_ALL, source_id, list(names))
        return {
            names[row["source_key"]]: Imported(
                HouseholdId(row["household_id"]), CaseId(row["case_id"]), row["digest"]
            )
            for row in rows
        }

    async def needs_of(self, case_ids: Sequence[CaseId]) -> dict[CaseId, list[NeedId]]:
        """The needs that imports reported for these cases, as they are committed."""
        found: dict[CaseId, list[NeedId]] = defaultdict(list)
        for row in await self._work.peek(_NEEDS, list(case_ids)) if case_ids else ():
            found[CaseId(row["case_id"])].append(NeedId(row["need_id"]))
        return found

    def remember(self, source_id: str, source_key: str, imported: Imported) -> None:
        self._work.write(
            _REMEMBER, source_id, source_key, imported.household_id, imported.case_id, imported.digest
        )

    async def unname(self, household_id: HouseholdId) -> None:
        """Whoever has the export learns nothing from the row; the export itself still finds it."""
        for row in await self._work.peek(_NAMES, household_id):
            source_id, source_key = row["source_id"], row["source_key"]
            self._work.write(_UNNAME, source_id, source_key, self._unnamed(source_id, source_key))

    def _unnamed(self, source_id: str, source_key: str) -> str:
        said = f"erased-household:{source_id}:{source_key}".encode()
        return f"erased:{self.digest(said).hex()}"

    def stay_away(self, case: Case, source_key: str) -> None:
        """Somebody whom an export named so left this household; into another one it may bring them."""
        if source_key:
            self._work.write(_STAY_AWAY, case.household_id, case.agency_id, self._away(case, source_key))

    async def staying_away(self, case: Case, source_keys: Sequence[str]) -> set[str]:
        digests = {self._away(case, key): key for key in source_keys if key}
        rows = await self._work.peek(_STAYING_AWAY, case.household_id, list(digests)) if digests else ()
        return {digests[row["digest"]] for row in rows}

    def stay_away_too(self, before: CaseId, now: CaseId) -> None:
        self._work.write(_STAY_AWAY_TOO, before, now)

    def _away(self, case: Case, source_key: str) -> bytes:
        return self.digest(f"left:{case.agency_id}:{source_key}".encode())

    def digest(self, content: bytes) -> bytes:
        return hmac.digest(self._secrets.digest, content, hashlib.sha256)

    async def outcomes(self, source_id: str, after: str) -> list[ImportedNeed]:
        """At most 1,000, and never a part of a household's: a next page begins behind a whole one."""
        rows = await self._work.peek(_OUTCOMES, source_id, after, _MOST + 1)
        households = [list(group) for _, group in groupby(rows, key=lambda row: row["source_key"])]
        if len(rows) > _MOST and len(households) > 1:
            households.pop()
        whole = [row for household in households for row in household]
        referrals, allocations = await found_for(self._work, list({CaseId(row["case_id"]) for row in whole}))
        return [
            _outcome(row, need_outcome(row, referrals[row["need_id"]], allocations[row["need_id"]]))
            for row in whole
        ]


def _outcome(row: asyncpg.Record, outcome: NeedOutcome) -> ImportedNeed:
    """Of a household in hiding nobody learns here what became: the hub does."""
    if row["confidential"]:
        return ImportedNeed(row["source_key"], outcome.need.need_id, None, None)
    return ImportedNeed(row["source_key"], outcome.need.need_id, outcome.state, outcome.unmatched)
