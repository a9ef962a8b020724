"""Who gets what: priority, then the scarcest place that fits; and the honest reason when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId, OfferId
from services.matching.domain.matcher import Placement, match, request_of, why_none
from services.matching.domain.needs import (
    Kind,
    Need,
    Priority,
    Reason,
    Tier,
    Unmatched,
    Urgency,
    WaitingNeed,
    WouldChange,
    tier,
)
from services.matching.domain.offers import Offer, Rules, Unit, takes
from services.matching.domain.places import Book, Place, stay

TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


def place(number: int, capacity: int, taken: int = 0, **terms: Any) -> Place:
    rules = Rules(terms.pop("max_persons", 0), True, True, True, True)
    offer = Offer(
        OfferId(UUID(int=number)), "agency", Kind.LODGING, "Shelter", "", terms.pop("area", "east"),
        terms.pop("unit", Unit.BED), capacity, terms.pop("max_nights", 0), rules, False,
    )  # fmt: skip
    return Place(replace(offer, **terms), 0, {TODAY: capacity - taken})


def waiting(
    since: int = 0, persons: int = 1, nights: int = 1, area: str = "east", of: Tier = Tier.OTHERS, **more: Any
) -> WaitingNeed:
    need_id = NeedId(uuid4())
    need = Need(need_id, CaseId(uuid4()), Kind.LODGING, Urgency.TONIGHT, from_date=TODAY, nights=nights)
    priority = Priority(of, NOW + timedelta(minutes=since), need_id)
    return WaitingNeed(need, Facts(persons, 0, 0, area=area, **more), priority)


def given_out(places: Sequence[Place], needs: Sequence[WaitingNeed]) -> dict[NeedId, Any]:
    touched = {each.need.need_id for each in needs}
    return {each.need.need_id: found for each, found in match(Book(places), needs, TODAY, (), touched)}


def offers_of(found: dict[NeedId, Any], needs: Sequence[WaitingNeed]) -> list[int]:
    return [
        each.place.offer.offer_id.int if isinstance(each := found[need.need.need_id], Placement) else 0
        for need in needs
    ]


def test_the_first_tier_comes_first_then_who_waited_longest() -> None:
    late_mother, early, late = waiting(9, of=Tier.NEWBORN_OUTSIDE), waiting(1), waiting(2)
    found = given_out([place(1, 2)], [late, early, late_mother])
    assert offers_of(found, [late_mother, early, late]) == [1, 1, 0]


def test_the_scarcest_place_goes_first() -> None:
    need = waiting()
    assert offers_of(given_out([place(1, 5), place(2, 1), place(3, 9, taken=9)], [need]), [need]) == [2]


def test_among_equally_scarce_places_the_best_fit_is_taken() -> None:
    need = waiting(persons=2)
    flats = [
        place(1, 1, unit=Unit.ROOM, max_persons=6),
        place(2, 1, unit=Unit.ROOM, max_persons=2),
        place(3, 1, unit=Unit.ROOM),
    ]
    assert offers_of(given_out(flats, [need]), [need]) == [2]


def test_a_household_stays_together_or_elsewhere() -> None:
    need = waiting(persons=3)
    assert offers_of(given_out([place(1, 2), place(2, 4)], [need]), [need]) == [2]


def test_every_night_must_be_free() -> None:
    booked = place(1, 1)
    booked.nights[TODAY + timedelta(days=1)] = 0
    need = waiting(nights=2)
    [found] = given_out([booked], [need]).values()
    assert found == Unmatched(Reason.ALL_FULL, WouldChange.FEWER_NIGHTS)


def test_nights_that_nobody_wrote_down_have_the_offers_capacity_less_what_stands_on_them() -> None:
    offer = replace(place(1, 3), nights={}, standing=2)
    first, second = waiting(1), waiting(2)
    assert offers_of(given_out([offer], [first, second]), [first, second]) == [1, 0]


def test_a_place_that_was_declined_is_not_offered_again() -> None:
    need = replace(waiting(), excluded=frozenset({OfferId(UUID(int=1))}))
    [found] = given_out([place(1, 5)], [need]).values()
    assert found == Unmatched(Reason.NO_ELIGIBLE_PLACE)


def test_a_need_that_has_not_changed_gains_only_by_what_was_freed() -> None:
    need = waiting()
    book = Book([place(1, 5), place(2, 5)])
    freed = {OfferId(UUID(int=2))}
    [(_, found)] = match(book, [need], TODAY, freed, touched=set())
    assert isinstance(found, Placement)
    assert found.place.offer.offer_id.int == 2
    [(_, found)] = match(Book([place(1, 5), place(2, 0)]), [need], TODAY, freed, touched=set())
    assert found is None


@pytest.mark.parametrize(
    ("places", "need", "reason", "would_change"),
    [
        ([], waiting(), Reason.NO_ELIGIBLE_PLACE, None),
        ([place(1, 0)], waiting(), Reason.ALL_FULL, None),
        ([place(1, 1, area="west")], waiting(), Reason.NO_ELIGIBLE_PLACE, WouldChange.AREA),
        ([place(1, 1, 1, area="west")], waiting(), Reason.NO_ELIGIBLE_PLACE, None),
        ([place(1, 1, max_nights=2)], waiting(nights=3), Reason.NO_ELIGIBLE_PLACE, WouldChange.FEWER_NIGHTS),
        (
            [place(1, 1, rules=Rules(0, True, True, True, False))],
            waiting(pets=True), Reason.NO_ELIGIBLE_PLACE, WouldChange.PETS,
        ),
        ([place(1, 9, confidential=True)], waiting(), Reason.NO_ELIGIBLE_PLACE, None),
        ([place(1, 9, confidential=True)], waiting(area="west"), Reason.NO_ELIGIBLE_PLACE, None),
    ],
)  # fmt: skip
def test_why_there_is_none(
    places: list[Place], need: WaitingNeed, reason: Reason, would_change: WouldChange | None
) -> None:
    request = request_of(need.need, need.facts, TODAY)
    assert why_none(Book(places), request, frozenset()) == Unmatched(reason, would_change)


def test_a_first_night_that_has_passed_reads_as_tonight() -> None:
    need = waiting()
    assert request_of(need.need, need.facts, TODAY + timedelta(days=3)).from_date == TODAY + timedelta(days=3)
    assert request_of(need.need, need.facts, TODAY - timedelta(days=3)).from_date == TODAY


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(1, 0, 1, unsheltered=True), Tier.NEWBORN_OUTSIDE),
        (Facts(1, 0, 0, newborn_week="2026-W10", unsheltered=True), Tier.NEWBORN_OUTSIDE),
        (Facts(1, 0, 0, newborn_week="2026-W11", unsheltered=True), Tier.OUTSIDE),
        (Facts(1, 0, 1, confidential=True), Tier.HIDING),
        (Facts(1, 2, 0), Tier.CHILDREN),
        (Facts(1, 0, 0, newborn_week="2026-W09"), Tier.CHILDREN),
        (Facts(2, 0, 0), Tier.OTHERS),
    ],
)
def test_the_tier_follows_from_recorded_facts(facts: Facts, expected: Tier) -> None:
    assert tier(facts, TODAY) is expected


def test_a_priority_shows_its_parts() -> None:
    priority = Priority(Tier.NEWBORN_OUTSIDE, NOW - timedelta(days=3, hours=1), NeedId(uuid4()))
    assert priority.parts(NOW) == (("newborn-outside", 1), ("days-waiting", 3))


capacities = st.lists(st.integers(0, 4), min_size=1, max_size=4)
households = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from(Tier), st.sampled_from(["", "east"])),
    max_size=12,
)


@given(capacities, households)
def test_no_round_gives_more_than_there_is_or_leaves_one_who_fits(
    free: list[int], asked: list[tuple[int, int, Tier, str]]
) -> None:
    places = [
        place(n + 1, capacity, unit=Unit.ROOM if n % 2 else Unit.BED, area="" if n == 2 else "east")
        for n, capacity in enumerate(free)
    ]
    needs = [waiting(n, persons, nights, area, of) for n, (persons, nights, of, area) in enumerate(asked)]
    found = given_out(places, needs)
    for each in places:
        for night in stay(TODAY, 4):
            used = sum(
                one.units
                for one in found.values()
                if isinstance(one, Placement)
                and one.place is each
                and night in stay(one.request.from_date, one.request.nights)
            )
            assert used <= each.offer.capacity
            assert each.free_on(night) == each.offer.capacity - used
    for need in needs:
        request = request_of(need.need, need.facts, TODAY)
        if isinstance(found[need.need.need_id], Unmatched):
            assert not any(
                takes(each.offer, request) and each.free(request) >= request.units_of(each.offer.unit)
                for each in places
            )
