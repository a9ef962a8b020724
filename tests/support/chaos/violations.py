"""What a checker found wrong, in words that name the rule and the thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tests.support.chaos.evidence import Evidence
from tests.support.history import History

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` is a stable word."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


Check = Callable[[History, Evidence], Iterator[Violation]]


def differences(
    rule: str, words: str, wanted: Mapping[K, object], found: Mapping[K, object]
) -> Iterator[Violation]:
    """Where two accounts of the same things differ."""
    for key in sorted(wanted.keys() | found.keys(), key=str):
        if wanted.get(key) != found.get(key):
            yield Violation(rule, f"{words} {key}: {wanted.get(key)} is due, {found.get(key)} is there")


def uneven(rule: str, words: str, wanted: Iterable[K], found: Iterable[K]) -> Iterator[Violation]:
    """The same, for things that are counted."""
    yield from differences(rule, words, Counter(wanted), Counter(found))
