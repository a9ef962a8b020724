"""What providers can give, and whom they take: hard rules, every one of which must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import assert_never

from services.matching.domain.household import Facts
from services.matching.domain.ids import OfferId
from services.matching.domain.needs import Kind
from services.matching.domain.refusal import invalid

MAX_CAPACITY = 1_000_000
MAX_NIGHTS = 366


class Unit(StrEnum):
    """What one unit of capacity is."""

    BED = "bed"
    ROOM = "room"
    PORTION = "portion"


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom an offer takes. `max_persons` 0: no limit."""

    max_persons: int
    children: bool
    without_children: bool
    wheelchair: bool
    pets: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """Something a provider can give, night by night.

    `capacity` counts units on every night for which nothing else was said. `max_nights` 0: no limit. `area`
    empty: it serves the whole region. `agency` is the provider's; empty for an offer known from an import
    only, for which the hub speaks.
    """

    offer_id: OfferId
    agency: str
    kind: Kind
    name: str
    contact: str
    area: str
    unit: Unit
    capacity: int
    max_nights: int
    rules: Rules
    confidential: bool

    def check(self) -> None:
        """Raise Refusal when the terms cannot be meant."""
        if self.kind not in (Kind.LODGING, Kind.FOOD, Kind.HOUSING):
            raise invalid("offer-kind", "An offer is of lodging, of food or of housing.")
        if (self.kind is Kind.FOOD) != (self.unit is Unit.PORTION):
            raise invalid("offer-unit", "Food is offered in portions, lodging in beds or rooms.")
        if not self.name.strip():
            raise invalid("offer-name", "An offer has a name.")
        check_capacity(self.capacity)
        if not 0 <= self.max_nights <= MAX_NIGHTS or self.rules.max_persons < 0:
            raise invalid("offer-limits", f"Limits are 0 (none) to {MAX_NIGHTS} nights, and not negative.")
        if not (self.rules.children or self.rules.without_children):
            raise invalid("rules-take-nobody", "An offer takes households with or without children.")


def check_capacity(units: int) -> None:
    if not 0 <= units <= MAX_CAPACITY:
        raise invalid("capacity-out-of-range", f"Capacity is 0 to {MAX_CAPACITY} units.")


@dataclass(frozen=True, slots=True)
class Request:
    """What a household asks of a place: the recorded facts that rules may look at, and nothing else."""

    kind: Kind
    from_date: date
    nights: int
    facts: Facts
    constraints: frozenset[str] = frozenset()

    @property
    def last_night(self) -> date:
        return self.from_date + timedelta(days=self.nights - 1)

    @property
    def until(self) -> date:
        """The first day after the last night."""
        return self.from_date + timedelta(days=self.nights)

    @property
    def persons(self) -> int:
        return self.facts.persons(self.last_night)

    def units_of(self, unit: Unit) -> int:
        """How many units this household takes of such an offer."""
        match unit:
            case Unit.BED | Unit.PORTION:
                return self.persons
            case Unit.ROOM:
                return 1
            case _:
                assert_never(unit)

    def without_pets(self) -> Request:
        return replace(self, facts=replace(self.facts, pets=False))

    def anywhere(self) -> Request:
        return replace(self, facts=replace(self.facts, area=""))


Rule = Callable[[Offer, Request], bool]

# The constraints of a need about which offers say something, and what an offer must be to satisfy them.
CONSTRAINT_RULES: Mapping[str, Callable[[Offer], bool]] = {
    "private-room": lambda offer: offer.unit is Unit.ROOM,
}


def hard_constraints(words: Iterable[str]) -> frozenset[str]:
    """Those of the words that rule offers out; the others wait for offers that say something about them."""
    return frozenset(word for word in words if word in CONSTRAINT_RULES)


def _kind(offer: Offer, request: Request) -> bool:
    return offer.kind is request.kind


def _hiding(offer: Offer, request: Request) -> bool:
    """People in hiding and confidential places are for each other only."""
    return offer.confidential == request.facts.confidential


def _area(offer: Offer, request: Request) -> bool:
    return not request.facts.area or not offer.area or offer.area == request.facts.area


def _max_nights(offer: Offer, request: Request) -> bool:
    return not offer.max_nights or request.nights <= offer.max_nights


def _max_persons(offer: Offer, request: Request) -> bool:
    return not offer.rules.max_persons or request.persons <= offer.rules.max_persons


def _children(offer: Offer, request: Request) -> bool:
    with_children = request.facts.with_children(request.last_night)
    return offer.rules.children if with_children else offer.rules.without_children


def _wheelchair(offer: Offer, request: Request) -> bool:
    return offer.rules.wheelchair or not request.facts.wheelchair


def _pets(offer: Offer, request: Request) -> bool:
    return offer.rules.pets or not request.facts.pets


def _constraints(offer: Offer, request: Request) -> bool:
    return all(CONSTRAINT_RULES[word](offer) for word in request.constraints)


def _not_avoided(offer: Offer, request: Request) -> bool:
    """No place, and no provider, of which the household said that it must not go there."""
    return request.facts.avoid.isdisjoint((str(offer.offer_id), offer.agency))


# Every hard rule by its name. They are ANDed: one that fails is a no.
HARD_RULES: Mapping[str, Rule] = {
    "kind": _kind,
    "hiding": _hiding,
    "area": _area,
    "max-nights": _max_nights,
    "max-persons": _max_persons,
    "children": _children,
    "wheelchair": _wheelchair,
    "pets": _pets,
    "constraints": _constraints,
    "not-avoided": _not_avoided,
}


def failed_rules(offer: Offer, request: Request) -> tuple[str, ...]:
    """The names of the rules that say no; none of them: the offer takes the household."""
    return tuple(name for name, rule in HARD_RULES.items() if not rule(offer, request))


def takes(offer: Offer, request: Request) -> bool:
    return all(rule(offer, request) for rule in HARD_RULES.values())
