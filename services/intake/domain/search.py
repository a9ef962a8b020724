"""How alike a person is to the one who is looked for: names in any order and spelling, birth dates with a slip."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from services.intake.domain.household import LONGEST_NAME, Person
from services.intake.domain.ids import PersonId
from services.intake.domain.refusal import invalid

MOST_WORDS = 8
MOST_FOUND = 20
LEAST_LETTERS = 2
LIKELY = 0.8
"""From this score on somebody is shown as the one who may be meant."""
POSSIBLE = 0.6
"""From this score on somebody is shown to whoever looks widely."""
CLOSE = 0.05
"""Who is less alike than the best by more than this is not the one who is meant."""

_APOSTROPHES = re.compile("['`\u2019\u02bc\u00b4]")
_LETTERS = re.compile(r"[^\W_]+")
# Letters that have no accent to take off, as people write them who do not have them.
_SPELT = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "\u0131": "i"}
)

Words = tuple[str, ...]


class Birth(Enum):
    """What two birth dates say of whether it is one person."""

    SAME = "same"
    ALIKE = "alike"
    UNKNOWN = "unknown"
    OTHER = "other"


# What a birth date adds to how alike the names are. Of two who are named the same the birth date decides.
_NAME_COUNTS = {Birth.SAME: 0.7, Birth.ALIKE: 0.78, Birth.UNKNOWN: 1.0, Birth.OTHER: 0.72}
_BIRTH_ADDS = {Birth.SAME: 0.3, Birth.ALIKE: 0.18, Birth.UNKNOWN: 0.0, Birth.OTHER: 0.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to find: words of names in any order, and the birth date if it is known."""

    words: Words = field(repr=False)
    birth_date: date | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may be the one; `score` is from 0 to 1."""

    person_id: PersonId
    score: float


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody is known by: each name as words, the given name's first, in each of its spellings."""

    names: tuple[Words, ...] = field(repr=False)
    birth_date: date | None = field(repr=False)


def wanted(name: str, birth_date: date | None) -> Wanted:
    """What is looked for. Refusals never repeat it."""
    if len(name) > LONGEST_NAME:
        raise invalid("text-too-long", f"At most {LONGEST_NAME} characters fit.", field="name")
    words = words_of(name)
    if len(words) > MOST_WORDS:
        raise invalid("too-many-words", f"At most {MOST_WORDS} words are looked for.", field="name")
    if sum(map(len, words)) < LEAST_LETTERS:
        raise invalid("search-too-short", f"At least {LEAST_LETTERS} letters are needed.", field="name")
    return Wanted(words, birth_date)


def known_by(person: Person) -> Known:
    """The person's name and aliases; who has no name at all cannot be found by one."""
    told = (f"{person.given_name} {person.family_name}", *person.aliases)
    names = (words for name in told if (words := words_of(name)[:MOST_WORDS]))
    return Known(tuple(spelt for words in names for spelt in spellings(words)), person.birth_date)


def words_of(name: str) -> Words:
    """The words of a name, without case, accents and apostrophes; hyphens part words."""
    if name.isascii():  # most are, and looked at with every case that is opened
        return tuple(_LETTERS.findall(_APOSTROPHES.sub("", name.lower())))
    # Taken apart before and after case is folded: letters of other alphabets of the same letter are plain then.
    folded = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", name)).casefold()
    parts = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", folded).translate(_SPELT))
    return tuple(_LETTERS.findall("".join(each for each in parts if not unicodedata.combining(each))))


def spellings(words: Words) -> Iterator[Words]:
    """The words as they are, and with two neighbours written as one: "de la cruz", "dela cruz"."""
    yield words
    if len(words) > 2:
        for n in range(len(words) - 1):
            yield (*words[:n], words[n] + words[n + 1], *words[n + 2 :])


def score(wanted: Wanted, known: Known, alike: Mapping[str, Mapping[str, float]]) -> float:
    """From 0 to 1. `alike` says of each wanted word which words are spelt like it, and how much, from 0 to 1."""
    best = max(
        (named(asked, has, alike) for asked in spellings(wanted.words) for has in known.names), default=0.0
    )
    birth = birth_of(wanted.birth_date, known.birth_date)
    return _NAME_COUNTS[birth] * best + _BIRTH_ADDS[birth]


def named(asked: Words, has: Words, alike: Mapping[str, Mapping[str, float]]) -> float:
    """How alike two names are, whatever the order of their words; long words say more than short ones.

    Each word stands for one word of the other name at most. Words that only one of the two names has count
    little: people leave names out, and rarely make some up.
    """
    pairs = sorted(
        ((alike[word].get(other, 0.0), n, m) for n, word in enumerate(asked) for m, other in enumerate(has)),
        reverse=True,
    )
    used_asked, used_has = set[int](), set[int]()
    sure_asked = sure_has = 0.0
    for similarity, n, m in pairs:
        if similarity and n not in used_asked and m not in used_has:
            used_asked.add(n)
            used_has.add(m)
            sure_asked += similarity * len(asked[n])
            sure_has += similarity * len(has[m])
    one, other = sure_asked / sum(map(len, asked)), sure_has / sum(map(len, has))
    return 0.8 * max(one, other) + 0.2 * min(one, other)


def birth_of(one: date | None, other: date | None) -> Birth:
    if one is None or other is None:
        return Birth.UNKNOWN
    if one == other:
        return Birth.SAME
    return Birth.ALIKE if is_slip(one, other) else Birth.OTHER


def is_slip(one: date, other: date) -> bool:
    """Whether the one is among the `slips` of the other, without writing them all down."""
    if one == other:
        return False
    this, that = f"{one.year:04}{one:%m%d}", f"{other.year:04}{other:%m%d}"
    differing = [n for n in range(8) if this[n] != that[n]]
    if len(differing) == 1:
        return True
    first = differing[0]
    if differing == [first, first + 1] and this[first : first + 2] == that[first + 1] + that[first]:
        return True
    if this[4:] == that[4:]:
        return abs(one.year - other.year) == 1
    return this[:4] == that[:4] and this[4:6] == that[6:] and this[6:] == that[4:6]


def slips(day: date) -> set[date]:
    """The dates that one slip makes of a date: one digit another, two neighbours swapped, day for month, a year off."""
    text = day.isoformat().replace("-", "")  # four digits of year also before 1000
    spelt = {text[:n] + digit + text[n + 1 :] for n in range(8) for digit in "0123456789"}
    spelt |= {text[:n] + text[n + 1] + text[n] + text[n + 2 :] for n in range(7)}
    spelt.add(text[:4] + text[6:] + text[4:6])
    spelt |= {f"{day.year + off:04}{text[4:]}" for off in (-1, 1)}
    return {made for each in spelt if (made := _date(each)) is not None} - {day}


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def likely(scores: Iterable[float], widely: bool) -> float:
    """The score from which on somebody is shown, given those of all who may be meant."""
    return POSSIBLE if widely else max(LIKELY, max(scores, default=0.0) - CLOSE)
