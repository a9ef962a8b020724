"""What reports need from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.intake.domain.reports import Cell, Counts, Indicator, Period


@dataclass(frozen=True, slots=True)
class Report:
    """A quarter as it was published."""

    period: Period
    published_at: datetime
    cells: Mapping[Indicator, Sequence[Cell]]


class Reports(Protocol):
    """`count` reads cases of the whole region; nothing of it leaves but by a published report."""

    async def count(self, period: Period, areas: Sequence[str]) -> Mapping[Indicator, Counts]: ...
    async def newest(self) -> Period | None: ...
    def publish(self, report: Report) -> None: ...
    async def periods(self) -> Sequence[Period]: ...
    async def find(self, period: Period) -> Report | None: ...
