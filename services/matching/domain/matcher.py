"""The first matcher: hard rules, then priority; the scarcest place that fits goes first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.matching.domain.household import Facts
from services.matching.domain.ids import NeedId, OfferId
from services.matching.domain.needs import Need, Reason, Unmatched, WaitingNeed, WouldChange
from services.matching.domain.offers import Request, hard_constraints
from services.matching.domain.places import Book, Place, Room

# How many nights after its first one a need with a window is tried on.
MOST_LATER_STARTS = 14


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
    return Request(
        kind=need.kind,
        from_date=max(need.from_date or today, today),
        nights=need.nights,
        facts=facts.that_rules_see(),
        constraints=hard_constraints(need.constraints),
    )


def requests_of(need: Need, facts: Facts, today: date) -> Iterator[Request]:
    """What the need asks for, best first: the first night of its window, then each later one on which it may begin.

    A window that has passed leaves tonight, since the household is still there.
    """
    first = request_of(need, facts, today)
    yield first
    for day in range(1, later_starts(need, first.from_date) + 1):
        yield replace(first, from_date=first.from_date + timedelta(days=day))


def later_starts(need: Need, first_night: date) -> int:
    """On how many nights after that one it may begin, too."""
    if need.latest_date is None:
        return 0
    return max(0, min((need.latest_date - first_night).days, MOST_LATER_STARTS))


def window_of(need: Need, today: date) -> tuple[date, date]:
    """The first night that it may take, and the day after the last."""
    first = max(need.from_date or today, today)
    return first, first + timedelta(days=later_starts(need, first) + need.nights)


def window(candidates: Sequence[WaitingNeed], today: date) -> tuple[date, date]:
    """From the first night that any of them asks for to the day after the last."""
    windows = [window_of(each.need, today) for each in candidates]
    return min(first for first, _ in windows), max(until for _, until in windows)


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
        anew = each.need.need_id in touched
        found = _first_free(book, each, today, None if anew else freed)
        if found is not None:
            found.place.take(found.request, found.units)
            yield each, found
        elif anew:
            yield each, why_none(book, request_of(each.need, each.facts, today), each.excluded)
        else:
            yield each, None


def _first_free(
    book: Book, each: WaitingNeed, today: date, among: Container[OfferId] | None
) -> Placement | None:
    for request in requests_of(each.need, each.facts, today):
        if room := _scarcest(book, request, each.excluded, among):
            return Placement(each.need.need_id, room.place, request, room.units)
    return None


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
