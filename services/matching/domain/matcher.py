"""The first matcher: hard rules, then priority; the scarcest place that fits goes first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from services.matching.domain.household import Facts
from services.matching.domain.ids import NeedId, OfferId
from services.matching.domain.needs import Need, Reason, Unmatched, WaitingNeed, WouldChange
from services.matching.domain.offers import Request
from services.matching.domain.places import Book, Place


@dataclass(frozen=True, slots=True)
class Placement:
    """A place found for a need: these units of this offer on these nights."""

    need_id: NeedId
    place: Place
    request: Request
    units: int


# A need, and what a round found for it; None: nothing changed for it.
Found = tuple[WaitingNeed, Placement | Unmatched | None]


def request_of(need: Need, facts: Facts, today: date) -> Request:
    """What the need asks for now: a first night that has passed reads as tonight."""
    from_date = max(need.from_date or today, today)
    return Request(kind=need.kind, from_date=from_date, nights=need.nights, facts=facts)


def match(
    book: Book,
    waiting: Iterable[WaitingNeed],
    today: date,
    freed: Container[OfferId],
    touched: Container[NeedId],
) -> Iterator[Found]:
    """Seek a place for each need, first come by priority, and take what is found.

    A need that was tried before and has not changed (it is not `touched`) can only have gained by what was
    `freed`: only that is tried, and None says that nothing changed for it.
    """
    for each in sorted(waiting, key=lambda each: each.priority):
        request = request_of(each.need, each.facts, today)
        anew = each.need.need_id in touched
        if place := _scarcest(book, request, each.excluded, None if anew else freed):
            units = request.units_of(place.offer.unit)
            place.take(request, units)
            yield each, Placement(each.need.need_id, place, request, units)
        elif anew:
            yield each, why_none(book, request, each.excluded)
        else:
            yield each, None


def why_none(book: Book, request: Request, excluded: frozenset[OfferId]) -> Unmatched:
    """The honest reason why there is no place, and the one fact that would have led to one."""
    reason = Reason.ALL_FULL if _open_to(book, request, excluded, None) else Reason.NO_ELIGIBLE_PLACE
    return Unmatched(reason, next(_would_change(book, request, excluded), None))


def _would_change(book: Book, request: Request, excluded: frozenset[OfferId]) -> Iterator[WouldChange]:
    if request.facts.area and _scarcest(book, request.anywhere(), excluded, None):
        yield WouldChange.AREA
    if request.nights > 1 and _scarcest(book, replace(request, nights=1), excluded, None):
        yield WouldChange.FEWER_NIGHTS
    if request.facts.pets and _scarcest(book, request.without_pets(), excluded, None):
        yield WouldChange.PETS


def _open_to(
    book: Book, request: Request, excluded: frozenset[OfferId], among: Container[OfferId] | None
) -> list[Place]:
    return [
        place
        for place in book.eligible(request)
        if place.offer.offer_id not in excluded and (among is None or place.offer.offer_id in among)
    ]


def _scarcest(
    book: Book, request: Request, excluded: frozenset[OfferId], among: Container[OfferId] | None
) -> Place | None:
    """The place with the fewest free units, so that common ones stay for those who can use nothing else;
    among equals the best fit, so that a small household does not take a large family's flat.
    """
    best, best_rank = None, (0, 0, "")
    for place in _open_to(book, request, excluded, among):
        free = place.free(request)
        if free < request.units_of(place.offer.unit):
            continue
        rank = (free, place.offer.rules.max_persons or 1_000, str(place.offer.offer_id))
        if best is None or rank < best_rank:
            best, best_rank = place, rank
    return best
