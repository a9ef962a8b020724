"""What matching may know of a household: sizes, bands and flags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Facts:
    """A household as intake last described it. A higher revision replaces a lower one, never the reverse.

    `newborn_week` is the ISO week ("2026-W48") from which space for a newborn is needed; empty if none.
    `area` is where the household can live; empty: anywhere in the region. `avoid` are ids of offers, or of the
    agencies that offer them, to which it must never be sent. `one_place` names its one place for a night, the same
    in every case of the household, and has a revision of its own (0: nothing was said of it).
    """

    adults: int
    children: int
    infants: int
    newborn_week: str = ""
    wheelchair: bool = False
    pets: bool = False
    unsheltered: bool = False
    confidential: bool = False
    area: str = ""
    revision: int = 1
    avoid: frozenset[str] = frozenset()
    one_place: UUID | None = None
    one_place_revision: int = 0

    def that_rules_see(self) -> Facts:
        """Without what no rule of a place looks at, so that households who ask the same are seen to."""
        return replace(self, unsheltered=False, revision=0, one_place=None, one_place_revision=0)

    def expects_newborn_by(self, day: date) -> bool:
        """Whether space for the newborn is needed on that day."""
        return bool(self.newborn_week) and self.newborn_week <= iso_week(day)

    def persons(self, last_day: date) -> int:
        """Heads to count for a stay that ends on that day: a newborn who comes meanwhile needs room too. At
        least one, whatever was recorded.
        """
        return max(1, self.adults + self.children + self.infants) + self.expects_newborn_by(last_day)

    def with_children(self, last_day: date) -> bool:
        """Whether anybody under 18 is, or will then be, of the household."""
        return self.children + self.infants > 0 or self.expects_newborn_by(last_day)


# What is left of a household when its case is closed: nothing.
FORGOTTEN = Facts(adults=0, children=0, infants=0)


def iso_week(day: date) -> str:
    """The ISO week of a day ("2026-W48"); such words sort by time."""
    return day.strftime("%G-W%V")
