"""Forget a person or a household: the key first, then whatever could name them, in every table of intake.

Whoever keeps something of a person in a table of their own adds a statement to `FORGET`. What is sealed with the
person's key needs none: it is unreadable with the first of them.
"""

import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

from services.chassis import idempotency
from services.chassis.work import Work
from services.intake.adapters.secrets import Secrets
from services.intake.application.household_ports import Keyless
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, HouseholdId, PersonId

# Each is given the ids of persons or households, $1 uuid[].
FORGET = (
    "DELETE FROM keystore.subject_key WHERE subject_id = ANY ($1::uuid[])",
    # Where the evidence of a consent lies is said in words.
    "DELETE FROM keystore.subject_key USING consent "
    "WHERE subject_id = consent_id AND (person_ids && $1::uuid[] OR signer_id = ANY ($1::uuid[]))",
    # What an import said of the household may be tried against this digest; the next import compares anew.
    """
    UPDATE imported SET digest = ''
    WHERE household_id = ANY ($1::uuid[])
       OR household_id IN (SELECT household_id FROM person WHERE person_id = ANY ($1::uuid[]))
    """,
    # Why a norm was overruled may tell of any of its persons; the word itself is about the household and stays.
    """
    UPDATE overrule SET sealed = ''
    WHERE case_id IN (SELECT case_id FROM case_file JOIN person USING (household_id)
                      WHERE person_id = ANY ($1::uuid[]))
    """,
    # What workers wrote beside the case may tell of any of its persons, and so may that a birth was asked for.
    """
    DELETE FROM keystore.subject_key
    WHERE subject_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                         WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
    """,
    # Nor is it left for a new key of the case, which could not open it.
    """
    UPDATE alarm SET sealed = NULL
    WHERE case_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                      WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
    """,
    """
    UPDATE task SET sealed = NULL
    WHERE case_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                      WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
    """,
    """
    UPDATE living_situation SET sealed = NULL
    WHERE case_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                      WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
    """,
    # Why glass was broken may name any of its persons, and a supervisor who has not read it yet cannot be waited for: they
    # still see who broke it, when and where, and that the reason is gone. Also of a case that the person has left.
    """
    DELETE FROM keystore.subject_key USING break_glass
    WHERE subject_id = glass_id
      AND (case_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                       WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
           OR case_id IN (SELECT case_id FROM access_log WHERE person_id = ANY ($1::uuid[])))
    """,
    """
    UPDATE break_glass SET reason = ''
    WHERE case_id IN (SELECT case_id FROM case_file LEFT JOIN person USING (household_id)
                      WHERE person_id = ANY ($1::uuid[]) OR household_id = ANY ($1::uuid[]))
       OR case_id IN (SELECT case_id FROM access_log WHERE person_id = ANY ($1::uuid[]))
    """,
    "DELETE FROM task WHERE kind = 'ask-for-birth' AND about IN (SELECT each::text FROM unnest($1::uuid[]) AS each)",
    "DELETE FROM person WHERE person_id = ANY ($1::uuid[])",
    "DELETE FROM keystore.household_token WHERE household_id = ANY ($1::uuid[])",
    "DELETE FROM keystore.one_place WHERE household_id = ANY ($1::uuid[])",
    "DELETE FROM household_change WHERE household_id = ANY ($1::uuid[])",
)
_FORGET_WORDS = "DELETE FROM keystore.subject_key WHERE subject_id = $1"
_ERASE_HOUSEHOLD = """
UPDATE household
SET adults = 0, children = 0, infants = 0, newborn_space_from_week = '', wheelchair = false, pets = false,
    unsheltered = false, area = '', avoid = '{}', sealed = '', revision = revision + 1, erased_at = $2
WHERE household_id = $1
"""
# The revision of a case must not fall when its allocations are forgotten.
_ERASE_CASE = """
UPDATE case_file SET closed_at = coalesce(closed_at, $3), arrival_code = NULL, version = version + 1 + (
    SELECT coalesce(sum(allocation.version), 0) FROM allocation WHERE allocation.case_id = $1
) WHERE case_id = $1 AND version = $2
"""
_END_CONSENTS = """
UPDATE consent SET ended_at = $2, ended_by = 'signer-left' WHERE case_id = $1 AND ended_at IS NULL
"""
_WITHDRAW_NEEDS = """
UPDATE need SET withdrawn_at = $2, version = version + 1
WHERE case_id = $1 AND withdrawn_at IS NULL AND met_at IS NULL
"""


