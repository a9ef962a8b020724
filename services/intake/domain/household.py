"""Households and persons, and the little of them that may be known outside intake."""

import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import Enum
from uuid import UUID

from services.intake.domain.contact import NOBODY, SafeContact, checked_contact
from services.intake.domain.refusal import invalid

MOST_AVOIDED = 50
MOST_PERSONS = 30
LONGEST_NAME = 200
MOST_ALIASES = 10
LONGEST_NOTE = 4_000
LONGEST_PLACE = 500
BEFORE_THE_DUE_DATE = timedelta(days=14)
AFTER_THE_DUE_DATE = timedelta(days=42)
OLDEST = timedelta(days=366 * 120)
FARTHEST_DUE = timedelta(days=310)


_AREA = re.compile(r"[a-z][a-z0-9-]{1,39}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class AgeBand(Enum):
    """What is said of an age outside intake."""

    INFANT = "infant"
    CHILD = "child"
    ADULT = "adult"


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a household. Nothing personal shows in a `repr`, so that no stray log line can carry it
    out."""

    given_name: str = field(default="", repr=False)
    family_name: str = field(default="", repr=False)
    birth_date: date | None = field(default=None, repr=False)
    age_band: AgeBand | None = field(default=None, repr=False)
    relationship: int = field(default=99, repr=False)
    due_date: date | None = field(default=None, repr=False)
    note: str = field(default="", repr=False)
    contact: str = field(default="", repr=False)
    aliases: tuple[str, ...] = field(default=(), repr=False)
    """Other names the person goes by; somebody can be found again by each."""


@dataclass(frozen=True, slots=True)
class Household:
    """Who was met, as the agency says it.

    `lifted`: an advocate said that it hides from nobody any more, whatever is recorded of its past. `avoid` are
    ids of offers or of their providers, where it must never be sent; `avoid_words` says in its own words where
    and why, and never leaves intake.
    """

    persons: tuple[Person, ...]
    wheelchair: bool = False
    pets: bool = False
    unsheltered: bool = False
    survivor: bool = field(default=False, repr=False)
    fleeing: bool = field(default=False, repr=False)
    area: str = ""
    handoff_point: str = field(default="", repr=False)
    handoff_slot: str = field(default="", repr=False)
    lifted: bool = field(default=False, repr=False)
    safe_contact: SafeContact = field(default=NOBODY, repr=False)
    avoid: frozenset[str] = field(default=frozenset(), repr=False)
    avoid_words: str = field(default="", repr=False)

    @property
    def confidential(self) -> bool:
        """Hiding from somebody is the default for anyone recorded as a survivor or fleeing."""
        return (self.survivor or self.fleeing) and not self.lifted

    def hiding_since(self, before: bool) -> "Household":
        """Once confidential, always, until an advocate lifts it: whoever no longer says so does not."""
        return replace(self, survivor=True) if before and not self.confidential else self

    def hides_anew(self, before: "Household") -> "Household":
        """What an advocate lifted stays lifted until something new is said: a survivor, or fleeing, that was not.

        And what is confidential stays so, whoever no longer says why.
        """
        news = (self.survivor and not before.survivor) or (self.fleeing and not before.fleeing)
        kept = replace(self, lifted=before.lifted and not news)
        return kept.hiding_since(before.confidential)


@dataclass(frozen=True, slots=True)
class OnePlace:
    """By which random name the household's one place for a night goes: the same for every entry of one household,
    none while it hides. `revision` rises with every change of it, on its own."""

    key: UUID | None
    revision: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What others may know of a household: sizes, bands and flags.

    `newborn_space_from_week` is an ISO week ("2026-W48") or empty, and stands in for a due date. `revision`
    rises by one with every change of the household, told or not, so that whoever hears of facts in another order
    keeps the newest, and of two workers who change it at once the second notices. `avoid` are ids of offers or of
    their providers, to none of which the household may be sent. `one_place` is None where nothing is said of it,
    and is no part of what makes facts differ: it has a revision of its own.
    """

    adults: int
    children: int
    infants: int
    newborn_space_from_week: str
    wheelchair: bool
    pets: bool
    unsheltered: bool
    confidential: bool
    area: str
    revision: int
    avoid: frozenset[str] = frozenset()
    one_place: OnePlace | None = field(default=None, compare=False)

    @property
    def nobody(self) -> bool:
        """Whether its last person was erased."""
        return not (self.adults or self.children or self.infants)

    def differ_from(self, other: "Facts") -> bool:
        return replace(self, revision=other.revision) != other


def age_band(person: Person, today: date) -> AgeBand:
    """The band on that day; a person of unknown age counts as an adult."""
    if person.birth_date is None:
        return person.age_band or AgeBand.ADULT
    years = today.year - person.birth_date.year
    if (today.month, today.day) < (person.birth_date.month, person.birth_date.day):
        years -= 1
    if years < 2:
        return AgeBand.INFANT
    return AgeBand.CHILD if years < 18 else AgeBand.ADULT


def facts_of(household: Household, today: date, revision: int) -> Facts:
    """What may be known of the household on that day."""
    bands = [age_band(person, today) for person in household.persons]
    return Facts(
        adults=bands.count(AgeBand.ADULT),
        children=bands.count(AgeBand.CHILD),
        infants=bands.count(AgeBand.INFANT),
        newborn_space_from_week=_newborn_space_from_week(household, today),
        wheelchair=household.wheelchair,
        pets=household.pets,
        unsheltered=household.unsheltered,
        confidential=household.confidential,
        area=household.area,
        revision=revision,
        avoid=household.avoid,
    )


def _newborn_space_from_week(household: Household, today: date) -> str:
    """Space is needed from two weeks before the earliest due date: births come early, and a week is not a
    day.

    A due date that passed six weeks ago says nothing any more: the child is a person of the household by now.
    """
    dues = [person.due_date for person in household.persons if person.due_date is not None]
    current = [due for due in dues if due + AFTER_THE_DUE_DATE >= today]
    if not current:
        return ""
    year, week, _ = (min(current) - BEFORE_THE_DUE_DATE).isocalendar()
    return f"{year}-W{week:02d}"


def checked(household: Household, today: date) -> Household:
    """The household, if it can be one. Refusals name the field, never what was in it."""
    if not household.persons:
        raise invalid("household-empty", "A household has at least one person.", field="household.persons")
    if len(household.persons) > MOST_PERSONS:
        raise invalid(
            "household-too-large", f"At most {MOST_PERSONS} persons fit one case.", field="household.persons"
        )
    for index, person in enumerate(household.persons):
        _check_person(person, today, f"household.persons[{index}]")
    _check_area(household.area)
    _check_text(household.handoff_point, LONGEST_PLACE, "household.handoff_point")
    _check_text(household.handoff_slot, LONGEST_PLACE, "household.handoff_slot")
    _check_text(household.avoid_words, LONGEST_NOTE, "household.avoid_words")
    if len(household.avoid) > MOST_AVOIDED:
        raise invalid("too-many-places", f"At most {MOST_AVOIDED} places fit.", field="household.avoid")
    checked_contact(household.safe_contact)
    return household


def _check_area(area: str) -> None:
    """The one text that leaves intake, down to the public list: it can only be a word, never a name or address.

    Which words are areas of the region, the region says (`AID_AREAS`).
    """
    if area and not _AREA.fullmatch(area):
        raise invalid(
            "area-invalid",
            "An area is a word of lower-case letters, digits and hyphens.",
            field="household.area",
        )


def _check_person(person: Person, today: date, where: str) -> None:
    _check_text(person.given_name, LONGEST_NAME, f"{where}.given_name")
    _check_text(person.family_name, LONGEST_NAME, f"{where}.family_name")
    _check_text(person.contact, LONGEST_PLACE, f"{where}.contact")
    if len(person.aliases) > MOST_ALIASES:
        raise invalid("too-many-aliases", f"At most {MOST_ALIASES} aliases fit.", field=f"{where}.aliases")
    for alias in person.aliases:
        _check_text(alias, LONGEST_NAME, f"{where}.aliases")
    _check_text(person.note, LONGEST_NOTE, f"{where}.note")
    born, due = person.birth_date, person.due_date
    if born is not None and not today - OLDEST <= born <= today + timedelta(days=1):
        raise invalid(
            "birth-date-impossible", "Nobody here was born on that day.", field=f"{where}.birth_date"
        )
    if due is not None and not today - FARTHEST_DUE <= due <= today + FARTHEST_DUE:
        raise invalid("due-date-impossible", "No birth is expected on that day.", field=f"{where}.due_date")


def _check_text(text: str, longest: int, where: str) -> None:
    if not text:
        return
    if len(text) > longest:
        raise invalid("text-too-long", f"At most {longest} characters fit.", field=where)
    if _CONTROL.search(text):
        raise invalid("text-not-printable", "The text holds a control character.", field=where)
