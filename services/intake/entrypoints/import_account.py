"""What an import has done so far, and how it is told: on the terminal and in a file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from rich.console import Console
from rich.table import Table

from services.intake.domain.hmis_import import Household
from services.intake.entrypoints.import_export import Reading, Sentences

OVER = ("withdrawn", "with the hub")
PLACED = ("referred", "placed", "met")
REASONS = {
    common.UNMATCHED_REASON_UNSPECIFIED: "still being looked for",
    common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE: "no place takes this household",
    common.UNMATCHED_REASON_ALL_FULL: "every place that takes it is full",
    common.UNMATCHED_REASON_NO_STOCK: "stock does not cover it",
}


@dataclass
class Account:
    """Counts by outcome, and every refusal of a service. A household is named by its number in the export."""

    offers: Counter[str] = field(default_factory=Counter)
    households: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    occupancies: Counter[str] = field(default_factory=Counter)
    above_capacity: int = 0
    refusals: list[str] = field(default_factory=list)

    def took(self, what: str, counter: Counter[str], outcome: str, reason: str, name: str) -> None:
        counter[outcome] += 1
        if outcome == "refused":
            self.refusals.append(f"{what} {name}: refused ({reason})")

    def household(self, household: Household, result: intake.ImportedHouseholdResult) -> None:
        self.took("household number", self.households, result.outcome, result.reason, f"{household.number:,}")
        self.members[result.outcome] += len(household.persons)

    def lines(self) -> Iterator[str]:
        yield f"{self.above_capacity:,} beds taken above capacity"
        if self.refusals:
            yield f"{len(self.refusals):,} rows refused by the services"

    @property
    def changed(self) -> int:
        """Rows that are another than before this import."""
        counters = (self.offers, self.households, self.occupancies)
        return sum(counter["created"] + counter["changed"] for counter in counters)


def show(
    console: Console, reading: Reading, account: Account, outcomes: Sequence[intake.ImportOutcome]
) -> None:
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
    for line in (*account.lines(), *outcome_lines(outcomes)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def read_lines(reading: Reading) -> Iterator[str]:
    """What the reading found, before anything is sent."""
    report = reading.report
    beds = sum(offer.beds for offer in reading.offers)
    valid = sum(offer.beds for offer in reading.offers if offer.valid)
    yield f"read {report.households_accepted:,} households, {report.persons_accepted:,} persons"
    yield f"read {beds:,} inventory beds, of which {valid:,} can be slept in"
    yield f"refused {len(report.refusals):,} lines"


def outcome_lines(outcomes: Sequence[intake.ImportOutcome]) -> Iterator[str]:
    placed = Counter(each.state for each in outcomes if each.state in PLACED)
    over = Counter(each.state for each in outcomes if each.state in OVER)
    waiting = Counter(REASONS[each.reason] for each in outcomes if each.state in ("reported", "unmatched"))
    yield f"{len(outcomes):,} needs: {sum(placed.values()):,} placed, {sum(waiting.values()):,} not placed"
    for state, count in sorted((placed + over).items()):
        yield f"  {count:,} {state}"
    for reason, count in waiting.most_common():
        yield f"  {count:,} not placed: {reason}"


def write_report(
    file: Path,
    sentences: Sentences,
    reading: Reading,
    account: Account,
    outcomes: Sequence[intake.ImportOutcome],
) -> None:
    """Every line that was refused and why, every row that a service refused, and what became of the needs."""
    lines = [*read_lines(reading), *sentences(reading.report), *account.lines(), *account.refusals]
    lines += outcome_lines(outcomes)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
