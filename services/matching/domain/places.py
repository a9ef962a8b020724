"""The places of the region as one round of matching sees them: what is free on which night."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

    def free_on(self, night: date) -> int:
        return self.nights.get(night, self.offer.capacity - self.standing)

    def free(self, request: Request) -> int:
        """Units that are free on all of the nights."""
        return min(self.free_on(night) for night in stay(request.from_date, request.nights))

    def take(self, request: Request, units: int) -> None:
        for night in stay(request.from_date, request.nights):
            self.nights[night] = self.free_on(night) - units


class Book:
    """All places of a round. What is taken in the round is at once no longer free for the next household."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places: Mapping[OfferId, Place] = {place.offer.offer_id: place for place in places}
        # Many households ask the same: whom an offer takes does not change within a round.
        self._eligible: dict[Request, tuple[Place, ...]] = {}

    def __getitem__(self, offer_id: OfferId) -> Place:
        return self._places[offer_id]

    def eligible(self, request: Request) -> tuple[Place, ...]:
        """Places whose hard rules all hold, free or not."""
        found = self._eligible.get(request)
        if found is None:
            found = tuple(place for place in self._places.values() if takes(place.offer, request))
            self._eligible[request] = found
        return found
