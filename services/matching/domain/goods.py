"""A round of goods: who gets what of the known free stock, and what the region is short of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.matching.domain.ids import CaseId, NeedId, WarehouseId
from services.matching.domain.needs import Priority


@dataclass(frozen=True, slots=True)
class WantedGoods:
    """A goods need with the pieces that nothing set aside covers yet. `hidden`: of a household in hiding."""

    need_id: NeedId
    case_id: CaseId
    item_id: str
    missing: int
    area: str
    priority: Priority
    told_short: bool = False
    hidden: bool = False
    size: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Free pieces of an item in a warehouse, as logistics last told."""

    warehouse_id: WarehouseId
    item_id: str
    area: str
    free: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Pieces that logistics was asked for and has not answered about."""

    item_id: str
    area: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Share:
    """Pieces of one shelf for one need."""

    need_id: NeedId
    case_id: CaseId
    item_id: str
    quantity: int
    area: str
    size: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """`shares` in priority order; `short` are needs that are not covered, with the pieces still missing."""

    shares: tuple[Share, ...]
    short: tuple[tuple[WantedGoods, int], ...]


def divide(wanted: Iterable[WantedGoods], shelves: Iterable[Shelf], asked: Iterable[Asked] = ()) -> Round:
    """Give by priority what is free and not asked for already. An allocation is filled from one warehouse, so
    no share is larger than one shelf; shelves of the household's area come first, then the fullest.
    """
    store = _Store(shelves)
    for question in asked:
        sum(store.fetch(question.item_id, question.area, question.quantity))
    shares: list[Share] = []
    short: list[tuple[WantedGoods, int]] = []
    for each in sorted(wanted, key=lambda each: each.priority):
        parts = list(store.fetch(each.item_id, each.area, each.missing))
        shares += [
            Share(each.need_id, each.case_id, each.item_id, part, each.area, each.size) for part in parts
        ]
        if (missing := each.missing - sum(parts)) > 0:
            short.append((each, missing))
    return Round(tuple(shares), tuple(short))


class _Store:
    """What is still free on each shelf while a round goes on."""

    def __init__(self, shelves: Iterable[Shelf]) -> None:
        self._left: dict[str, dict[Shelf, int]] = defaultdict(dict)
        for shelf in shelves:
            if shelf.free > 0:
                self._left[shelf.item_id][shelf] = shelf.free

    def fetch(self, item_id: str, area: str, pieces: int) -> Iterator[int]:
        """Take up to that many pieces, shelf by shelf; yields what each gave."""
        left = self._left[item_id]
        while pieces > 0 and left:
            shelf = max(left, key=lambda each: (each.area == area, left[each], str(each.warehouse_id)))
            part = min(pieces, left[shelf])
            pieces -= part
            left[shelf] -= part
            if not left[shelf]:
                del left[shelf]
            yield part


def shortfalls(
    short: Iterable[tuple[WantedGoods, int]], pack_sizes: Mapping[str, int], k: int
) -> dict[tuple[str, str], int]:
    """Packs missing by (area, item), pooled over households and rounded up to packs.

    Nothing is said (no entry) when fewer than `k` households are behind a line: a household could be found
    through it. Nothing either for an item whose pack size logistics has not told: a count in the wrong unit
    is worse than none.
    """
    pieces: dict[tuple[str, str], int] = defaultdict(int)
    households: dict[tuple[str, str], set[CaseId]] = defaultdict(set)
    for each, missing in short:
        pieces[each.area, each.item_id] += missing
        households[each.area, each.item_id].add(each.case_id)
    return {
        (area, item_id): -(-pieces[area, item_id] // pack_sizes[item_id])
        for area, item_id in pieces
        if len(households[area, item_id]) >= k and item_id in pack_sizes
    }
