"""What a case of a household looks for, given the nights on which another of its cases has a place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId, OfferId, ReferralId
from services.matching.domain.matcher import requests_of
from services.matching.domain.needs import Kind, Need, Priority, Tier, Urgency, WaitingNeed
from services.matching.domain.offers import Offer, Rules, Unit
from services.matching.domain.one_place import Alone, Barred, Leader, Shared, apportion
from services.matching.domain.referrals import Referral, ReferralState

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)
TODAY = NOW.date()
KEY = uuid4()


def day(number: int) -> date:
    """Tonight is 0."""
    return TODAY + timedelta(days=number)


def leader(first: int, nights: int) -> Leader:
    rules = Rules(0, True, True, True, True)
    offer = Offer(
        OfferId(UUID(int=1)), "agency", Kind.LODGING, "Shelter", "", "east", Unit.BED, 5, 0, rules, False
    )
    referral = Referral(
        ReferralId(uuid4()), CaseId(uuid4()), NeedId(uuid4()), offer.offer_id, ReferralState.PROPOSED, day(first),
        nights, 1, 1, uuid4(), "CODE", NOW + timedelta(hours=2), one_place=KEY,
    )  # fmt: skip
    return Leader(referral, offer, day(first + nights))


def waiting(nights: int, latest: int | None = None) -> WaitingNeed:
    need_id = NeedId(uuid4())
    need = Need(
        need_id, CaseId(uuid4()), Kind.LODGING, Urgency.SOON, from_date=TODAY, nights=nights,
        latest_date=None if latest is None else day(latest),
    )  # fmt: skip
    return WaitingNeed(need, Facts(1, 0, 0, area="east", one_place=KEY), Priority(Tier.OTHERS, NOW, need_id))


def tried(each: WaitingNeed, *leaders: Leader) -> list[tuple[int, int]]:
    """The first night and how many, for each start at which the need is looked for."""
    what = apportion(each, TODAY, leaders)
    assert isinstance(what, Alone)
    found = requests_of(what.need.need, what.need.facts, TODAY)
    return [((each.from_date - TODAY).days, each.nights) for each in found]


@pytest.mark.parametrize(
    ("nights", "latest", "expected"),
    [
        (1, 8, [(0, 1), (1, 1), (2, 1)]),
        (2, 8, [(0, 2), (1, 2)]),
        (3, 8, [(0, 3)]),  # over on the very day on which the other place begins
        (4, 8, [(0, 3)]),  # the nights before it, from the first one on
        (2, 1, [(0, 2), (1, 2)]),  # all of its window is over by then
        (2, 0, [(0, 2)]),
        (2, None, [(0, 2)]),
        (5, None, [(0, 3)]),
    ],
)
def test_it_is_looked_for_before_the_place_of_another_case_begins(
    nights: int, latest: int | None, expected: list[tuple[int, int]]
) -> None:
    assert tried(waiting(nights, latest), leader(3, 2), leader(6, 1)) == expected


@pytest.mark.parametrize("latest", [None, 0, 2])
def test_a_place_behind_its_window_changes_nothing(latest: int | None) -> None:
    each = waiting(2, latest)
    assert apportion(each, TODAY, [leader(4, 9)]) == Alone(each)
    assert apportion(each, TODAY, []) == Alone(each)


def test_a_place_that_begins_on_the_last_night_of_its_window_is_kept_clear_of() -> None:
    assert tried(waiting(2, 2), leader(3, 9)) == [(0, 2), (1, 2)]


def test_a_place_of_the_first_night_is_shared_or_barred_whenever_else_it_may_begin() -> None:
    each, has = waiting(3, 8), leader(-1, 3)
    assert apportion(each, TODAY, [has, leader(5, 1)]) == Shared(has, TODAY, 2)
    assert apportion(each, TODAY, [has], [has.referral.referral_id]) == Barred()


def test_a_window_that_has_begun_is_looked_at_from_tonight_on() -> None:
    each = waiting(1, 8)
    begun = replace(each, need=replace(each.need, from_date=day(-4)))
    assert tried(begun, leader(2, 3)) == [(0, 1), (1, 1)]
