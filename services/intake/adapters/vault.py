"""The vault: what is said of persons and households, sealed with a key of each."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.chassis.keyring import DataKey, Keyring
from services.chassis.work import Work
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.application.ports import HouseholdSecrets, KnownHousehold, KnownPerson, NewCase
from services.intake.domain.cases import Case
from services.intake.domain.household import AgeBand, Household, Person
from services.intake.domain.ids import AgencyId, HouseholdId, PersonId

_PERSONS = """
SELECT person_id, person.sealed, wrapped
FROM person JOIN keystore.subject_key ON subject_id = person_id
WHERE household_id = $1 ORDER BY position
"""
_SECRETS = """
SELECT sealed, wrapped
FROM household JOIN keystore.subject_key ON subject_id = household_id
WHERE household_id = $1
"""
_KEEP_KEYS = """
INSERT INTO keystore.subject_key (subject_id, agency_id, wrapped, created_at)
SELECT subject_id, $2, wrapped, $4 FROM unnest($1::uuid[], $3::bytea[]) AS new (subject_id, wrapped)
ON CONFLICT (subject_id) DO UPDATE SET wrapped = EXCLUDED.wrapped
"""
_KEEP_PERSONS = """
INSERT INTO person (person_id, household_id, agency_id, position, sealed)
SELECT person_id, $2, $3, position, sealed
FROM unnest($1::uuid[], $4::smallint[], $5::bytea[]) AS new (person_id, position, sealed)
ON CONFLICT (person_id) DO UPDATE SET position = EXCLUDED.position, sealed = EXCLUDED.sealed
"""
_KEEP_HOUSEHOLD = """
INSERT INTO household
    (household_id, agency_id, adults, children, infants, newborn_space_from_week, wheelchair, pets,
     unsheltered, confidential, area, revision, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (household_id) DO UPDATE
SET adults = EXCLUDED.adults, children = EXCLUDED.children, infants = EXCLUDED.infants,
    newborn_space_from_week = EXCLUDED.newborn_space_from_week, wheelchair = EXCLUDED.wheelchair,
    pets = EXCLUDED.pets, unsheltered = EXCLUDED.unsheltered, confidential = EXCLUDED.confidential,
    area = EXCLUDED.area, revision = EXCLUDED.revision, sealed = EXCLUDED.sealed
"""
# Whoever is no longer of the household goes, and the key before the person: nobody can read what is left
# behind.
_FORGET_KEYS = """
DELETE FROM keystore.subject_key
WHERE subject_id IN (SELECT person_id FROM person WHERE household_id = $1 AND person_id <> ALL ($2::uuid[]))
"""
_FORGET_PERSONS = "DELETE FROM person WHERE household_id = $1 AND person_id <> ALL ($2::uuid[])"


@dataclass(frozen=True, slots=True)
class _Sealed:
    """One thing sealed with a fresh key of its own."""

    subject_id: UUID
    wrapped: bytes
    sealed: bytes


class PostgresVault:
    def __init__(self, work: Work, keyring: Keyring, agencies: PostgresAgencies) -> None:
        self._work = work
        self._keyring = keyring
        self._agencies = agencies

    async def keep(self, case: NewCase) -> None:
        """Seal what is new."""
        await self._keep(case.household_id, case.agency_id, case.known)

    async def change(self, case: Case, known: KnownHousehold) -> None:
        """Seal anew, each with a fresh key; whoever is no longer in the household is forgotten."""
        staying = [each.person_id for each in known.persons]
        self._work.write(_FORGET_KEYS, case.household_id, staying)
        self._work.write(_FORGET_PERSONS, case.household_id, staying)
        await self._keep(case.household_id, case.agency_id, known)

    async def persons(self, case: Case) -> list[KnownPerson]:
        rows = await self._work.peek(_PERSONS, case.household_id)
        agency_key = await self._agencies.key(case.agency_id)
        return [
            self._open_person(agency_key, row["person_id"], row["wrapped"], row["sealed"]) for row in rows
        ]

    async def known(self, case: Case) -> KnownHousehold:
        persons, secrets = tuple(await self.persons(case)), await self.secrets(case)
        facts = case.facts
        household = Household(
            persons=tuple(each.person for each in persons),
            wheelchair=facts.wheelchair,
            pets=facts.pets,
            unsheltered=facts.unsheltered,
            survivor=secrets.survivor,
            fleeing=secrets.fleeing,
            area=facts.area,
            handoff_point=secrets.handoff_point,
            handoff_slot=secrets.handoff_slot,
        )
        return KnownHousehold(household, persons, facts)

    async def secrets(self, case: Case) -> HouseholdSecrets:
        [row] = await self._work.peek(_SECRETS, case.household_id)
        agency_key = await self._agencies.key(case.agency_id)
        subject = str(case.household_id)
        key = self._keyring.person_key(agency_key, subject, row["wrapped"])
        return HouseholdSecrets(**json.loads(key.open(row["sealed"], f"household:{subject}")))

    async def _keep(self, household_id: HouseholdId, agency_id: AgencyId, known: KnownHousehold) -> None:
        agency_key = await self._agencies.key(agency_id)
        household, facts = known.household, known.facts
        said = {
            "survivor": household.survivor, "fleeing": household.fleeing,
            "handoff_point": household.handoff_point, "handoff_slot": household.handoff_slot,
        }  # fmt: skip
        whole = self._seal(agency_key, household_id, "household", said)
        each = [self._seal(agency_key, one.person_id, "person", _told(one)) for one in known.persons]
        self._work.write(
            _KEEP_HOUSEHOLD, household_id, agency_id, facts.adults, facts.children, facts.infants,
            facts.newborn_space_from_week, facts.wheelchair, facts.pets, facts.unsheltered,
            facts.confidential, facts.area, facts.revision, whole.sealed,
        )  # fmt: skip
        ids = [one.subject_id for one in each]
        sealed = [one.sealed for one in each]
        self._work.write(_KEEP_PERSONS, ids, household_id, agency_id, list(range(len(each))), sealed)
        wrapped = [whole.wrapped, *(one.wrapped for one in each)]
        self._work.write(_KEEP_KEYS, [household_id, *ids], agency_id, wrapped, self._work.now)

    def _seal(self, agency_key: DataKey, subject_id: UUID, what: str, said: dict[str, Any]) -> _Sealed:
        subject = str(subject_id)
        key, wrapped = self._keyring.new_person_key(agency_key, subject)
        return _Sealed(subject_id, wrapped, key.seal(json.dumps(said).encode(), f"{what}:{subject}"))

    def _open_person(
        self, agency_key: DataKey, person_id: UUID, wrapped: bytes, sealed: bytes
    ) -> KnownPerson:
        subject = str(person_id)
        key = self._keyring.person_key(agency_key, subject, wrapped)
        return _read(PersonId(person_id), json.loads(key.open(sealed, f"person:{subject}")))


def _told(known: KnownPerson) -> dict[str, Any]:
    """A person as it is sealed."""
    person = known.person
    return {
        "given_name": person.given_name,
        "family_name": person.family_name,
        "birth_date": _iso(person.birth_date),
        "age_band": None if person.age_band is None else person.age_band.value,
        "relationship": person.relationship,
        "due_date": _iso(person.due_date),
        "note": person.note,
        "contact": person.contact,
        "source_key": known.source_key,
    }


def _read(person_id: PersonId, told: dict[str, Any]) -> KnownPerson:
    person = Person(
        given_name=told["given_name"],
        family_name=told["family_name"],
        birth_date=_date(told["birth_date"]),
        age_band=None if told["age_band"] is None else AgeBand(told["age_band"]),
        relationship=told["relationship"],
        due_date=_date(told["due_date"]),
        note=told["note"],
        contact=told["contact"],
    )
    return KnownPerson(person_id, person, told["source_key"])


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
