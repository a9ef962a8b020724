"""What the regional picture counts, and what of it may be shown; pure, so that live and rebuilt are the same.

A case is remembered as what each of its two topics said, side by side, so that it does not matter which of
them is read first. All counts are a function of that memory: whoever has the memory has the counts, and an
event that arrives twice changes neither.

Each need counts at most once as reported, placed and unmet: at its first time, in that hour of domain time.
Households in hiding are not counted at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple, NewType

# Start of an hour of domain time, in seconds since 1970.
Hour = NewType("Hour", int)
HOUR = 3600
# How many hours a publication shows, and for how many a case or a count is remembered at all: for as long as
# the topics it came from are kept.
SHOWN_HOURS = 48
KEPT_HOURS = 168
# Counts under SMALLEST are not shown; others are rounded to STEP.
SMALLEST, STEP, SUPPRESSED = 10, 5, -1


class Source(StrEnum):
    """The two topics, each of which numbers the events of a case for itself."""

    CASES = "cases"
    REFERRALS = "referrals"


class State(StrEnum):
    """What a need is counted as."""

    REPORTED = "reported"
    PLACED = "placed"
    UNMET = "unmet"


STATES = tuple(State)


@dataclass(frozen=True, slots=True)
class NeedKnown:
    """A need exists. One told by a snapshot is known but not counted as reported: nobody knows its hour."""

    need: str
    area: str
    kind: str
    by_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class HouseholdHidden:
    """The household is in hiding: what was known of its needs is to be forgotten."""


@dataclass(frozen=True, slots=True)
class NeedReached:
    """A need was placed or found without a match. What a snapshot tells happened some time before."""

    need: str
    state: State
    by_snapshot: bool = False


Fact = NeedKnown | HouseholdHidden | NeedReached


@dataclass(frozen=True, slots=True)
class Told:
    """What one event says, and its place in the order of its topic and case."""

    source: Source
    epoch: int
    sequence: int
    hour: Hour
    facts: tuple[Fact, ...]


class Cell(NamedTuple):
    """Where a need is counted."""

    area: str
    kind: str
    hour: Hour


Counts = tuple[int, int, int]  # in the order of STATES
NOTHING: Counts = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class CaseMemory:
    """All that the picture knows of one case. `reached`: need -> state -> hour, None when it is not known."""

    seen: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    reached: Mapping[str, Mapping[str, Hour | None]] = field(default_factory=dict)
    latest: Hour = Hour(0)

    def is_old_news(self, told: Told) -> bool:
        """Whether this event was taken in before. A later epoch is always news."""
        return (told.epoch, told.sequence) <= self.seen.get(told.source, (0, 0))

    def misses_one_before(self, told: Told) -> bool:
        """Whether one between the last and this one never came. It is noted, and nobody waits for it.

        A case that is not remembered may have been let go of: then nothing is known to be missing.
        """
        epoch, sequence = self.seen.get(told.source, (0, 0))
        return told.epoch == epoch and told.sequence > sequence + 1

    def after(self, told: Told) -> CaseMemory:
        """The memory with this event in it; the same when it was in it before."""
        if self.is_old_news(told):
            return self
        memory = replace(
            self,
            seen={**self.seen, told.source: (told.epoch, told.sequence)},
            latest=max(self.latest, told.hour),
        )
        for fact in told.facts:
            memory = memory._with(fact, told.hour)
        return memory

    def _with(self, fact: Fact, hour: Hour) -> CaseMemory:
        match fact:
            case HouseholdHidden():
                return replace(self, needs={})
            case NeedKnown(need, area, kind, by_snapshot):
                if need in self.needs:
                    return self
                known = replace(self, needs={**self.needs, need: (area, kind)})
                return known._reaches(need, State.REPORTED, None if by_snapshot else hour)
            case NeedReached(need, state, by_snapshot):
                return self._reaches(need, state, None if by_snapshot else hour)

    def _reaches(self, need: str, state: State, hour: Hour | None) -> CaseMemory:
        """Only the first time counts."""
        before = self.reached.get(need, {})
        if state in before:
            return self
        return replace(self, reached={**self.reached, need: {**before, state: hour}})

    def counts(self) -> dict[Cell, Counts]:
        """What this case adds to the picture."""
        counts: dict[Cell, Counts] = {}
        for need, (area, kind) in self.needs.items():
            for state, hour in self.reached.get(need, {}).items():
                if hour is not None:
                    cell = Cell(area, kind, hour)
                    counts[cell] = plus(counts.get(cell, NOTHING), _one(State(state)))
        return counts

    def dump(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"seen": self.seen, "needs": self.needs, "reached": self.reached, "latest": self.latest}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> CaseMemory:
        """The inverse of `dump`, also after JSON made lists of the pairs."""
        return cls(
            seen={source: (epoch, sequence) for source, (epoch, sequence) in dumped["seen"].items()},
            needs={need: (area, kind) for need, (area, kind) in dumped["needs"].items()},
            reached=dumped["reached"],
            latest=dumped["latest"],
        )


def changed(before: CaseMemory, after: CaseMemory) -> list[Cell]:
    """The cells in which a case counts otherwise than before."""
    old, new = before.counts(), after.counts()
    return [cell for cell in old.keys() | new.keys() if old.get(cell) != new.get(cell)]


class Tally:
    """The counts of the cases of each partition, kept by adding and taking away what a case changed."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, Cell], Counts] = {}

    def move(self, partition: int, before: CaseMemory, after: CaseMemory) -> None:
        """A case of this partition changed."""
        if before is after:
            return
        for cell, counts in before.counts().items():
            self._cells[partition, cell] = minus(self._cells.get((partition, cell), NOTHING), counts)
        for cell, counts in after.counts().items():
            self._cells[partition, cell] = plus(self._cells.get((partition, cell), NOTHING), counts)

    def of(self, partition: int, cell: Cell) -> Counts:
        return self._cells.get((partition, cell), NOTHING)

    def forget_before(self, hour: Hour) -> None:
        """Let go of cells that nothing will be added to any more."""
        for key in [key for key in self._cells if key[1].hour < hour]:
            del self._cells[key]

    def cells(self) -> list[tuple[int, Cell]]:
        """Every cell that was ever counted in and not let go of, with its partition."""
        return list(self._cells)


