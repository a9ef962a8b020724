"""What is recorded against what follows: which need goes on as which, and what is left alone."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from services.intake.domain.derived_needs import Asked, difference, need_of_line
from services.intake.domain.household import Person
from services.intake.domain.ids import NeedId, WorkerName
from services.intake.domain.norms import Derived, Overrule, Plan, derive

TODAY = date(2026, 11, 24)
PLAN = Plan(TODAY)
CHILD = Person(birth_date=TODAY - timedelta(days=180))


def lines(day: date = TODAY, *words: Overrule) -> dict[str, Derived]:
    return {line.norm.name: line for line in derive([CHILD], PLAN, day, words)}


def asked(line: Derived, number: int = 1, pieces: int | None = None) -> Asked:
    need = need_of_line(line, line.quantity if pieces is None else pieces, NeedId(UUID(int=number)))
    return Asked(need, line.period)


def test_food_for_which_a_place_is_held_stays_and_the_next_days_are_asked_for_beside_it() -> None:
    this_week, next_week = lines()["food"], lines(TODAY + timedelta(days=7))["food"]
    held = replace(asked(this_week), found=True)
    assert not difference([this_week], [held])
    found = difference([next_week], [held])
    assert [(line.period, days) for line, days in found.new] == [(TODAY + timedelta(days=7), 7)]
    assert not found.gone
    both = [held, asked(next_week, 2)]
    assert not difference([next_week], both)
    assert not difference([next_week], both[::-1])
    after = difference([next_week], [replace(held, found=False), both[1]])
    assert after.gone == (held.need.need_id,)


def test_food_that_is_not_wanted_is_taken_back_also_where_a_place_is_held() -> None:
    none = Overrule("food", "", 0, "they cook", WorkerName("w"), datetime(2026, 11, 24, tzinfo=UTC))
    held = replace(asked(lines()["food"]), found=True)
    assert difference(list(lines(TODAY, none).values())[:1], [held]).gone == (held.need.need_id,)


def test_food_that_nobody_found_moves_on_with_the_days() -> None:
    this_week, next_week = lines()["food"], lines(TODAY + timedelta(days=7))["food"]
    found = difference([next_week], [asked(this_week)])
    assert [(each.need.from_date, each.period) for each in found.changed] == [
        (next_week.period, next_week.period)
    ]
    assert not found.new


def test_what_a_child_outgrew_goes_on_in_the_new_size_unless_some_of_it_came() -> None:
    small, large = lines()["clothes"], lines(TODAY + timedelta(days=60))["clothes"]
    assert (small.size, large.size) == ("68", "74")
    found = difference([large], [asked(small)])
    assert [(each.need.need_id.int, each.need.size, each.need.quantity) for each in found.changed] == [
        (1, "74", 2)
    ]
    one_came = replace(asked(small), handed_over=1)
    found = difference([large], [one_came])
    assert [pieces for _, pieces in found.new] == [2]
    assert [each.need.quantity for each in found.met] == [1]


def test_of_what_was_received_before_nothing_is_taken_off_the_next_month() -> None:
    now, later = lines()["diapers"], lines(TODAY + timedelta(days=30))["diapers"]
    later = replace(later, item_id=now.item_id)
    some_came = replace(asked(now), handed_over=60)
    [moved] = difference([later], [some_came]).changed
    assert (moved.need.quantity, moved.carried, moved.period) == (210, 60, later.period)
    assert not difference([later], [moved])
    # Nothing came in this month: it is no longer wanted, and nobody says that it was met.
    assert difference([], [moved]).gone == (moved.need.need_id,)


def test_a_word_that_wants_fewer_than_came_ends_the_need() -> None:
    line = lines()["soap"]
    found = difference([replace(line, quantity=2)], [replace(asked(line, pieces=5), handed_over=3)])
    assert [(each.need.quantity, each.handed_over) for each in found.met] == [(3, 3)]
    assert not found.changed


def test_what_was_met_counts_for_its_days_and_what_lasts_for_as_long_as_it_lasts() -> None:
    line = lines()["soap"]
    met = replace(asked(line), handed_over=line.quantity, met_on=TODAY)
    assert not difference([line], [met])
    next_month = lines(TODAY + timedelta(days=30))["soap"]
    assert [pieces for _, pieces in difference([next_month], [met]).new] == [next_month.quantity]
    blanket = lines()["baby-blanket"]
    had = replace(asked(blanket), handed_over=1, met_on=TODAY - timedelta(days=blanket.norm.lasts))
    assert not difference([blanket], [had])
    long_ago = replace(had, met_on=TODAY - timedelta(days=blanket.norm.lasts + 1))
    assert [pieces for _, pieces in difference([blanket], [long_ago]).new] == [1]
