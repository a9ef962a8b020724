"""What is to happen with a household by itself, and when: the days on which it becomes another."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from services.intake.domain.household import AFTER_THE_DUE_DATE, Person
from services.intake.domain.ids import CaseId

# Kinds of reminders, as their rows name them. None may say anything of a person.
LOOK_AGAIN = "look-again"
STAY_ENDING = "stay-ending"
STAY_OVER = "stay-over"
FOLLOW_UP = "follow-up"
ASK_AGAIN = "ask-again"

# A look is promised no farther ahead than this: the row of a promise shows a day.
FARTHEST_LOOK = timedelta(days=28)
ASK_AGAIN_AFTER = timedelta(days=90)
# How long after a due date somebody asks whether the child is born, if nobody recorded it: two weeks and a day, so that
# the Monday on which it shows is the same one for every due date of one week. Others are told that week anyway.
ASK_FOR_BIRTH_AFTER = timedelta(days=15)
# Ages in months at which a household's facts change: infant to child, child to adult. Sizes are the norms'.
AGES_IN_MONTHS = (24, 216)


@dataclass(frozen=True, slots=True)
class Reminder:
    """Something promised to a household. `about` tells two of one kind apart; arming it again moves it."""

    case_id: CaseId
    kind: str
    about: str
    due_at: datetime


def begins(day: date, zone: tzinfo, at: time = time(0)) -> datetime:
    """The moment at which the region's day begins, or that hour of it."""
    return datetime.combine(day, at, zone)


def next_look(persons: Iterable[Person], today: date) -> date | None:
    """The day on which the household is to be looked at again: the next on which an age or a plan
    changes, or a day before it that says nothing. None when nothing will change by itself."""
    days = [day for person in persons for day in _days_of(person, today) if day > today]
    return min(min(days), today + FARTHEST_LOOK) if days else None


def _days_of(person: Person, today: date) -> list[date]:
    """Every day to come on which something of this person changes by itself, and perhaps some that have passed."""
    days = []
    born = person.birth_date
    if born is not None:
        days += [
            week_from(after_months(born, months))
            for months in AGES_IN_MONTHS
            if born.year + months // 12 + 1 >= today.year
        ]
    if person.due_date is not None:
        due = person.due_date
        over = due + AFTER_THE_DUE_DATE + timedelta(days=1)
        days += [week_from(due + ASK_FOR_BIRTH_AFTER), week_from(over)]
    return days


def week_from(day: date) -> date:
    """The Monday on which it shows: a change that is told on its very day would tell whose birthday that is."""
    return day + timedelta(days=-day.weekday() % 7)


def births_to_ask_for(persons: Iterable[Person], today: date) -> list[int]:
    """The persons, by place, whose child should be born by now and is not recorded."""
    return [
        place
        for place, person in enumerate(persons)
        if person.due_date is not None and person.due_date + ASK_FOR_BIRTH_AFTER <= today
    ]


def after_months(day: date, months: int) -> date:
    """The same day of a later month, or the first one after it where that month is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    try:
        return day.replace(year=day.year + years, month=month + 1)
    except ValueError:
        years, month = divmod(day.month + months, 12)
        return date(day.year + years, month + 1, 1)
