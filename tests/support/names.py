"""Made-up people with names as varied as a city's, and the slips with which others write them down.

Names are built from syllables of five kinds of spelling and borne as unevenly as names are: a few by many, most by
few. The same seed makes the same people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.intake.domain.household import Household, Person

# How names begin, and how they end.
_KINDS = tuple(
    (begin.split(), end.split())
    for begin, end in (
        ("ma ri lu ca jo se fer gon lo pe al va", "na ra z lia do ez ía rón"),
        ("wil har ash ed bra mor ken tho dal wes el", "son ton ley ford well man er"),
        ("ka no yu mi ta shi ha ko re su", "ra ko to mi da ki shima moto"),
        ("ol sve mik za bog dra pet kowal nov gru", "ska ov czyk enko ić mir ek"),
        ("a mi kha ba ous di fa na ib ra zai", "med lah ra sane mane la ssa dir"),
    )
)
_LETTERS = "abcdefghijklmnoprstuvwyz"
_FIRST_DAY = date(1936, 1, 1)
_DAYS = 32_500


class People:
    """Persons and households; ask the same object for more, and it goes on."""

    def __init__(self, seed: int, given: int = 4_000, family: int = 30_000) -> None:
        self._random = random.Random(seed)
        self._given = self._made(given, 1)
        self._family = self._made(family, 2)

    def households(self, persons: int) -> Iterator[Household]:
        """Until that many persons are in them."""
        left = persons
        while left > 0:
            size = min(left, self._random.choice((1, 1, 2, 2, 3, 4, 5)))
            left -= size
            family = self._family_name()
            yield Household(persons=tuple(self._person(family, place) for place in range(size)))

    def _person(self, family: str, place: int) -> Person:
        given = self._borne(self._given)
        if self._random.random() < 0.08:
            given = f"{given} {self._borne(self._given)}"
        own = family if place == 0 or self._random.random() < 0.85 else self._family_name()
        known = self._random.random() < 0.95
        born = _FIRST_DAY + timedelta(days=self._random.randrange(_DAYS)) if known else None
        aliases = (self._borne(self._given),) if self._random.random() < 0.05 else ()
        return Person(
            given_name=given,
            family_name=own,
            birth_date=born,
            relationship=1 if place == 0 else 2,
            aliases=aliases,
        )

    def _family_name(self) -> str:
        name = self._borne(self._family)
        chance = self._random.random()
        if chance < 0.06:
            return f"{name}-{self._borne(self._family)}"
        return f"O'{name}" if chance < 0.07 else f"de la {name}" if chance < 0.08 else name

    def _borne(self, names: Sequence[str]) -> str:
        """The fifth of the names is borne by more than half of the people."""
        return names[int(len(names) * self._random.random() ** 3)]

    def _made(self, count: int, longest: int) -> list[str]:
        made: dict[str, None] = {}
        while len(made) < count:
            starts, ends = self._random.choice(_KINDS)
            middle = [self._random.choice(starts) for _ in range(self._random.randint(1, longest + 1))]
            made["".join((*middle, self._random.choice(ends))).capitalize()] = None
        return list(made)


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody is looked for, as somebody else wrote them down; `meant` is who they are, or None: a stranger."""

    kind: str
    name: str
    birth_date: date | None
    meant: Person | None


class Slips:
    """Writes down people's names wrongly, in one way at a time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def asked(self, person: Person) -> Iterator[Asked]:
        """One question of each kind."""
        given, family, born = person.given_name, person.family_name, person.birth_date
        yield Asked("typo in the given name", f"{self.typo(given)} {family}", None, person)
        yield Asked("typo in the family name", f"{given} {self.typo(family)}", None, person)
        yield Asked("neighbours transposed", f"{given} {self.transposed(family)}", None, person)
        yield Asked("names swapped", f"{family} {given}", None, person)
        yield Asked("swapped, and a typo", f"{self.typo(family)} {given}", None, person)
        yield Asked("a typo in each", f"{self.typo(given)} {self.typo(family)}", None, person)
        if born is not None:
            yield Asked("typo, with birth date", f"{given} {self.typo(family)}", born, person)
            yield Asked("birth date with a slip", f"{given} {family}", self.misdated(born), person)

    def typo(self, name: str) -> str:
        """One letter another one, missing, or too many."""
        at = self._letter(name)
        letter = self._random.choice(_LETTERS)
        return name[:at] + self._random.choice(("", letter, letter + name[at])) + name[at + 1 :]

    def transposed(self, name: str) -> str:
        pairs = [n for n in range(len(name) - 1) if name[n : n + 2].isalpha() and name[n] != name[n + 1]]
        at = self._random.choice(pairs)
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]

    def misdated(self, born: date) -> date:
        """Day for month where that is a date, else a year off."""
        if born.day <= 12 and born.day != born.month:
            return born.replace(month=born.day, day=born.month)
        day = 28 if (born.month, born.day) == (2, 29) else born.day
        return born.replace(day=day, year=born.year + self._random.choice((-1, 1)))

    def _letter(self, name: str) -> int:
        return self._random.choice([n for n, letter in enumerate(name) if letter.isalpha()])
