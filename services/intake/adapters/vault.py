"""The vault: what is said of persons and households, sealed with a key of each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, time
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.chassis.keyring import DataKey, Keyring, UnreadableError
from services.chassis.work import Work
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.adapters.one_place import PostgresOnePlaces
from services.intake.application.ports import HouseholdSecrets, KnownHousehold, KnownPerson, NewCase
from services.intake.domain.cases import Case
from services.intake.domain.contact import Channel, SafeContact, Voicemail
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
_KEYS = "SELECT subject_id, wrapped FROM keystore.subject_key WHERE subject_id = ANY ($1::uuid[])"
# A subject's first key stays: what others sealed with it must open, too.
_KEEP_KEYS = """
INSERT INTO keystore.subject_key (subject_id, agency_id, wrapped, created_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::timestamptz[])
"""
_NEW_HOUSEHOLDS = """
INSERT INTO household
    (household_id, agency_id, adults, children, infants, newborn_space_from_week, wheelchair, pets,
     unsheltered, confidential, area, avoid, revision, sealed)
SELECT household_id, agency_id, adults, children, infants, newborn_space_from_week, wheelchair, pets,
       unsheltered, confidential, area, string_to_array(avoid, ','), revision, sealed
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::boolean[],
            $8::boolean[], $9::boolean[], $10::boolean[], $11::text[], $12::text[], $13::bigint[], $14::bytea[])
     AS new (household_id, agency_id, adults, children, infants, newborn_space_from_week, wheelchair, pets,
             unsheltered, confidential, area, avoid, revision, sealed)
