"""The tick, as a function: what a line becomes and what is announced."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.logistics.domain.appeal import Line, LineState, shares, tick_at, ticked
from services.logistics.domain.events import (
    LineClosed,
    LineFulfilled,
    LinePublished,
    PledgesAdmitted,
    PledgesExpired,
)
from services.logistics.domain.ids import Area, ItemId, LineId, Packs

LINE = Line(
    LineId(UUID("6f2a9c1e-6c1f-4a57-9d1b-0c2f5d3e7a11")), Area("riverside"), ItemId("stroller"),
    LineState.PUBLISHED, Packs(10),
)  # fmt: skip


def told(line: Line, missing: int) -> list[type]:
    return [type(event) for event in ticked(line, Packs(missing))[1]]


def test_nothing_is_said_when_nothing_changed() -> None:
    assert told(LINE, 10) == []


def test_a_changed_need_is_published_again() -> None:
    after, events = ticked(LINE, Packs(4))
    assert events == [LinePublished(LINE.line_id, LINE.area, LINE.item_id, Packs(4))]
    assert after.open == 4


def test_what_moved_since_the_last_tick_is_said_once() -> None:
    line = replace(LINE, pledged=Packs(3), admitted=Packs(4), returned=Packs(1))
    after, events = ticked(line, Packs(10))
    assert events == [PledgesAdmitted(LINE.line_id, Packs(3)), PledgesExpired(LINE.line_id, Packs(3))]
    assert told(after, 10) == []
    assert after.shown == 3


def test_goods_that_arrived_count_for_a_whole_tick() -> None:
    line = replace(LINE, arrived=Packs(6), received=Packs(6))
    first, _ = ticked(line, Packs(10))
    assert (first.arrived, first.settling, first.open) == (0, 6, 4)
    second, _ = ticked(first, Packs(4))
    assert (second.settling, second.open) == (0, 4)


def test_a_line_whose_need_was_met_is_fulfilled_for_a_tick_and_then_gone() -> None:
    line = replace(LINE, received=Packs(10))
    fulfilled, events = ticked(line, Packs(0))
    assert events == [LineFulfilled(LINE.line_id)]
    assert fulfilled.open == 0
    gone, events = ticked(fulfilled, Packs(0))
    assert events == [LineClosed(LINE.line_id)]
    assert told(gone, 0) == []


def test_a_line_whose_need_went_away_is_closed() -> None:
    assert told(LINE, 0) == [LineClosed]


def test_a_line_returns_under_its_own_id_with_the_pledges_that_are_under_way() -> None:
    closed, _ = ticked(replace(LINE, pledged=Packs(3), received=Packs(2)), Packs(0))
    gone, _ = ticked(closed, Packs(0))
    again, events = ticked(gone, Packs(5))
    assert events == [LinePublished(LINE.line_id, LINE.area, LINE.item_id, Packs(5))]
    assert (again.open, again.received) == (2, 0)


@given(st.integers(0, 500), st.lists(st.integers(1, 50), max_size=40))
def test_shares_never_exceed_what_is_open_and_leave_nothing_that_somebody_wanted(
    open_packs: int, asked: list[int]
) -> None:
    granted = shares(Packs(open_packs), [Packs(packs) for packs in asked])
    assert sum(granted) == min(open_packs, sum(asked))
    assert all(0 <= share <= ask for share, ask in zip(granted, asked, strict=True))
    first_short = next((i for i, share in enumerate(granted) if share < asked[i]), len(asked))
    assert not any(granted[first_short + 1 :])


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(1, 100_000),
)
def test_ticks_are_the_same_whoever_computes_them(moment: datetime, seconds: int) -> None:
    period = timedelta(seconds=seconds)
    tick = tick_at(moment, period)
    assert tick <= moment < tick + period
    assert tick_at(tick, period) == tick
    assert tick_at(tick + period, period) == tick + period
