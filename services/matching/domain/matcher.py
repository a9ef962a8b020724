"""The first matcher: hard rules, then priority; the scarcest place that fits goes first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from services.matching.domain.household import Facts
from services.matching.domain.ids import NeedId, OfferId
from services.matching.domain.needs import Need, Reason, Unmatched, WaitingNeed, WouldChange
from services.matching.domain.offers import Request
from services.matching.domain.places import Book, Place, Room


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
    return Request(kind=need.kind, from_date=from_date, nights=need.nights, facts=facts.that_rules_see())


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
        if room := _scarcest(book, request, each.excluded, None if anew else freed):
            room.place.take(request, room.units)
            yield each, Placement(each.need.need_id, room.place, request, room.units)
        elif anew:
            yield each, why_none(book, request, each.excluded)
        else:
            yield each, None


def why_none(book: Book, request: Request, excluded: frozenset[OfferId]) -> Unmatched:
    """The honest reason why there is no place, and the one fact that would have led to one."""
    would_take = any(room.place.offer.offer_id not in excluded for room in book.rooms(request))
    reason = Reason.ALL_FULL if would_take else Reason.NO_ELIGIBLE_PLACE
    return Unmatched(reason, next(_would_change(book, request, excluded), None))


def _would_change(book: Book, request: Request, excluded: frozenset[OfferId]) -> Iterator[WouldChange]:
    def free(other: Request) -> bool:
        return any(True for _ in book.free_rooms(other, excluded))

    if request.facts.area and free(request.anywhere()):
        yield WouldChange.AREA
    if request.nights > 1 and free(replace(request, nights=1)):
        yield WouldChange.FEWER_NIGHTS
    if request.facts.pets and free(request.without_pets()):
        yield WouldChange.PETS


def _scarcest(
    book: Book, request: Request, excluded: frozenset[OfferId], among: Container[OfferId] | None
) -> Room | None:
    """The place with the fewest free units, so that common ones stay for those who can use nothing else;
    among equals the best fit, so that a small household does not take a large family's flat.
    """

    def rank(room: Room) -> tuple[int, int, str]:
        offer = room.place.offer
        return room.place.free(request), offer.rules.max_persons or 1_000, str(offer.offer_id)

    return min(book.free_rooms(request, excluded, among), key=rank, default=None)
