"""Figures about households that may leave: few numbers, on fixed days, for fixed areas, and none that points at somebody.

Whoever is counted could be the only one. So a count under 10 is not told, nor the one other count from which it
could be had by subtraction; the rest is rounded to 5. Households in hiding are not counted at all: one more or
less would show.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

FEW = 10
ROUNDED_TO = 5
REGION = "region"
ELSEWHERE = "elsewhere"
PUBLISHED_AFTER = timedelta(days=14)
"""After the end of a quarter: late entries of its last days have come in."""
SAID_WITHIN = timedelta(days=7)
"""Of the end of a stay, or of the work: where a household lives then is where it went. Later it is news."""


class Indicator(Enum):
    OUTCOME = "outcome"
    DAYS_HOMELESS = "days-homeless"
    FIRST_NIGHT = "time-to-first-night"
    RETURNS = "returns"
    FOLLOW_UPS = "follow-ups"


CATEGORIES: Mapping[Indicator, tuple[str, ...]] = {
    # HUD 3.12: classes of destinations by their hundreds.
    Indicator.OUTCOME: ("homeless", "institutional", "temporary", "permanent", "unknown"),
    Indicator.DAYS_HOMELESS: ("up to 7", "8 to 30", "31 to 90", "91 to 180", "more than 180"),
    Indicator.FIRST_NIGHT: ("same night", "1 night", "2 to 3 nights", "4 to 7 nights", "more than 7 nights", "none"),
    Indicator.RETURNS: ("returned to the street",),
    Indicator.FOLLOW_UPS: ("30 days reached", "30 days missed", "90 days reached", "90 days missed",
                           "180 days reached", "180 days missed"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Period:
    """A quarter of a year."""

    year: int
    quarter: int

    @classmethod
    def of(cls, day: date) -> "Period":
        return cls(day.year, (day.month - 1) // 3 + 1)

    @classmethod
    def parse(cls, name: str) -> "Period":
        """Raises ValueError for what is no name of a quarter ("2026-Q3")."""
        year, _, quarter = name.partition("-Q")
        if len(year) != 4 or quarter not in ("1", "2", "3", "4"):
            raise ValueError(name)
        return cls(int(year), int(quarter))

    @property
    def name(self) -> str:
        return f"{self.year:04}-Q{self.quarter}"

    @property
    def first_day(self) -> date:
        return date(self.year, 3 * self.quarter - 2, 1)

    @property
    def last_day(self) -> date:
        return self.next.first_day - timedelta(days=1)

    @property
    def next(self) -> "Period":
        return Period(self.year, self.quarter + 1) if self.quarter < 4 else Period(self.year + 1, 1)

    @property
    def published_on(self) -> date:
        return self.next.first_day + PUBLISHED_AFTER


def last_published(today: date) -> Period:
    """The quarter that was due last."""
    period = Period.of(today - timedelta(days=92 + PUBLISHED_AFTER.days))
    while period.next.published_on <= today:
        period = period.next
    return period


def destination_class(code: int) -> str:
    """The class of a HUD destination or living situation."""
    known = {1: "homeless", 2: "institutional", 3: "temporary", 4: "permanent"}
    return known.get(code // 100, "unknown")


def days_band(days: int) -> str:
    for most, band in zip((7, 30, 90, 180), CATEGORIES[Indicator.DAYS_HOMELESS], strict=False):
        if days <= most:
            return band
    return CATEGORIES[Indicator.DAYS_HOMELESS][-1]


def nights_band(nights: int | None) -> str:
    """How many nights passed before the first in a bed; None: there was none yet."""
    *bands, later, never = CATEGORIES[Indicator.FIRST_NIGHT]
    if nights is None:
        return never
    for most, band in zip((0, 1, 3, 7), bands, strict=True):
        if nights <= most:
            return band
    return later


Counts = dict[tuple[str, str], int]
"""Households by area and category."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is told of an area and category: a count rounded to 5, or None where it is not told."""

    area: str
    category: str
    count: int | None


def told(indicator: Indicator, counts: Counts, areas: Sequence[str]) -> list[Cell]:
    """Every area and category, the region first; what is not told is there without a count."""
    rows = [*areas, ELSEWHERE] if areas else []
    categories = CATEGORIES[indicator]
    whole = {
        (REGION, category): sum(count for (_, each), count in counts.items() if each == category)
        for category in categories
    }
    known = whole | {
        (area, category): counts.get((area, category), 0) for area in rows for category in categories
    }
    hidden = _hidden(known, [REGION, *rows], categories)
    return [
        Cell(area, category, None if (area, category) in hidden else _rounded(known[area, category]))
        for area in (REGION, *rows)
        for category in categories
    ]


def in_areas(area: str, areas: Iterable[str]) -> str:
    """The fixed area that a household counts for."""
    return area if area in areas else ELSEWHERE


def _hidden(known: Counts, rows: Sequence[str], columns: Sequence[str]) -> set[tuple[str, str]]:
    """Few, and whatever would tell of few by subtraction: of each row and column none or at least two.

    A region's count is the sum of its areas, so a column has the region in it. A row has no total that is told;
    still two are hidden, because the number of all households is known to those who keep the agencies' books.
    """
    hidden = {cell for cell, count in known.items() if count < FEW}
    lines = [[(row, column) for column in columns] for row in rows] if len(columns) > 1 else []
    lines += [[(row, column) for row in rows] for column in columns] if len(rows) > 1 else []
    while True:
        lonely = [line for line in lines if sum(cell in hidden for cell in line) == 1]
        if not lonely:
            return hidden
        rest = [cell for cell in lonely[0] if cell not in hidden]
        hidden.add(min(rest, key=lambda cell: (known[cell], cell)))


def _rounded(count: int) -> int:
    return (count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO
