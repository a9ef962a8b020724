"""Whom an offer takes: every hard rule, alone and together."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from services.matching.domain.household import Facts, iso_week
from services.matching.domain.ids import OfferId
from services.matching.domain.needs import Kind
from services.matching.domain.offers import HARD_RULES, Offer, Request, Rules, Unit, failed_rules, takes
from services.matching.domain.refusal import Refusal

OFFER = Offer(
    offer_id=OfferId(UUID(int=1)), agency="agency", kind=Kind.LODGING, name="Shelter", contact="", area="east",
    unit=Unit.BED, capacity=10, max_nights=7,
    rules=Rules(max_persons=4, children=True, without_children=True, wheelchair=False, pets=False),
    confidential=False,
)  # fmt: skip
FACTS = Facts(adults=1, children=1, infants=0, area="east")


def asked(nights: int = 3, kind: Kind = Kind.LODGING, **facts: Any) -> Request:
    return Request(kind, date(2026, 3, 2), nights, replace(FACTS, **facts))


def test_a_household_that_satisfies_every_rule_is_taken() -> None:
    assert failed_rules(OFFER, asked()) == ()
    assert takes(OFFER, asked())


@pytest.mark.parametrize(
    ("request_", "offer", "rule"),
    [
        (asked(kind=Kind.FOOD), OFFER, "kind"),
        (asked(confidential=True), OFFER, "hiding"),
        (asked(), replace(OFFER, confidential=True), "hiding"),
        (asked(area="west"), OFFER, "area"),
        (asked(nights=8), OFFER, "max-nights"),
        (asked(adults=4), OFFER, "max-persons"),
        (asked(), replace(OFFER, rules=replace(OFFER.rules, children=False)), "children"),
        (asked(children=0), replace(OFFER, rules=replace(OFFER.rules, without_children=False)), "children"),
        (asked(wheelchair=True), OFFER, "wheelchair"),
        (asked(pets=True), OFFER, "pets"),
        (replace(asked(), constraints=frozenset({"private-room"})), OFFER, "constraints"),
        (asked(avoid=frozenset({str(OFFER.offer_id)})), OFFER, "not-avoided"),
        (asked(avoid=frozenset({"elsewhere", OFFER.agency})), OFFER, "not-avoided"),
    ],
)
def test_one_rule_that_fails_is_a_no_and_is_named(request_: Request, offer: Offer, rule: str) -> None:
    assert failed_rules(offer, request_) == (rule,)
    assert not takes(offer, request_)


def test_every_rule_is_tested_here() -> None:
    assert set(HARD_RULES) == {
        "kind", "hiding", "area", "max-nights", "max-persons", "children", "wheelchair", "pets", "constraints",
        "not-avoided",
    }  # fmt: skip


def test_no_area_reads_as_anywhere_on_either_side() -> None:
    assert takes(OFFER, asked(area=""))
    assert takes(replace(OFFER, area=""), asked(area="west"))


def test_limits_of_zero_are_none() -> None:
    offer = replace(OFFER, max_nights=0, rules=replace(OFFER.rules, max_persons=0))
    assert takes(offer, asked(nights=90, adults=12))


def test_a_newborn_counts_from_the_week_in_which_it_is_expected() -> None:
    expecting = asked(nights=7, children=0, newborn_week="2026-W11")
    assert expecting.last_night == date(2026, 3, 8)
    assert iso_week(expecting.last_night) == "2026-W10"
    assert (expecting.persons, expecting.facts.with_children(expecting.last_night)) == (1, False)
    longer = replace(expecting, nights=8)
    assert (longer.persons, longer.facts.with_children(longer.last_night)) == (2, True)


def test_weeks_sort_by_time_over_the_turn_of_the_year() -> None:
    days = [date(2026, 12, 27), date(2026, 12, 28), date(2027, 1, 3), date(2027, 1, 4)]
    weeks = [iso_week(day) for day in days]
    assert weeks == ["2026-W52", "2026-W53", "2026-W53", "2027-W01"]
    assert weeks == sorted(weeks)


def test_a_household_takes_a_bed_a_head_but_one_room() -> None:
    assert asked().units_of(Unit.BED) == 2
    assert asked().units_of(Unit.PORTION) == 2
    assert asked().units_of(Unit.ROOM) == 1


def test_nobody_recorded_still_counts_as_somebody() -> None:
    assert asked(adults=0, children=0).persons == 1


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"kind": Kind.GOODS}, "offer-kind"),
        ({"unit": Unit.PORTION}, "offer-unit"),
        ({"kind": Kind.FOOD}, "offer-unit"),
        ({"name": "  "}, "offer-name"),
        ({"capacity": -1}, "capacity-out-of-range"),
        ({"capacity": 1_000_001}, "capacity-out-of-range"),
        ({"max_nights": 367}, "offer-limits"),
        ({"rules": replace(OFFER.rules, max_persons=-1)}, "offer-limits"),
        ({"rules": replace(OFFER.rules, children=False, without_children=False)}, "rules-take-nobody"),
    ],
)
def test_terms_that_cannot_be_meant_are_refused(terms: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal) as refusal:
        replace(OFFER, **terms).check()
    assert (refusal.value.reason, refusal.value.kind) == (reason, "invalid")