_BAR = """
INSERT INTO keystore.erased_person (household_id, agency_id, digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
_BARRED = "SELECT digest FROM keystore.erased_person WHERE agency_id = $1 AND digest = ANY ($2::bytea[])"


# Of whom a restored vault still has rows although their keys are gone: they were erased after the backup. A consent
# loses its key with anybody who signed it, or for whom it was.
_KEYLESS = """
SELECT case_id, household_id,
       array(SELECT person_id FROM person
             WHERE person.household_id = household.household_id
               AND NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = person_id)) AS persons,
       EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = household.household_id) AS readable
FROM household JOIN case_file USING (household_id)
WHERE erased_at IS NULL
  AND (NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = household.household_id)
       OR EXISTS (SELECT FROM person
                  WHERE person.household_id = household.household_id
                    AND NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = person_id))
       OR EXISTS (SELECT FROM consent
                  WHERE consent.case_id = case_file.case_id AND ended_at IS NULL
                    AND NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = consent_id)))
ORDER BY case_id
"""

# Only those that this cluster cannot have numbered: of these a search would read all, each time.
_BEGIN_ANEW = "UPDATE household SET changed_in = DEFAULT WHERE changed_in > pg_current_xact_id()"


class PostgresForgetting:
    def __init__(self, work: Work, secrets: Secrets) -> None:
        self._work = work
        self._secrets = secrets

    def forget(self, subjects: Sequence[UUID]) -> None:
        """Nobody can read them from the commit of this work on, whatever is left of them elsewhere."""
        for statement in FORGET:
            self._work.write(statement, list(subjects))
        idempotency.forget(self._work, subjects)

    async def forget_words(self, household_id: HouseholdId) -> None:
        """What was sealed of the household as a whole until now opens no more, in no backup. Whoever keeps it after
        this in the same work keeps it with a new key."""
        await self._work.connection.execute(_FORGET_WORDS, household_id)

    def bar_return(self, case: Case, source_key: str) -> None:
        """An export that names the person so does not bring them back."""
        if source_key:
            self._work.write(_BAR, case.household_id, case.agency_id, self._digest(case, source_key))

    async def barred(self, case: Case, source_keys: Sequence[str]) -> set[str]:
        """Those of them by whose name somebody of this agency was erased."""
        digests = {self._digest(case, key): key for key in source_keys if key}
        if not digests:
            return set()
        rows = await self._work.peek(_BARRED, case.agency_id, list(digests))
        return {digests[row["digest"]] for row in rows}

    async def keyless(self) -> list[Keyless]:
        rows = await self._work.connection.fetch(_KEYLESS)
        return [
            Keyless(
                CaseId(row["case_id"]),
                tuple(PersonId(each) for each in row["persons"]),
                row["readable"],
            )
            for row in rows
        ]

    def begin_anew(self) -> None:
        self._work.write(_BEGIN_ANEW)

    def _digest(self, case: Case, source_key: str) -> bytes:
        said = f"erased:{case.agency_id}:{source_key}".encode()
        return hmac.digest(self._secrets.digest, said, hashlib.sha256)

    def erase_case(self, case: Case) -> None:
        """The household is nobody and allows nothing, and its case is closed. It stays as confidential as it was: an answer that
        became another by this would tell of it."""
        self._work.write(_ERASE_HOUSEHOLD, case.household_id, self._work.now)
        self._work.write(_END_CONSENTS, case.case_id, self._work.now)
        self._work.write(_WITHDRAW_NEEDS, case.case_id, self._work.now)
        self._work.write(_ERASE_CASE, case.case_id, case.version, self._work.now, expect=1)
