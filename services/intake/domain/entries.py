"""What is recorded on a phone without a signal: when it happened, and in which order it is applied."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.intake.domain.refusal import invalid

OLDEST_ENTRY = timedelta(days=30)
ENTRY_KEYS = "entry:"
"""With this the keys of the commands in entries begin."""
CLOCKS_DIFFER_BY = timedelta(minutes=5)
SEALED_TO = timedelta(days=7)
"""How long phones may seal to one key."""
RENEWED_AFTER = SEALED_TO / 2
"""A key that is asked for is fresh enough to be used for half of its time at least."""
OPENED_FOR = SEALED_TO + OLDEST_ENTRY + timedelta(days=1)
"""The youngest entry under a key may be as old as an entry can be, and a clock may be wrong by a little."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry, as far as its order goes: `position` names it, `opens` tells that it opens a case."""

    position: int
    opens: bool
    occurred_at: datetime
    recorded_at: datetime


def in_order(entries: Iterable[Recorded]) -> list[int]:
    """Positions in the order of application: what opens a case before what is about one, then as it happened.

    A phone's clock can jump between two entries; that a case is there before its needs does not hang on it.
    """
    ordered = sorted(entries, key=lambda each: (not each.opens, each.occurred_at, each.recorded_at))
    return [each.position for each in ordered]


def happened_at(said: datetime | None, now: datetime) -> datetime:
    """When it happened: now, if nothing is said. A clock that is a little fast is forgiven."""
    if said is None:
        return now
    if said > now + CLOCKS_DIFFER_BY:
        raise invalid("occurred-in-the-future", "It cannot have happened yet.", field="occurred_at")
    if said < now - OLDEST_ENTRY:
        raise invalid(
            "occurred-too-long-ago", "An entry is kept offline for 30 days at most.", field="occurred_at"
        )
    return min(said, now)


def check_recorded(occurred_at: datetime, recorded_at: datetime, now: datetime) -> None:
    """What is recorded has happened, and the recording is over."""
    if recorded_at > now + CLOCKS_DIFFER_BY:
        raise invalid("recorded-in-the-future", "It cannot be recorded yet.", field="recorded_at")
    if recorded_at < occurred_at:
        raise invalid(
            "recorded-before-it-occurred", "Nothing is recorded before it happens.", field="recorded_at"
        )
