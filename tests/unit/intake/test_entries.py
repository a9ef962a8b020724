"""The order of what was recorded offline, and which times are possible."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.entries import (
    CLOCKS_DIFFER_BY,
    OLDEST_ENTRY,
    Recorded,
    check_recorded,
    happened_at,
    in_order,
)
from services.intake.domain.refusal import Refusal

NOW = datetime(2026, 11, 24, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
moments = st.integers(-40_000, 0).map(lambda minutes: NOW + minutes * MINUTE)


def test_what_opens_a_case_comes_first_also_when_the_phones_clock_jumped() -> None:
    need = Recorded(0, opens=False, occurred_at=NOW - 9 * MINUTE, recorded_at=NOW - 9 * MINUTE)
    case = Recorded(1, opens=True, occurred_at=NOW - 5 * MINUTE, recorded_at=NOW - 5 * MINUTE)
    assert in_order([need, case]) == [1, 0]


@given(st.lists(st.tuples(st.booleans(), moments, moments), max_size=20))
def test_every_entry_has_its_turn_and_things_keep_the_order_in_which_they_happened(
    said: list[tuple[bool, datetime, datetime]],
) -> None:
    entries = [Recorded(position, *each) for position, each in enumerate(said)]
    order = in_order(entries)
    assert sorted(order) == list(range(len(said)))
    for kind in (True, False):
        times = [entries[each].occurred_at for each in order if entries[each].opens is kind]
        assert times == sorted(times)


def test_a_clock_that_is_a_little_fast_is_forgiven_and_nothing_happens_tomorrow() -> None:
    assert happened_at(None, NOW) == NOW
    assert happened_at(NOW + CLOCKS_DIFFER_BY, NOW) == NOW
    assert happened_at(NOW - OLDEST_ENTRY, NOW) == NOW - OLDEST_ENTRY
    for moment, reason in (
        (NOW + CLOCKS_DIFFER_BY + MINUTE, "occurred-in-the-future"),
        (NOW - OLDEST_ENTRY - MINUTE, "occurred-too-long-ago"),
    ):
        with pytest.raises(Refusal) as refusal:
            happened_at(moment, NOW)
        assert refusal.value.reason == reason


def test_nothing_is_recorded_before_it_happens_or_after_now() -> None:
    check_recorded(NOW - MINUTE, NOW, NOW)
    for recorded, reason in (
        (NOW - 2 * MINUTE, "recorded-before-it-occurred"),
        (NOW + CLOCKS_DIFFER_BY + MINUTE, "recorded-in-the-future"),
    ):
        with pytest.raises(Refusal) as refusal:
            check_recorded(NOW - MINUTE, recorded, NOW)
        assert refusal.value.reason == reason
