"""The persons of one agency in memory, found by names as people spell them. Nothing of it is ever written down."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from sys import intern

from rapidfuzz import process
from rapidfuzz.distance import OSA

from services.intake.domain.household import Person
from services.intake.domain.ids import HouseholdId, PersonId
from services.intake.domain.search import (
    POSSIBLE,
    Candidate,
    Known,
    Wanted,
    known_by,
    score,
    slips,
    spellings,
)

SHORT = 4
# Words as short as these ("de", "la") lead to nobody by themselves.
PARTICLE = 2
# More than these are never scored for one search: nobody looks for "all whose name is like Maria".
MOST_SCORED = 20_000

Alike = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class _Entry:
    person_id: PersonId
    known: Known = field(repr=False)


class PersonIndex:
    """Words of names lead to persons. A wanted word is compared only with words that begin or end as it does: a
    slip or two hardly ever fall on both ends, and so a search looks at hundreds of words instead of all.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._households: dict[HouseholdId, tuple[int, ...]] = {}
        self._bearers: dict[str, set[int]] = {}
        self._ends: defaultdict[str, set[str]] = defaultdict(set)
        self._born: dict[date, set[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, household_id: HouseholdId, persons: Iterable[tuple[PersonId, Person]]) -> None:
        """These are the household's persons now; whoever was before and is not among them is forgotten."""
        self.drop(household_id)
        numbers = []
        for person_id, person in persons:
            known = known_by(person)
            names = tuple(tuple(map(intern, name)) for name in known.names)
            self._enter(self._next, _Entry(person_id, Known(names, known.birth_date)))
            numbers.append(self._next)
            self._next += 1
        if numbers:
            self._households[household_id] = tuple(numbers)

    def drop(self, household_id: HouseholdId) -> None:
        """Forget its persons, and every word that nobody else is called by."""
        for number in self._households.pop(household_id, ()):
            entry = self._entries.pop(number)
            for word in _words(entry.known):
                self._bearers[word].discard(number)
                if not self._bearers[word]:
                    del self._bearers[word]
                    for end in _ends(word):
                        self._leave(end, word)
            if (born := entry.known.birth_date) is not None:
                self._born[born].discard(number)
                if not self._born[born]:
                    del self._born[born]

    def find(self, wanted: Wanted) -> list[Candidate]:
        """Everybody who is alike enough to be shown to somebody, most alike first."""
        asked = set(spellings(wanted.words))
        alike = {word: self._alike(word) for word in {word for words in asked for word in words}}
        numbers = set[int]()
        for words in asked:
            numbers |= self._named(words, alike, wanted.birth_date)
        found = []
        for number in sorted(numbers)[:MOST_SCORED]:
            entry = self._entries[number]
            if (how_much := score(wanted, entry.known, alike)) >= POSSIBLE:
                found.append(Candidate(entry.person_id, how_much))
        return sorted(found, key=lambda each: -each.score)

    def _named(self, words: Sequence[str], alike: Alike, born: date | None) -> set[int]:
        """Who has two of the words in their names, or the only one; with a birth date also who has that and one."""
        once, twice = set[int](), set[int]()
        told = [word for word in words if len(word) > PARTICLE] or words
        for word in told:
            bearers = set[int]().union(*(self._bearers[other] for other in alike[word]))
            twice |= once & bearers
            once |= bearers
        if len(told) == 1:
            return once
        if born is not None:
            for day in (born, *slips(born)):
                twice |= once & self._born.get(day, set())
        return twice

    def _alike(self, word: str) -> dict[str, float]:
        """The words that are spelt like this one, and how much: 1 for the same, less for each slip of the pen."""
        slips_allowed = _slips_allowed(word)
        found: dict[str, float] = {}
        for end in _ends(word):
            for other, distance, _ in process.extract(
                word, list(self._ends.get(end, ())), scorer=OSA.distance, score_cutoff=slips_allowed,
                processor=None, limit=None,
            ):  # fmt: skip
                found[other] = 1 - distance / max(len(word), len(other))
        return found

    def _enter(self, number: int, entry: _Entry) -> None:
        self._entries[number] = entry
        for word in _words(entry.known):
            bearers = self._bearers.get(word)
            if bearers is None:
                bearers = self._bearers[word] = set()
                for end in _ends(word):
                    self._ends[end].add(word)
            bearers.add(number)
        if entry.known.birth_date is not None:
            self._born.setdefault(entry.known.birth_date, set()).add(number)

    def _leave(self, end: str, word: str) -> None:
        self._ends[end].discard(word)
        if not self._ends[end]:
            del self._ends[end]


def _words(known: Known) -> set[str]:
    return {word for name in known.names for word in name}


def _ends(word: str) -> Iterator[str]:
    """How it begins and how it ends: two letters, for short words also one."""
    yield f"^{word[:2]}"
    yield f"{word[-2:]}$"
    if len(word) <= SHORT:
        yield f"^{word[0]}."
        yield f".{word[-1]}$"


def _slips_allowed(word: str) -> int:
    """So many letters may be others, too many, missing or swapped with their neighbour."""
    if len(word) <= PARTICLE:
        return 0
    return 1 if len(word) <= SHORT else 2 if len(word) <= 9 else 3