"""
_NEW_PERSONS = """
INSERT INTO person (person_id, household_id, agency_id, position, sealed)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::bytea[])
"""
_KEEP_PERSONS = """
INSERT INTO person (person_id, household_id, agency_id, position, sealed)
SELECT person_id, $2, $3, position, sealed
FROM unnest($1::uuid[], $4::smallint[], $5::bytea[]) AS new (person_id, position, sealed)
ON CONFLICT (person_id) DO UPDATE
SET household_id = EXCLUDED.household_id, position = EXCLUDED.position, sealed = EXCLUDED.sealed
"""
_KEEP_HOUSEHOLD = """
INSERT INTO household
    (household_id, agency_id, adults, children, infants, newborn_space_from_week, wheelchair, pets,
     unsheltered, confidential, area, avoid, revision, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (household_id) DO UPDATE
SET adults = EXCLUDED.adults, children = EXCLUDED.children, infants = EXCLUDED.infants,
    newborn_space_from_week = EXCLUDED.newborn_space_from_week, wheelchair = EXCLUDED.wheelchair,
    pets = EXCLUDED.pets, unsheltered = EXCLUDED.unsheltered, confidential = EXCLUDED.confidential,
    area = EXCLUDED.area, avoid = EXCLUDED.avoid, revision = EXCLUDED.revision, sealed = EXCLUDED.sealed
"""
# Whoever is no longer of the household goes, and the key before the person: nobody can read what is left
# behind.
_FORGET_KEYS = """
DELETE FROM keystore.subject_key
WHERE subject_id IN (SELECT person_id FROM person WHERE household_id = $1 AND person_id <> ALL ($2::uuid[]))
"""
_FORGET_PERSONS = "DELETE FROM person WHERE household_id = $1 AND person_id <> ALL ($2::uuid[])"


Keys = Mapping[UUID, DataKey]


class PostgresVault:
    def __init__(
        self, work: Work, keyring: Keyring, agencies: PostgresAgencies, one_places: PostgresOnePlaces
    ) -> None:
        self._work = work
        self._keyring = keyring
        self._agencies = agencies
        self._one_places = one_places

    async def keep(self, case: NewCase) -> None:
        """Seal what is new; persons who come from another household keep their keys."""
        await self._one_places.begin(case.case_id, case.household_id, case.agency_id, case.known)
        if case.parted:
            persons = [each.person_id for each in case.known.persons]
            keys = await self._keys(case.agency_id, persons)
            await self._keep(case.household_id, case.agency_id, case.known, keys)
        else:
            await self._begin(case.household_id, case.agency_id, case.known)

    async def change(self, case: Case, known: KnownHousehold, leaving: Collection[PersonId] = ()) -> None:
        """Seal anew. Whoever is no longer in the household is forgotten, but for those who are `leaving` for
        another one, whose case is kept in the same work."""
        staying = [each.person_id for each in known.persons]
        remembered = [*staying, *leaving]
        self._work.write(_FORGET_KEYS, case.household_id, remembered)
        self._work.write(_FORGET_PERSONS, case.household_id, remembered)
        keys = await self._keys(case.agency_id, [case.household_id, *staying])
        await self._one_places.change(case, known)
        await self._keep(case.household_id, case.agency_id, known, keys)

    async def key(self, agency_id: AgencyId, subject_id: UUID) -> DataKey:
        """The key of a person or a household, to seal what else is kept of them. LookupError: forgotten."""
        return (await self._keys(agency_id, [subject_id]))[subject_id]

    async def persons(self, case: Case) -> list[KnownPerson]:
        rows = await self._work.peek(_PERSONS, case.household_id)
        agency_key = await self._agencies.key(case.agency_id)
        return [
            self._open_person(agency_key, row["person_id"], row["wrapped"], row["sealed"]) for row in rows
        ]

    async def opener(self, agency_id: AgencyId) -> Callable[[asyncpg.Record], KnownPerson]:
        """Opens rows of `person_id`, `sealed` and `wrapped` of that agency, any number with one agency key."""
        agency_key = await self._agencies.key(agency_id)
        return lambda row: self._open_person(agency_key, row["person_id"], row["wrapped"], row["sealed"])

    async def known(self, case: Case) -> KnownHousehold:
        return await self._known(case, await self.secrets(case))

    async def left(self, case: Case) -> KnownHousehold:
        """As a backup has it that was made before one of them was erased: the key of what was said of the household
        then is gone. Whether it hides is all that is known of that."""
        try:
            secrets = await self.secrets(case)
        except UnreadableError:
            secrets = _secrets(_said(Household((), survivor=case.facts.confidential)))
        return await self._known(case, secrets)

    async def _known(self, case: Case, secrets: HouseholdSecrets) -> KnownHousehold:
        persons, facts = tuple(await self.persons(case)), case.facts
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
            lifted=secrets.lifted,
            safe_contact=secrets.safe_contact,
            avoid=facts.avoid,
            avoid_words=secrets.avoid_words,
        )
        return KnownHousehold(household, persons, facts)

    async def secrets(self, case: Case) -> HouseholdSecrets:
        [row] = await self._work.peek(_SECRETS, case.household_id)
        agency_key = await self._agencies.key(case.agency_id)
        subject = str(case.household_id)
        self._work.subjects.add(case.household_id)
        key = self._keyring.person_key(agency_key, subject, row["wrapped"])
        return _secrets(msgspec.json.decode(key.open(row["sealed"], f"household:{subject}")))

    async def _keys(self, agency_id: AgencyId, subjects: Sequence[UUID]) -> Keys:
        """The keys that these subjects have, as far as they have one."""
        agency_key = await self._agencies.key(agency_id)
        self._work.subjects.update(subjects)
        return {
            row["subject_id"]: self._keyring.person_key(agency_key, str(row["subject_id"]), row["wrapped"])
            for row in await self._work.peek(_KEYS, list(subjects))
        }

    async def _keep(
        self, household_id: HouseholdId, agency_id: AgencyId, known: KnownHousehold, keys: Keys
    ) -> None:
        """Sealed with the `keys` that there are, and with new ones for who has none."""
        ids = [one.person_id for one in known.persons]
        fresh = await self._fresh_keys(agency_id, [each for each in (household_id, *ids) if each not in keys])
        household, facts, keys = known.household, known.facts, {**keys, **fresh}
        whole = _sealed(keys, household_id, "household", _said(household))
        each = [_sealed(keys, one.person_id, "person", _told(one)) for one in known.persons]
        self._work.write(
            _KEEP_HOUSEHOLD, household_id, agency_id, facts.adults, facts.children, facts.infants,
            facts.newborn_space_from_week, facts.wheelchair, facts.pets, facts.unsheltered,
            facts.confidential, facts.area, sorted(facts.avoid), facts.revision, whole,
        )  # fmt: skip
        self._work.write(_KEEP_PERSONS, ids, household_id, agency_id, list(range(len(each))), each)

    async def _begin(self, household_id: HouseholdId, agency_id: AgencyId, known: KnownHousehold) -> None:
        """Nothing of the household is there yet, so many of one work are written together."""
        persons, facts = known.persons, known.facts
        keys = await self._fresh_keys(agency_id, [household_id, *(one.person_id for one in persons)])
        self._work.collect(
            _NEW_HOUSEHOLDS, household_id, agency_id, facts.adults, facts.children, facts.infants,
            facts.newborn_space_from_week, facts.wheelchair, facts.pets, facts.unsheltered,
            facts.confidential, facts.area, ",".join(sorted(facts.avoid)), facts.revision,
            _sealed(keys, household_id, "household", _said(known.household)), in_place=True,
        )  # fmt: skip
        for position, one in enumerate(persons):
            sealed = _sealed(keys, one.person_id, "person", _told(one))
            self._work.collect(
                _NEW_PERSONS, one.person_id, household_id, agency_id, position, sealed, in_place=True
            )

    async def _fresh_keys(self, agency_id: AgencyId, subjects: Sequence[UUID]) -> Keys:
        """New keys for those who have none."""
        if not subjects:
            return {}
        agency_key = await self._agencies.key(agency_id)
        self._work.subjects.update(subjects)
        keys = {}
        for subject in subjects:
            keys[subject], wrapped = self._keyring.new_person_key(agency_key, str(subject))
            self._work.collect(_KEEP_KEYS, subject, agency_id, wrapped, self._work.now, in_place=True)
        return keys

    def _open_person(
        self, agency_key: DataKey, person_id: UUID, wrapped: bytes, sealed: bytes
    ) -> KnownPerson:
        subject = str(person_id)
        self._work.subjects.add(person_id)
        key = self._keyring.person_key(agency_key, subject, wrapped)
        return _read(PersonId(person_id), msgspec.json.decode(key.open(sealed, f"person:{subject}")))


def _sealed(keys: Keys, subject_id: UUID, what: str, said: dict[str, Any]) -> bytes:
    return keys[subject_id].seal(msgspec.json.encode(said), f"{what}:{subject_id}")


def _said(household: Household) -> dict[str, Any]:
    """What is sealed of a household as a whole."""
    contact = household.safe_contact
    return {
        "survivor": household.survivor,
        "fleeing": household.fleeing,
        "lifted": household.lifted,
        "handoff_point": household.handoff_point,
        "handoff_slot": household.handoff_slot,
        "avoid_words": household.avoid_words,
        "safe_contact": {
            "channel": contact.channel.value,
            "address": contact.address,
            "earliest": contact.earliest.isoformat(),
            "latest": contact.latest.isoformat(),
            "voicemail": contact.voicemail.value,
        },
    }


def _secrets(said: dict[str, Any]) -> HouseholdSecrets:
    contact = said["safe_contact"]
    return HouseholdSecrets(
        survivor=said["survivor"],
        fleeing=said["fleeing"],
        lifted=said["lifted"],
        handoff_point=said["handoff_point"],
        handoff_slot=said["handoff_slot"],
        avoid_words=said["avoid_words"],
        safe_contact=SafeContact(
            channel=Channel(contact["channel"]),
            address=contact["address"],
            earliest=time.fromisoformat(contact["earliest"]),
            latest=time.fromisoformat(contact["latest"]),
            voicemail=Voicemail(contact["voicemail"]),
        ),
    )


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
        "aliases": list(person.aliases),
        "source_key": known.source_key,
        "source_due": _iso(known.source_due),
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
        aliases=tuple(told.get("aliases", ())),
    )
    return KnownPerson(person_id, person, told["source_key"], _date(told.get("source_due")))


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
