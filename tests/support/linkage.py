"""Somebody who reads the internal topics and wants to know which allocations belong to one household.

Everybody here got one piece of goods of each of two kinds. For every allocation of the first kind an attack
names the one of the second kind that it takes for its partner. How often it is right is compared with chance.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

PERMUTATIONS = 200
# How seldom chance alone may look like a leak: once in so many runs of one attack.
SELDOM = 1e-9


@dataclass(frozen=True, slots=True)
class Seen:
    """One record as the broker keeps it. `timestamp`: wall time in ms. `fields`: what its payload says."""

    partition: int
    offset: int
    timestamp: int
    headers: Mapping[str, bytes]
    fields: Mapping[str, str]

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands when all partitions are laid over each other."""
        return (self.timestamp, self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class Trace:
    """All that the internal topics say of one allocation, record by record, oldest first."""

    allocation_id: str
    records: tuple[Seen, ...] = field(repr=False)


Guess = Sequence[int]
Attack = Callable[[Sequence[Trace], Sequence[Trace]], Guess]
Feature = Callable[[Trace], "float | tuple[float, ...]"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What was announced in one go. `partners[i]` is the index in `theirs` of the partner of `ours[i]`."""

    ours: tuple[Trace, ...]
    theirs: tuple[Trace, ...]
    partners: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.ours)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attack fared: pairs that it found, of how many; what a guess at random finds on average, and at
    most in many seeded tries; and the number from which on it cannot have been chance."""

    hits: int
    pairs: int
    by_chance: float
    most_by_chance: int
    suspicious: int

    @property
    def rate(self) -> float:
        return self.hits / self.pairs

    @property
    def better_than_chance(self) -> bool:
        return self.hits >= self.suspicious


def fare(attack: Attack, batches: Sequence[Batch], seed: int = 7) -> Outcome:
    """Let the attack guess in every batch, and compare with the same guesses under permuted truths."""
    guesses = [attack(batch.ours, batch.theirs) for batch in batches]
    hits = _hits(guesses, [batch.partners for batch in batches])
    dice = random.Random(seed)
    chance = [
        _hits(guesses, [dice.sample(batch.partners, batch.size) for batch in batches])
        for _ in range(PERMUTATIONS)
    ]
    pairs = sum(batch.size for batch in batches)
    return Outcome(hits, pairs, sum(chance) / len(chance), max(chance), suspicious(len(batches)))


def _hits(guesses: Sequence[Guess], truths: Sequence[Sequence[int]]) -> int:
    return sum(
        guessed == true
        for guess, truth in zip(guesses, truths, strict=True)
        for guessed, true in zip(guess, truth, strict=True)
    )


def suspicious(batches: int) -> int:
    """From how many hits on it cannot have been chance, whatever was guessed.

    When every pairing within a batch is equally likely, k given allocations are all paired rightly with
    probability (n-k)!/n! at most, so k or more hits come with probability batches^k / k! at most.
    """
    return next(k for k in range(1, 1000) if batches**k / math.factorial(k) < SELDOM)


def nearest(feature: Feature) -> Attack:
    """The partner is the one that is most alike."""

    def attack(ours: Sequence[Trace], theirs: Sequence[Trace]) -> Guess:
        values = [_numbers(feature(each)) for each in theirs]
        return [
            min(range(len(values)), key=lambda n: _distance(_numbers(feature(each)), values[n]))
            for each in ours
        ]

    return attack


def ranked(feature: Feature, *, turned: bool = False) -> Attack:
    """The first of the one kind belongs to the first (or last) of the other, and so on."""

    def attack(ours: Sequence[Trace], theirs: Sequence[Trace]) -> Guess:
        order = sorted(range(len(theirs)), key=lambda n: _numbers(feature(theirs[n])), reverse=turned)
        by_rank = sorted(range(len(ours)), key=lambda n: _numbers(feature(ours[n])))
        guess = [0] * len(ours)
        for rank, n in enumerate(by_rank):
            guess[n] = order[rank]
        return guess

    return attack


def neighbours(feature: Feature) -> Attack:
    """The partner is the nearest of the other kind in the one order in which everything was written."""

    def attack(ours: Sequence[Trace], theirs: Sequence[Trace]) -> Guess:
        line = sorted(_numbers(feature(each)) for each in (*ours, *theirs))
        rank = {value: n for n, value in enumerate(line)}
        return nearest(lambda each: rank[_numbers(feature(each))])(ours, theirs)

    return attack


def alike(feature: Callable[[Trace], object], seed: int = 11) -> Attack:
    """The partner is one that has the same value; when none has, any."""

    def attack(ours: Sequence[Trace], theirs: Sequence[Trace]) -> Guess:
        dice = random.Random(seed)
        values: dict[object, list[int]] = {}
        for n, each in enumerate(theirs):
            values.setdefault(feature(each), []).append(n)
        return [dice.choice(values.get(feature(each)) or range(len(theirs))) for each in ours]

    return attack


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _distance(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(abs(a - b) for a, b in zip(one, other, strict=True))


def attacks(batches: Sequence[Batch]) -> dict[str, Attack]:
    """Everything that can be tried with what is there: for each record that an allocation has left, its place
    in the log, its time, its headers, its ids, its fields."""
    tried: dict[str, Attack] = {}
    for n, record in enumerate(batches[0].ours[0].records):
        tried |= _by_place(n)
        for name in record.headers:
            tried |= _by_words(f"record {n} header {name}", _header(n, name))
        for name in record.fields:
            tried |= _by_words(f"record {n} field {name}", _field(n, name))
    return tried


def _header(n: int, name: str) -> Callable[[Trace], bytes]:
    return lambda trace: trace.records[n].headers.get(name, b"")


def _field(n: int, name: str) -> Callable[[Trace], bytes]:
    return lambda trace: trace.records[n].fields.get(name, "").encode()


def _by_place(n: int) -> dict[str, Attack]:
    def partition_and_offset(trace: Trace) -> tuple[float, float]:
        return (trace.records[n].partition, trace.records[n].offset)

    def place(trace: Trace) -> tuple[float, ...]:
        return trace.records[n].place

    def timestamp(trace: Trace) -> float:
        return trace.records[n].timestamp

    def delay(trace: Trace) -> float:
        return trace.records[n].timestamp - trace.records[0].timestamp

    return {
        f"record {n} next to it in the partition": nearest(partition_and_offset),
        f"record {n} next to it in the log": neighbours(place),
        f"record {n} same rank in the log": ranked(place),
        f"record {n} opposite rank in the log": ranked(place, turned=True),
        f"record {n} same millisecond": alike(timestamp),
        f"record {n} nearest in time": nearest(timestamp),
        f"record {n} same delay": nearest(delay),
        f"record {n} same offset": alike(lambda trace: trace.records[n].offset),
    }


def _by_words(name: str, value: Callable[[Trace], bytes]) -> dict[str, Attack]:
    """By bytes: the same, beginning alike, close to each other, in the same order."""

    def number(trace: Trace) -> float:
        raw = value(trace).replace(b"-", b"")[:16].ljust(16, b"\0")
        return int.from_bytes(raw, "big")

    return {
        f"{name} the same": alike(value),
        f"{name} beginning alike": alike(lambda trace: value(trace)[:4]),
        f"{name} close": nearest(number),
        f"{name} same rank": ranked(number),
        f"{name} opposite rank": ranked(number, turned=True),
    }
