"""What the picture counts and shows, rule by rule."""

import json

import pytest

from services.matching.picture_model import (
    HOUR,
    SUPPRESSED,
    Calendar,
    CaseMemory,
    Cell,
    Fact,
    Hour,
    HouseholdHidden,
    NeedKnown,
    NeedReached,
    Source,
    State,
    Tally,
    Told,
    changed,
    hour_of,
    region,
    shown,
    shown_hours,
)

NOON = Hour(12 * HOUR)
ONE = Hour(13 * HOUR)


def told(sequence: int, *facts: Fact, source: Source = Source.CASES, epoch: int = 1, at: Hour = NOON) -> Told:
    return Told(source, epoch, sequence, at, facts)


def after(*events: Told) -> CaseMemory:
    memory = CaseMemory()
    for event in events:
        memory = memory.after(event)
    return memory


KNOWN = NeedKnown("n1", "north", "lodging")
PLACED = NeedReached("n1", State.PLACED)


def test_a_need_counts_in_the_hour_of_each_state() -> None:
    memory = after(told(1, KNOWN), told(1, PLACED, source=Source.REFERRALS, at=ONE))
    assert memory.counts() == {
        Cell("north", "lodging", NOON): (1, 0, 0),
        Cell("north", "lodging", ONE): (0, 1, 0),
    }


def test_it_does_not_matter_which_topic_is_read_first() -> None:
    reported, placed = told(1, KNOWN), told(1, PLACED, source=Source.REFERRALS, at=ONE)
    assert after(reported, placed).counts() == after(placed, reported).counts()


def test_only_the_first_time_counts() -> None:
    again = [told(n, PLACED, source=Source.REFERRALS, at=Hour(NOON + n * HOUR)) for n in (1, 2, 3)]
    counts = after(told(1, KNOWN), *again).counts()
    assert counts[Cell("north", "lodging", ONE)] == (0, 1, 0)
    assert sum(placed for _, placed, _ in counts.values()) == 1


def test_an_event_that_comes_again_changes_nothing() -> None:
    memory = after(told(1, KNOWN), told(2))
    again = told(1, NeedKnown("n2", "south", "food"))
    assert memory.is_old_news(again)
    assert memory.after(again) is memory
    assert changed(memory, memory.after(again)) == []


def test_a_later_epoch_is_news_and_an_earlier_one_is_not() -> None:
    memory = after(told(7, KNOWN, epoch=2))
    assert not memory.is_old_news(told(1, epoch=3))
    assert memory.is_old_news(told(8, epoch=1))


@pytest.mark.parametrize(
    ("last", "event", "missing"),
    [
        (0, told(1), False),
        (0, told(2), False),
        (3, told(4), False),
        (3, told(5), True),
        (3, told(1, epoch=2), False),
    ],
)
def test_a_hole_in_the_sequence_is_noticed(last: int, event: Told, missing: bool) -> None:
    memory = after(*[told(n) for n in range(1, last + 1)])
    assert memory.misses_one_before(event) is missing


def test_a_household_that_goes_into_hiding_is_counted_no_more() -> None:
    memory = after(told(1, KNOWN), told(1, PLACED, source=Source.REFERRALS))
    hidden = memory.after(told(2, HouseholdHidden()))
    assert hidden.counts() == {}
    assert changed(memory, hidden) == [Cell("north", "lodging", NOON)]
    assert hidden.after(told(2, PLACED, source=Source.REFERRALS)).counts() == {}


def test_what_only_a_snapshot_tells_is_known_but_has_no_hour() -> None:
    known = NeedKnown("n1", "north", "lodging", by_snapshot=True)
    memory = after(told(5, known))
    assert memory.counts() == {}
    placed = memory.after(told(1, PLACED, source=Source.REFERRALS, at=ONE))
    assert placed.counts() == {Cell("north", "lodging", ONE): (0, 1, 0)}
    assert memory.after(told(6, KNOWN)).counts() == {}


def test_a_memory_comes_back_from_json_as_it_was() -> None:
    memory = after(told(1, KNOWN), told(2, epoch=2), told(1, PLACED, source=Source.REFERRALS, at=ONE))
    assert CaseMemory.load(json.loads(json.dumps(memory.dump()))) == memory


def test_a_tally_is_the_sum_of_its_cases() -> None:
    tally, cell = Tally(), Cell("north", "lodging", NOON)
    for _ in range(3):
        tally.move(2, CaseMemory(), after(told(1, KNOWN)))
    tally.move(2, after(told(1, KNOWN)), after(told(1, KNOWN), told(2, HouseholdHidden())))
    assert tally.of(2, cell) == (2, 0, 0)
    assert tally.of(1, cell) == (0, 0, 0)
    assert tally.cells() == [(2, cell)]
    tally.forget_before(ONE)
    assert tally.cells() == []


@pytest.mark.parametrize(
    ("count", "seen"),
    [(0, -1), (1, -1), (9, -1), (10, 10), (12, 10), (13, 15), (17, 15), (18, 20), (1002, 1000)],
)
def test_small_counts_are_hidden_and_others_rounded(count: int, seen: int) -> None:
    assert shown(count) == seen


def test_hours_are_shown_from_48_back_to_the_last_that_ended_and_only_with_something_to_show() -> None:
    until = Hour(100 * HOUR)
    counts = {Hour(h * HOUR): (11, 3, 0) for h in (51, 52, 99, 100)} | {Hour(60 * HOUR): (9, 9, 9)}
    line = (10, SUPPRESSED, SUPPRESSED)
    assert shown_hours(counts, until) == [(Hour(52 * HOUR), line), (Hour(99 * HOUR), line)]


def test_a_regional_total_does_not_give_a_hidden_count_away() -> None:
    until = Hour(100 * HOUR)
    north, south = Cell("north", "food", Hour(99 * HOUR)), Cell("south", "food", Hour(99 * HOUR))
    alone = region({north: (20, 0, 0)}, until)
    assert region({north: (20, 0, 0), south: (7, 0, 0)}, until) == alone
    assert region({north: (20, 0, 0), south: (6, 0, 0), south._replace(area="east"): (6, 0, 0)}, until)[
        "food", State.REPORTED
    ] == 30  # fmt: skip
    assert region({south: (3, 0, 0), south._replace(hour=Hour(0)): (50, 0, 0)}, until)[
        "food", State.REPORTED
    ] == SUPPRESSED  # fmt: skip


def test_the_hour_of_a_moment() -> None:
    assert hour_of(NOON + 3599.9) == NOON
    assert hour_of(ONE) == ONE


def test_a_publication_waits_for_what_was_announced_when_it_fell_due() -> None:
    calendar = Calendar()
    assert calendar.look(NOON, {"a": 0, "b": 5}, {"a": 3, "b": 5}) is None
    assert calendar.look(NOON, {"a": 2, "b": 5}, {"a": 9, "b": 5}) is None
    assert calendar.look(ONE, {"a": 3, "b": 5}, {"a": 9, "b": 5}) == NOON
    assert calendar.look(ONE, {"a": 8, "b": 5}, {"a": 9, "b": 5}) is None
    assert calendar.look(ONE, {"a": 9, "b": 5}, {"a": 9, "b": 5}) == ONE
    assert calendar.look(ONE, {"a": 9, "b": 5}, {"a": 9, "b": 5}) is None
