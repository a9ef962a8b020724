"""A referral's life: two answers, one hold, and every late or repeated word answered the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matching.domain.calendar import Calendar
from services.matching.domain.ids import CaseId, NeedId, OccupancyId, OfferId, ReferralId
from services.matching.domain.needs import Urgency
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.referrals import LIVE, Referral, ReferralState, Side
from services.matching.domain.refusal import Refusal

NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)
TODAY = NOW.date()
PROPOSED = Referral(
    ReferralId(uuid4()), CaseId(uuid4()), NeedId(uuid4()), OfferId(uuid4()), ReferralState.PROPOSED, TODAY, 3, 2,
    2, uuid4(), "CODE", NOW + timedelta(hours=2),
)  # fmt: skip
ACCEPTED = replace(PROPOSED, state=ReferralState.ACCEPTED, client_said_yes=True, provider_said_yes=True)


@pytest.mark.parametrize("order", [(Side.CLIENT, Side.PROVIDER), (Side.PROVIDER, Side.CLIENT)])
def test_it_is_accepted_when_both_said_yes_in_either_order(order: tuple[Side, Side]) -> None:
    once = PROPOSED.answered(order[0], True, NOW)
    assert once.state is ReferralState.PROPOSED
    assert once.answered(order[0], True, NOW) == once
    assert once.answered(order[1], True, NOW).state is ReferralState.ACCEPTED


@pytest.mark.parametrize("referral", [PROPOSED, ACCEPTED])
def test_the_client_declines_and_the_provider_rejects(referral: Referral) -> None:
    declined = referral.answered(Side.CLIENT, False, NOW)
    assert (declined.state, declined.holding) == (ReferralState.DECLINED, False)
    assert declined.answered(Side.CLIENT, False, NOW) == declined
    assert referral.answered(Side.PROVIDER, False, NOW).state is ReferralState.REJECTED
    with pytest.raises(Refusal, match="referral-declined"):
        declined.answered(Side.CLIENT, True, NOW)
    with pytest.raises(Refusal, match="referral-declined"):
        declined.answered(Side.PROVIDER, False, NOW)


def test_a_late_answer_is_refused() -> None:
    with pytest.raises(Refusal, match="referral-expired"):
        PROPOSED.answered(Side.CLIENT, True, PROPOSED.expires_at)
    with pytest.raises(Refusal, match="referral-expired"):
        PROPOSED.expired(PROPOSED.expires_at).answered(Side.CLIENT, True, NOW)


def test_a_hold_ends_at_its_time_and_not_before() -> None:
    assert PROPOSED.expired(PROPOSED.expires_at - timedelta(microseconds=1)) == PROPOSED
    ended = PROPOSED.expired(PROPOSED.expires_at)
    assert ended.state is ReferralState.EXPIRED
    assert ended.expired(NOW + timedelta(days=9)) == ended


def test_who_moved_in_stays_until_they_leave() -> None:
    there = ACCEPTED.arrived(NOW, TODAY)
    assert there.occupied
    assert there.arrived(NOW, TODAY) == there
    assert there.expired(NOW + timedelta(days=9)) == there
    assert there.withdrawn() == there
    assert there.answered(Side.CLIENT, True, NOW) == there
    with pytest.raises(Refusal, match="already-arrived"):
        there.answered(Side.PROVIDER, False, NOW)


def test_who_may_not_move_in() -> None:
    with pytest.raises(Refusal, match="not-accepted"):
        PROPOSED.arrived(NOW, TODAY)
    with pytest.raises(Refusal, match="referral-expired"):
        ACCEPTED.arrived(ACCEPTED.expires_at, TODAY)
    with pytest.raises(Refusal, match="referral-withdrawn"):
        ACCEPTED.withdrawn().arrived(NOW, TODAY)
    with pytest.raises(Refusal, match="stay-not-begun"):
        replace(ACCEPTED, from_date=TODAY + timedelta(days=1)).arrived(NOW, TODAY)


steps = st.lists(
    st.sampled_from(
        ["client yes", "client no", "provider yes", "provider no", "expire", "withdraw", "arrive"]
    ),
    max_size=8,
)


@given(steps)
def test_whatever_is_said_in_whatever_order_a_referral_that_ended_stays_ended(said: list[str]) -> None:
    referral = PROPOSED
    for step in said:
        before = referral
        try:
            match step.split():
                case ["client", answer]:
                    referral = referral.answered(Side.CLIENT, answer == "yes", NOW)
                case ["provider", answer]:
                    referral = referral.answered(Side.PROVIDER, answer == "yes", NOW)
                case ["expire"]:
                    referral = referral.expired(referral.expires_at)
                case ["withdraw"]:
                    referral = referral.withdrawn()
                case _:
                    referral = referral.arrived(NOW, TODAY)
        except Refusal:
            assert referral == before
        if before.state not in LIVE or before.occupied:
            assert referral == before
        both = referral.client_said_yes and referral.provider_said_yes
        assert (referral.state is ReferralState.ACCEPTED) <= both
        assert referral.occupied <= (referral.state is ReferralState.ACCEPTED)


CALENDAR = Calendar(
    ZoneInfo("America/New_York"), timedelta(hours=2), timedelta(hours=24), timedelta(hours=12), time(11)
)


def test_tonight_is_the_regions_night() -> None:
    assert CALENDAR.today(datetime(2026, 3, 3, 4, 59, tzinfo=UTC)) == date(2026, 3, 2)
    assert CALENDAR.today(datetime(2026, 3, 3, 5, 0, tzinfo=UTC)) == date(2026, 3, 3)
    assert CALENDAR.next_day(NOW) == datetime(2026, 3, 3, 5, tzinfo=UTC)


def test_how_long_promises_last() -> None:
    assert CALENDAR.hold_until(Urgency.TONIGHT, NOW) == NOW + timedelta(hours=2)
    assert CALENDAR.hold_until(Urgency.SOON, NOW) == NOW + timedelta(hours=24)
    assert CALENDAR.arrive_until(date(2026, 3, 2), NOW) == datetime(2026, 3, 3, 17, tzinfo=UTC)
    late = datetime(2026, 3, 3, 16, tzinfo=UTC)
    assert CALENDAR.arrive_until(date(2026, 3, 2), late) == late + timedelta(hours=2)
    assert CALENDAR.leave_on(date(2026, 3, 9)) == datetime(2026, 3, 9, 15, tzinfo=UTC)


def test_a_stay_ends_when_the_household_leaves() -> None:
    stay = Occupancy(
        OccupancyId(uuid4()), OfferId(uuid4()), CaseId(uuid4()), ReferralId(uuid4()), 1, date(2026, 3, 2),
        date(2026, 3, 5),
    )  # fmt: skip
    assert stay.end(None, date(2026, 3, 3)) == date(2026, 3, 3)
    assert stay.end(None, date(2026, 3, 9)) == date(2026, 3, 5)
    assert stay.end(date(2026, 3, 4), date(2026, 3, 3)) == date(2026, 3, 4)
    for outside in (date(2026, 3, 1), date(2026, 3, 6)):
        with pytest.raises(Refusal, match="until-date-outside-stay"):
            stay.end(outside, date(2026, 3, 3))
    endless = replace(stay, until=None)
    assert endless.end(None, date(2026, 3, 9)) == date(2026, 3, 9)
    with pytest.raises(Refusal, match="until-date-outside-stay"):
        endless.end(date(2026, 3, 10), date(2026, 3, 9))
