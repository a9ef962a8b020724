"""What an import has done so far, and how it is told: on the terminal and in a file."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from aid.intake.v1 import intake_pb2 as intake
from rich.console import Console
from rich.table import Table

from services.intake.domain.hmis_import import Household
from services.intake.entrypoints.import_export import Reading, Sentences
from services.intake.entrypoints.import_outcomes import Outcomes


class Lines:
    """Lines of text, as many as there are, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - it lives as long as this
        self.many = 0

    def add(self, line: str) -> None:
        self._file.write(f"{line}\n")
        self.many += 1

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")
        self._file.seek(0, os.SEEK_END)


@dataclass
class Account:
    """Counts by outcome, and every refusal of a service. A household is named by its number in the export."""

    offers: Counter[str] = field(default_factory=Counter)
    households: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    occupancies: Counter[str] = field(default_factory=Counter)
    above_capacity: int = 0
    ended: int = 0
    """Places of earlier exports of the source that this one does not tell of."""
    refusals: Lines = field(default_factory=Lines)

    def took(self, what: str, counter: Counter[str], outcome: str, reason: str, name: str) -> None:
        counter[outcome] += 1
        if outcome == "refused":
            self.refusals.add(f"{what} {name}: refused ({reason})")

    def household(self, household: Household, result: intake.ImportedHouseholdResult) -> None:
        self.took("household number", self.households, result.outcome, result.reason, f"{household.number:,}")
        self.members[result.outcome] += len(household.persons)

    def lines(self) -> Iterator[str]:
        yield f"{self.above_capacity:,} beds taken above capacity"
        if self.ended:
            yield f"{self.ended:,} places of earlier exports have ended"
        if self.refusals.many:
            yield f"{self.refusals.many:,} rows refused by the services"

    @property
    def changed(self) -> int:
        """Rows that are another than before this import."""
        counters = (self.offers, self.households, self.occupancies)
        return self.ended + sum(counter["created"] + counter["changed"] for counter in counters)

    @property
    def kept(self) -> int:
        """Rows that are there now, whether by this import or by one before."""
        counters = (self.offers, self.households, self.occupancies)
        return sum(counter.total() - counter["refused"] for counter in counters)


def show(console: Console, reading: Reading, account: Account, outcomes: Outcomes) -> None:
    """What was sent and what became of it."""
    table = Table(title=f"As of {reading.export.as_of:%Y-%m-%d}", title_justify="left")
    for column in ("", "created", "changed", "unchanged", "refused"):
        table.add_column(column, justify="right" if column else "left")
    for name, counter in (
        ("offers", account.offers),
        ("households", account.households),
        ("their members", account.members),
        ("places taken", account.occupancies),
    ):
        counts = (counter[each] for each in ("created", "changed", "unchanged", "refused"))
        table.add_row(name, *(f"{count:,}" for count in counts))
    console.print(table)
    for line in (*account.lines(), *outcomes.lines()):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def read_lines(reading: Reading) -> Iterator[str]:
    """What the reading found, before anything is sent."""
    report = reading.report
    beds = sum(offer.beds for offer in reading.offers)
    valid = sum(offer.beds for offer in reading.offers if offer.valid)
    yield f"read {report.households_accepted:,} households, {report.persons_accepted:,} persons"
    yield f"read {beds:,} inventory beds, of which {valid:,} can be slept in"
    yield f"refused {len(report.refusals):,} lines"


def write_report(
    file: Path,
    sentences: Sentences,
    reading: Reading,
    account: Account,
    outcomes: Outcomes,
) -> None:
    """Every line that was refused and why, every row that a service refused, and what became of the needs."""
    lines = chain(
        read_lines(reading), sentences(reading.report), account.lines(), account.refusals, outcomes.lines()
    )
    with file.open("w", encoding="utf-8") as report:
        report.writelines(f"{line}\n" for line in lines)
