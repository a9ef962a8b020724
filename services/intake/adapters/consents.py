"""Consents, the words they stand on, and who read what, in PostgreSQL."""

from collections.abc import Collection, Sequence
from uuid import UUID

import asyncpg

from services.chassis.keyring import Keyring
from services.chassis.work import Work
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.application.consents_ports import Bars, Read
from services.intake.domain.cases import Case
from services.intake.domain.consents import Consent, ConsentText, EndedBy, Evidence, Purpose
from services.intake.domain.ids import CaseId, ConsentId, PersonId, ReferralId, WorkerName

MOST_READS = 200

_PUBLISH = """
INSERT INTO consent_text (version, language, purpose, body, published_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_TEXT = "SELECT version, language, purpose, body FROM consent_text WHERE version = $1 AND language = $2"
_TEXTS = (
    "SELECT version, language, purpose, body FROM consent_text ORDER BY published_at DESC, version, language"
)
_KEEP_KEY = """
INSERT INTO keystore.subject_key (subject_id, agency_id, wrapped, created_at) VALUES ($1, $2, $3, $4)
"""
_RECORD = """
INSERT INTO consent (consent_id, case_id, agency_id, person_ids, signer_id, purpose, referral_id, text_version,
                     text_language, evidence, sealed, given_on, until_date, recorded_by, recorded_at, by_advocate)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
# Without its key, which goes with the persons, a consent remains; where its evidence lies does not.
_OF_CASE = """
SELECT consent_id, person_ids, signer_id, purpose, referral_id, text_version, text_language, evidence, sealed,
       given_on, until_date, ended_by, by_advocate, wrapped
FROM consent LEFT JOIN keystore.subject_key ON subject_id = consent_id
WHERE case_id = $1 ORDER BY recorded_at DESC, consent_id
"""
_KEYLESS = """
SELECT consent_id FROM consent
WHERE case_id = $1 AND ended_at IS NULL AND NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = consent_id)
"""
_END = "UPDATE consent SET ended_at = $2, ended_by = $3 WHERE consent_id = $1 AND ended_at IS NULL"
_BAR = """
INSERT INTO barred_signer (person_id, case_id, agency_id, barred_by, barred_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_UNBAR = "DELETE FROM barred_signer WHERE person_id = $1"
_TAKE_ALONG = "UPDATE barred_signer SET case_id = $2 WHERE person_id = ANY ($1::uuid[])"
_BARRED_IN = "SELECT person_id FROM barred_signer WHERE case_id = $1"
_BARS = """
SELECT person_id FROM barred_signer
WHERE person_id = ANY ($2::uuid[]) OR case_id = ANY ($1::uuid[])
"""
# What concerned the household as a whole concerned each of its persons. Who left for another household is not told of
# here any more, from that moment on: that they stop being told of says nothing of whether they hide.
_READS = """
SELECT read_id, at, reader, agency, log.person_id, why, consent
FROM access_log AS log LEFT JOIN person USING (person_id)
WHERE (log.case_id = $1 AND person.person_id IS NULL
       OR person.household_id = (SELECT household_id FROM case_file WHERE case_id = $1))
  AND ($2::uuid IS NULL OR log.person_id = $2 OR log.person_id IS NULL)
  AND ($3::uuid IS NULL OR access_id < (SELECT access_id FROM access_log WHERE read_id = $3))
