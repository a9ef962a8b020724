"""The places of the region as one round of matching sees them: what is free on which night."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from services.matching.domain.ids import OfferId
from services.matching.domain.offers import Offer, Request, takes


def stay(from_date: date, nights: int) -> tuple[date, ...]:
    """The nights of a stay, each named by the day on which it begins."""
    return tuple(from_date + timedelta(days=n) for n in range(nights))


@dataclass(slots=True)
class Place:
    """An offer with its free units. `nights` are those about which something is written down; on every other
    night the offer's own capacity counts, less `standing`: units of occupancies without an end.

    Free may be negative: an import recorded more than there is. Nothing is then held until it is positive.
    """

    offer: Offer
    standing: int = 0
    nights: dict[date, int] = field(default_factory=dict)
    # Many ask for the same nights, and what is free on them changes only when this place is taken.
    _free: dict[tuple[date, int], int] = field(default_factory=dict)

    def free_on(self, night: date) -> int:
        return self.nights.get(night, self.offer.capacity - self.standing)

    def free(self, request: Request) -> int:
        """Units that are free on all of the nights."""
        window = (request.from_date, request.nights)
        found = self._free.get(window)
        if found is None:
            found = self._free[window] = min(self.free_on(night) for night in stay(*window))
        return found

    def take(self, request: Request, units: int) -> None:
        for night in stay(request.from_date, request.nights):
            self.nights[night] = self.free_on(night) - units
        self._free.clear()


@dataclass(frozen=True, slots=True)
class Room:
    """A place that would take a household, free or not, and the units that it would take there."""

    place: Place
    units: int


class Book:
    """All places of a round. What is taken in the round is at once no longer free for the next household, and
    nothing becomes free: whoever asks for what there was none of before is answered without looking again.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places: Mapping[OfferId, Place] = {place.offer.offer_id: place for place in places}
        self._rooms: dict[Request, tuple[Room, ...]] = {}
        self._full: set[Request] = set()

    def __getitem__(self, offer_id: OfferId) -> Place:
        return self._places[offer_id]

    def rooms(self, request: Request) -> tuple[Room, ...]:
        """Places whose hard rules all hold, free or not."""
        found = self._rooms.get(request)
        if found is None:
            found = self._rooms[request] = tuple(
                Room(place, request.units_of(place.offer.unit))
                for place in self._places.values()
                if takes(place.offer, request)
            )
        return found

    def free_rooms(
        self, request: Request, excluded: Container[OfferId] = (), among: Container[OfferId] | None = None
    ) -> Iterator[Room]:
        """Those of them that are free and not excluded, and among some, if that is said."""
        if request in self._full:
            return
        some_free = False
        for room in self.rooms(request):
            if room.place.free(request) >= room.units:
                some_free = True
                offer_id = room.place.offer.offer_id
                if offer_id not in excluded and (among is None or offer_id in among):
                    yield room
        if not some_free:
            self._full.add(request)