def plus(a: Counts, b: Counts) -> Counts:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def minus(a: Counts, b: Counts) -> Counts:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _one(state: State) -> Counts:
    return (int(state is State.REPORTED), int(state is State.PLACED), int(state is State.UNMET))


def hour_of(seconds: float) -> Hour:
    """The hour that a moment lies in."""
    return Hour(int(seconds // HOUR) * HOUR)


def window(until: Hour) -> range:
    """The hours that a publication at this hour shows: the 48 that ended by then."""
    return range(until - SHOWN_HOURS * HOUR, until, HOUR)


def shown(count: int) -> int:
    """A count as others may see it. Zero is hidden like any small count: it would tell it from one."""
    return SUPPRESSED if count < SMALLEST else STEP * round(count / STEP)


def shown_hours(hours: Mapping[Hour, Counts], until: Hour) -> list[tuple[Hour, Counts]]:
    """The hours of one area and kind in which anything may be shown, oldest first.

    An hour in which every count is hidden is left out: its presence would say that somebody was there.
    """
    found = []
    for hour in window(until):
        reported, placed, unmet = hours.get(Hour(hour), NOTHING)
        counts = (shown(reported), shown(placed), shown(unmet))
        if max(counts) != SUPPRESSED:
            found.append((Hour(hour), counts))
    return found


def region(cells: Mapping[Cell, Counts], until: Hour) -> dict[tuple[str, State], int]:
    """Totals of the window over all areas, by kind and state, as they may be shown.

    What is hidden cell by cell enters the total only when it is no small count itself: else the total less
    the cells shown would give it away.
    """
    open_parts: dict[tuple[str, State], int] = {}
    hidden_parts: dict[tuple[str, State], int] = {}
    hours = window(until)
    for cell, counts in cells.items():
        for state, count in zip(STATES, counts, strict=True):
            if cell.hour in hours:
                part = hidden_parts if shown(count) == SUPPRESSED else open_parts
                part[cell.kind, state] = part.get((cell.kind, state), 0) + count
    totals = {}
    for key in open_parts.keys() | hidden_parts.keys():
        hidden = hidden_parts.get(key, 0)
        totals[key] = shown(open_parts.get(key, 0) + (hidden if hidden >= SMALLEST else 0))
    return totals


def by_area_and_kind(cells: Mapping[Cell, Counts]) -> dict[tuple[str, str], dict[Hour, Counts]]:
    """The hours of each area and kind."""
    found: dict[tuple[str, str], dict[Hour, Counts]] = {}
    for (area, kind, hour), counts in cells.items():
        found.setdefault((area, kind), {})[hour] = counts
    return found


def parts_of(key: str) -> tuple[str, str]:
    """Area and kind of a key `area|kind`. A kind has no stroke in it."""
    area, kind = key.rsplit("|", 1)
    return area, kind


class Calendar:
    """When to publish: once for each hour, when all that had been announced by then has been counted.

    The first publication is due at once, since nobody knows whether this hour has had one.
    """

    def __init__(self) -> None:
        self._last: Hour | None = None
        self._due: tuple[Hour, Mapping[Hashable, int]] | None = None

    def look(self, hour: Hour, read: Mapping[Hashable, int], ends: Mapping[Hashable, int]) -> Hour | None:
        """The hour to publish now, if any. `read`, `ends`: offset reached and end, for each partition."""
        if self._due is None and hour != self._last:
            self._due = (hour, dict(ends))
        if self._due is None or not self._reached(self._due[1], read):
            return None
        self._last, self._due = self._due[0], None
        return self._last

    @staticmethod
    def _reached(target: Mapping[Hashable, int], read: Mapping[Hashable, int]) -> bool:
        return all(read.get(partition, 0) >= end for partition, end in target.items())