ORDER BY access_id DESC LIMIT $4
"""


class PostgresConsents:
    def __init__(self, work: Work, keyring: Keyring, agencies: PostgresAgencies) -> None:
        self._work = work
        self._keyring = keyring
        self._agencies = agencies

    async def publish(self, text: ConsentText) -> ConsentText:
        words = (text.version, text.language)
        await self._work.connection.execute(_PUBLISH, *words, text.purpose.value, text.body, self._work.now)
        row = await self._work.connection.fetchrow(_TEXT, *words)
        if row is None:
            raise LookupError("words that were just published are gone")
        return _text(row)

    async def text(self, version: str, language: str) -> ConsentText | None:
        rows = await self._work.peek(_TEXT, version, language)
        return _text(rows[0]) if rows else None

    async def texts(self) -> list[ConsentText]:
        return [_text(row) for row in await self._work.peek(_TEXTS)]

    async def record(self, case: Case, consent: Consent, by: WorkerName) -> None:
        subject = str(consent.consent_id)
        agency_key = await self._agencies.key(case.agency_id)
        key, wrapped = self._keyring.new_person_key(agency_key, subject)
        sealed = key.seal(consent.note.encode(), _context(subject))
        self._work.write(_KEEP_KEY, consent.consent_id, case.agency_id, wrapped, self._work.now)
        self._work.write(
            _RECORD, consent.consent_id, case.case_id, case.agency_id, list(consent.persons), consent.signer,
            consent.purpose.value, consent.referral_id, consent.text_version, consent.text_language,
            consent.evidence.value, sealed, consent.given_on, consent.until_date, by, self._work.now,
            consent.by_advocate,
        )  # fmt: skip

    async def of_case(self, case: Case) -> list[Consent]:
        rows = await self._work.peek(_OF_CASE, case.case_id)
        if not rows:
            return []
        agency_key = await self._agencies.key(case.agency_id)
        notes = []
        for row in rows:
            subject, note = str(row["consent_id"]), ""
            if row["wrapped"] is not None:
                key = self._keyring.person_key(agency_key, subject, row["wrapped"])
                note = key.open(row["sealed"], _context(subject)).decode()
            notes.append(note)
        return [_consent(row, note) for row, note in zip(rows, notes, strict=True)]

    async def keyless(self, case_id: CaseId) -> Collection[ConsentId]:
        return {ConsentId(row["consent_id"]) for row in await self._work.peek(_KEYLESS, case_id)}

    def end(self, consent_id: ConsentId, by: EndedBy) -> None:
        self._work.write(_END, consent_id, self._work.now, by.value)

    def bar(self, case: Case, person_id: PersonId, by: WorkerName) -> None:
        self._work.write(_BAR, person_id, case.case_id, case.agency_id, by, self._work.now)

    async def barred_in(self, case_id: CaseId) -> Collection[PersonId]:
        return {PersonId(row["person_id"]) for row in await self._work.peek(_BARRED_IN, case_id)}

    def unbar(self, person_id: PersonId) -> None:
        self._work.write(_UNBAR, person_id)

    def take_bars_along(self, persons: Collection[PersonId], to: CaseId) -> None:
        self._work.write(_TAKE_ALONG, list(persons), to)

    async def bars(self, case_ids: Collection[CaseId], members: Collection[PersonId]) -> Bars:
        rows = await self._work.peek(_BARS, list(case_ids), list(members))
        barred = {PersonId(row["person_id"]) for row in rows}
        return Bars(barred.intersection(members), not barred.issubset(members))

    async def reads(self, case_id: CaseId, person_id: PersonId | None, after: UUID | None) -> Sequence[Read]:
        rows = await self._work.peek(_READS, case_id, person_id, after, MOST_READS)
        return [
            Read(
                row["read_id"], row["at"], row["reader"], row["agency"],
                None if row["person_id"] is None else PersonId(row["person_id"]), row["why"], row["consent"],
            )
            for row in rows
        ]  # fmt: skip


def _context(consent: str) -> str:
    return f"consent:{consent}"


def _text(row: asyncpg.Record) -> ConsentText:
    return ConsentText(row["version"], row["language"], Purpose(row["purpose"]), row["body"])


def _consent(row: asyncpg.Record, note: str) -> Consent:
    referral_id: UUID | None = row["referral_id"]
    return Consent(
        consent_id=ConsentId(row["consent_id"]),
        persons=tuple(map(PersonId, row["person_ids"])),
        signer=PersonId(row["signer_id"]),
        purpose=Purpose(row["purpose"]),
        referral_id=None if referral_id is None else ReferralId(referral_id),
        text_version=row["text_version"],
        text_language=row["text_language"],
        evidence=Evidence(row["evidence"]),
        note=note,
        given_on=row["given_on"],
        until_date=row["until_date"],
        ended_by=None if row["ended_by"] is None else EndedBy(row["ended_by"]),
        by_advocate=row["by_advocate"],
    )
