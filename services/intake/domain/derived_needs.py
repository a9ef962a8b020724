"""How what follows from a household becomes what is asked for: only the difference, and only the rest.

For each derived line there is one open need at most. Pieces that are set aside or received count: a need's quantity is
its pieces in all, so what matching still has to find is the quantity less those. What was received before a span of
days began (`carried`) counts for an earlier one and is asked for again on top.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.intake.domain.ids import NeedId
from services.intake.domain.needs import MOST_PIECES, Need, NeedKind, Urgency
from services.intake.domain.norms import Derived


@dataclass(frozen=True, slots=True)
class Asked:
    """A derived need as it is recorded. `met_on` is None while it is open; `found`: a place is held for it."""

    need: Need
    period: date | None
    carried: int = 0
    handed_over: int = 0
    met_on: date | None = None
    found: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        return self.need.norm, self.need.item_id, self.need.size

    def covers(self, line: Derived) -> int:
        """What it counts for the line, as something the household has."""
        if self.met_on is None or self.key != line.key:
            return 0
        in_time = self.met_on >= line.counts_from if line.period is None else self.period == line.period
        return self._pieces if in_time else 0

    @property
    def _pieces(self) -> int:
        if self.need.kind is NeedKind.FOOD:
            return self.need.nights
        return max(self.need.quantity, self.handed_over) - self.carried


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be recorded and said: `new` lines with the pieces that are missing, needs that are others now, needs
    that fell away, and needs of which enough was received already. Of those in `kept_quietly` only what nobody
    outside sees is another."""

    new: tuple[tuple[Derived, int], ...] = ()
    changed: tuple[Asked, ...] = ()
    kept_quietly: tuple[Asked, ...] = ()
    gone: tuple[NeedId, ...] = ()
    met: tuple[Asked, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone or self.met)


def missing(line: Derived, asked: Sequence[Asked]) -> int:
    """What the line says, less what the household has of it."""
    has = sum(each.covers(line) for each in asked)
    if line.norm.kind is NeedKind.FOOD:
        return 0 if has else line.quantity
    return max(0, line.quantity - has)


def difference(lines: Sequence[Derived], asked: Sequence[Asked]) -> Difference:
    """What is to change so that exactly the rest of each line is asked for."""
    wanted = [(line, missing(line, asked)) for line in lines]
    wanted = [(line, rest) for line, rest in wanted if rest]
    pairs = _paired([line for line, _ in wanted], [each for each in asked if each.met_on is None])
    new: list[tuple[Derived, int]] = []
    changed: list[Asked] = []
    quiet: list[Asked] = []
    met: list[Asked] = []
    for line, rest in wanted:
        before = pairs.get(line.key)
        if before is None:
            new.append((line, rest))
            continue
        after = _asked_as(before, line, rest)
        if before.handed_over and after.need.quantity <= before.handed_over:
            met.append(_no_more(after))
        elif after.need != before.need:
            changed.append(after)
        elif after != before:
            quiet.append(after)
    kept = {each.need.need_id for each in pairs.values()}
    left = [each for each in asked if each.met_on is None and each.need.need_id not in kept]
    left = [each for each in left if not _on_its_way(each, lines)]
    return Difference(
        new=tuple(new),
        changed=tuple(changed),
        kept_quietly=tuple(quiet),
        gone=tuple(each.need.need_id for each in left if not _enough(each)),
        met=(*met, *(_no_more(each) for each in left if _enough(each))),
    )


def need_of_line(line: Derived, pieces: int, need_id: NeedId) -> Need:
    """The need that asks for so many pieces, or days, of the line."""
    food = line.norm.kind is NeedKind.FOOD
    return Need(
        need_id=need_id,
        kind=line.norm.kind,
        item_id=line.item_id,
        quantity=0 if food else min(MOST_PIECES, pieces),
        from_date=line.period if food else None,
        nights=pieces if food else 0,
        urgency=Urgency.SOON,
        size=line.size,
        latest_date=line.latest_date,
        norm=line.norm.name,
    )


def _paired(lines: Sequence[Derived], open_needs: Sequence[Asked]) -> dict[tuple[str, str, str], Asked]:
    """Which open need goes on as which line: its own; else, of the same item, one of a size that was outgrown and of
    which nothing was received, so that the need keeps its place in the queue."""
    free = {each.need.need_id: each for each in open_needs}
    pairs: dict[tuple[str, str, str], Asked] = {}
    for line in lines:
        own = [each for each in free.values() if each.key == line.key and _may_become(each, line)]
        if own:
            # Of several, the one for this span: an earlier one would be moved onto it.
            best = max(own, key=lambda each: (each.period == line.period, each.period or date.min))
            pairs[line.key] = free.pop(best.need.need_id)
    keys = {line.key for line in lines}
    for line in lines:
        if line.key in pairs or not line.size:
            continue
        outgrown = [
            each
            for each in free.values()
            if each.key[:2] == line.key[:2] and each.key not in keys and not each.handed_over
        ]
        if outgrown:
            best = min(outgrown, key=lambda each: each.need.size)
            pairs[line.key] = free.pop(best.need.need_id)
    return pairs


def _may_become(each: Asked, line: Derived) -> bool:
    """Food for which a place is held stays what it is: the next span is asked for beside it."""
    return each.period == line.period or not each.found


def _on_its_way(each: Asked, lines: Collection[Derived]) -> bool:
    """Food of an earlier span for which a place is held, as long as food is wanted at all."""
    return each.found and any(line.norm.name == each.need.norm and line.quantity for line in lines)


def _asked_as(before: Asked, line: Derived, rest: int) -> Asked:
    carried = before.carried if before.period == line.period else before.handed_over
    pieces = rest if line.norm.kind is NeedKind.FOOD else min(MOST_PIECES, carried + rest)
    need = need_of_line(line, pieces, before.need.need_id)
    need = replace(need, urgency=before.need.urgency, constraints=before.need.constraints)
    return replace(before, need=need, period=line.period, carried=carried)


def _enough(each: Asked) -> bool:
    """Nothing more is wanted, and something was received: it was met by that."""
    return each.handed_over > each.carried


def _no_more(each: Asked) -> Asked:
    return replace(each, need=replace(each.need, quantity=each.handed_over))
