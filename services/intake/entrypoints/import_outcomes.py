"""What became of the needs that an import reported, counted."""

from collections import Counter
from collections.abc import Iterable, Iterator

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake

OVER = ("withdrawn", "with the hub")
PLACED = ("referred", "placed", "met")
_WAITING = ("reported", "unmatched")
_REASONS = {
    common.UNMATCHED_REASON_UNSPECIFIED: "still being looked for",
    common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE: "no place takes this household",
    common.UNMATCHED_REASON_ALL_FULL: "every place that takes it is full",
    common.UNMATCHED_REASON_NO_STOCK: "stock does not cover it",
}


class Outcomes:
    """By state and, of those that wait, by reason."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()

    def count(self, outcomes: Iterable[intake.ImportOutcome]) -> None:
        for each in outcomes:
            self._states[each.state] += 1
            if each.state in _WAITING:
                self._waiting[_REASONS[each.reason]] += 1

    @property
    def total(self) -> int:
        return self._states.total()

    @property
    def answered(self) -> int:
        return self.total - self._states["reported"]

    def lines(self) -> Iterator[str]:
        placed = sum(self._states[state] for state in PLACED)
        yield f"{self.total:,} needs: {placed:,} placed, {self._waiting.total():,} not placed"
        for state in sorted(self._states.keys() & {*PLACED, *OVER}):
            yield f"  {self._states[state]:,} {state}"
        for reason, count in self._waiting.most_common():
            yield f"  {count:,} not placed: {reason}"
