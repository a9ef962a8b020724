"""Why two cases may be with one household: suggested with a reason and a score, decided by a worker."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.intake.domain.household import Person
from services.intake.domain.ids import PersonId
from services.intake.domain.search import LIKELY, Birth, birth_of, words_of

MOST_DUPLICATES = 10
FURTHER = 0.04
"""What each further person who is alike adds to a case's score: a family is rarely alike by chance."""

_BIRTH_WORDS = {
    Birth.SAME: "same-birth-date",
    Birth.ALIKE: "birth-date-alike",
    Birth.UNKNOWN: "birth-date-unknown",
}


@dataclass(frozen=True, slots=True)
class Likeness:
    """A person of the one case and a person of the other, and what is alike, in stable words."""

    person_id: PersonId
    other_id: PersonId
    score: float
    reason: str


def likeness(one: tuple[PersonId, Person], other: tuple[PersonId, Person], score: float) -> Likeness | None:
    """None when the birth dates say that they are two, or when too little is alike to trouble anybody."""
    birth = birth_of(one[1].birth_date, other[1].birth_date)
    if birth is Birth.OTHER or score < LIKELY:
        return None
    names = _names(one[1], other[1])
    if birth is Birth.UNKNOWN and names == "names-alike":
        return None
    return Likeness(one[0], other[0], score, f"{_BIRTH_WORDS[birth]}-and-{names}")


def _names(one: Person, other: Person) -> str:
    given, family = words_of(one.given_name), words_of(one.family_name)
    other_given, other_family = words_of(other.given_name), words_of(other.family_name)
    if (given, family) == (other_given, other_family):
        return "same-names"
    if sorted(given + family) == sorted(other_given + other_family):
        return "names-swapped"
    aliases = {tuple(sorted(words_of(alias))) for person in (one, other) for alias in person.aliases}
    if aliases & {tuple(sorted(given + family)), tuple(sorted(other_given + other_family))}:
        return "known-by-alias"
    return "names-alike"


@dataclass(frozen=True, slots=True)
class Resemblance:
    """All that is alike between the case and another one."""

    likenesses: tuple[Likeness, ...] = field(repr=False)

    @property
    def score(self) -> float:
        best = max(each.score for each in self.likenesses)
        return min(1.0, best + FURTHER * (len(self.likenesses) - 1))


def resemblance(found: Iterable[Likeness]) -> Resemblance:
    """Each person stands for one of the other case at most, the most alike first."""
    chosen: list[Likeness] = []
    ones, others = set[PersonId](), set[PersonId]()
    for each in sorted(found, key=lambda each: -each.score):
        if each.person_id not in ones and each.other_id not in others:
            ones.add(each.person_id)
            others.add(each.other_id)
            chosen.append(each)
    return Resemblance(tuple(chosen))
