"""What the days of a household's promises tell to whoever reads their rows: a week, and never a day of it."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from services.intake.domain.clocks import births_to_ask_for, next_look
from services.intake.domain.household import Household, Person, facts_of
from services.intake.domain.norms import Plan, next_day

MONDAY = date(2026, 12, 7)
WEEK = [MONDAY + timedelta(days=days) for days in range(7)]
OPENED = date(2026, 11, 3)


def expecting(due: date) -> Person:
    return Person(given_name="Mara", birth_date=date(1998, 5, 2), due_date=due)


def looks(person: Person) -> list[date]:
    """Each day on which the household is looked at, and what is found on it."""
    days, today = [], OPENED
    while (day := next_look([person], today)) is not None and day < date(2027, 6, 1):
        days.append(day)
        today = day
    return days


def questions(person: Person) -> list[date]:
    return [day for day in looks(person) if births_to_ask_for([person], day)]


def derived(person: Person) -> list[date]:
    days, today = [], OPENED
    while today < date(2027, 3, 1):
        today = next_day([person], Plan(OPENED), today)
        days.append(today)
    return days


def told(person: Person) -> list[tuple[date, str]]:
    household = Household((person,))
    return [(day, facts_of(household, day, 1).newborn_space_from_week) for day in looks(person)]


@pytest.mark.parametrize("seen", [looks, questions, derived, told])
def test_every_due_date_of_a_week_shows_the_same_days(seen: Callable[[Person], list[object]]) -> None:
    shown = [seen(expecting(due)) for due in WEEK]
    assert shown[0]
    assert all(each == shown[0] for each in shown)
    assert seen(expecting(MONDAY + timedelta(days=7))) != shown[0]


def test_a_birth_is_asked_for_two_weeks_after_the_week_in_which_it_was_due() -> None:
    assert {questions(expecting(due))[0] for due in WEEK} == {MONDAY + timedelta(days=21)}
