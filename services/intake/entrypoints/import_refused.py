"""What an import refused, said in few lines on the terminal: how much of what, the first ones, where all are."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from services.intake.domain.hmis_import import Refusal
from services.intake.entrypoints.import_account import Account
from services.intake.entrypoints.import_export import Reading

FIRST = 10


def refused_lines(reading: Reading, account: Account, reported: bool) -> Iterator[str]:
    """Nothing where nothing was refused. `reported`: whether a report with all of it is written."""
    refusals = reading.report.refusals
    for (file, reason), count in sorted(Counter((each.file, each.reason) for each in refusals).items()):
        yield f"refused {count:,} lines of {file}: {reason}"
    shown = [*map(_line, islice(refusals, FIRST))]
    shown += islice(account.refusals, FIRST - len(shown))
    yield from (f"  {each}" for each in shown)
    many = len(refusals) + account.refusals.many
    if many > len(shown):
        yield f"  and {many - len(shown):,} more"
    if many and not reported:
        yield 'all of them: run it again with OPTIONS="--report FILE" (the command itself: --report FILE)'


def _line(refusal: Refusal) -> str:
    return f"{refusal.file}:{refusal.line} {refusal.reason}: {refusal.message}"
