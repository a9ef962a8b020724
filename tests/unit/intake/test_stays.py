"""When the end of a stay is told, when a household is looked at again, and which follow-ups a placement has."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from services.intake.domain.clocks import FARTHEST_LOOK, after_months, births_to_ask_for, next_look, week_from
from services.intake.domain.consents import Consent, EndedBy, Evidence, Purpose, wants_no_questions
from services.intake.domain.followups import SITUATIONS, checked_situation, follow_ups_of, leads_somewhere
from services.intake.domain.household import Person
from services.intake.domain.ids import CaseId, ConsentId, NeedId, PersonId
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.refusal import Refusal
from services.intake.domain.stays import Stay, lodging_from, night_after, searched_for, somewhere_to_sleep

TODAY = date(2026, 11, 24)
DAY = timedelta(days=1)


def stay(nights: int | None, *, first: date = TODAY) -> Stay:
    last = None if nights is None else first + (nights - 1) * DAY
    return Stay(1, 1, CaseId(UUID(int=1)), None, first, last)


@pytest.mark.parametrize(
    ("nights", "expected"),
    [
        (20, [(7, 12), (3, 16), (1, 18)]),
        (8, [(7, 0), (3, 4), (1, 6)]),
        (5, [(7, -3), (3, 1), (1, 3)]),
        (4, [(3, 0), (1, 2)]),
        (2, [(1, 0)]),
        (1, [(1, -1)]),
        (None, []),
    ],
)
def test_of_the_thresholds_that_have_passed_only_the_nearest_is_promised(
    nights: int | None, expected: list[tuple[int, int]]
) -> None:
    promised = stay(nights).thresholds(TODAY)
    assert [(days, (day - TODAY).days) for days, day in promised] == expected


def test_what_was_told_is_not_promised_again_and_nothing_of_a_stay_that_is_over() -> None:
    assert [days for days, _ in replace(stay(20), told_days=7).thresholds(TODAY)] == [3, 1]
    assert replace(stay(20), told_days=1).thresholds(TODAY) == []
    assert replace(stay(20), ended_on=TODAY).thresholds(TODAY) == []
    assert stay(1, first=TODAY - DAY).thresholds(TODAY) == []


def test_a_night_is_covered_by_a_stay_or_by_a_place_that_both_agreed_on() -> None:
    assert somewhere_to_sleep(TODAY, [stay(1)], [])
    assert not somewhere_to_sleep(TODAY + DAY, [stay(1)], [])
    assert not somewhere_to_sleep(TODAY, [replace(stay(9), ended_on=TODAY)], [])
    assert somewhere_to_sleep(TODAY + DAY, [], [(TODAY, 2)])
    assert not somewhere_to_sleep(TODAY + 2 * DAY, [], [(TODAY, 2)])


def test_what_comes_next_begins_on_the_night_after_and_never_in_the_past() -> None:
    assert night_after(TODAY, TODAY) == TODAY + DAY
    assert night_after(TODAY - 9 * DAY, TODAY) == TODAY


@pytest.mark.parametrize(("gaps", "nights"), [([], 7), ([4], 4), ([90, 2], 2), ([90], 7), ([0, -3], 7)])
def test_a_place_is_looked_for_up_to_the_next_that_is_agreed_on(gaps: list[int], nights: int) -> None:
    accepted = [(TODAY + gap * DAY, 5) for gap in gaps]
    assert lodging_from(TODAY, Urgency.SOON, accepted).nights == nights


@pytest.mark.parametrize(
    ("first", "nights", "latest", "night", "covers"),
    [
        (10, 5, None, 10, True),
        (10, 5, None, 14, True),
        (10, 5, None, 15, False),
        (90, 5, None, 10, False),
        (8, 2, 12, 13, True),
        (8, 2, 12, 14, False),
        (-20, 3, None, 2, True),  # not found yet: it begins today
        (-20, 3, None, 3, False),
    ],
)
def test_only_a_need_that_may_bring_a_place_for_that_night_looks_for_it(
    first: int, nights: int, latest: int | None, night: int, covers: bool
) -> None:
    need = Need(
        NeedId(UUID(int=4)), NeedKind.LODGING, "", 0, TODAY + first * DAY, nights, Urgency.SOON,
        latest_date=None if latest is None else TODAY + latest * DAY,
    )  # fmt: skip
    assert (searched_for(TODAY + night * DAY, [need], TODAY) is not None) == covers
    assert searched_for(TODAY + night * DAY, [replace(need, kind=NeedKind.FOOD)], TODAY) is None


@pytest.mark.parametrize(
    ("last_night", "reason"),
    [(0, "last-night-not-later"), (2, "last-night-not-later"), (99, "nights-out-of-range")],
)
def test_an_extension_is_later_and_not_too_long(last_night: int, reason: str) -> None:
    with pytest.raises(Refusal) as no:
        stay(3).to_extend(TODAY + last_night * DAY, TODAY)
    assert no.value.reason == reason
    stay(3).to_extend(TODAY + 3 * DAY, TODAY)


def test_a_stay_that_has_ended_is_not_extended() -> None:
    with pytest.raises(Refusal, match="ended"):
        replace(stay(3), ended_on=TODAY).to_extend(TODAY + 9 * DAY, TODAY)


# Looking again


def test_the_next_look_is_the_week_of_a_birthday_or_a_day_before_that_says_nothing() -> None:
    soon = Person(birth_date=date(2024, 12, 5))
    assert next_look([soon], TODAY) == date(2026, 12, 7)
    assert next_look([Person(birth_date=date(2025, 12, 5))], TODAY) == TODAY + FARTHEST_LOOK
    assert next_look([Person(birth_date=date(1990, 1, 1)), Person()], TODAY) is None


def test_a_due_date_is_looked_at_until_it_says_nothing_any_more() -> None:
    due = Person(due_date=date(2026, 11, 20))
    assert next_look([due], TODAY) == date(2026, 12, 7)
    assert births_to_ask_for([due], date(2026, 12, 3)) == []
    assert births_to_ask_for([Person(), due], date(2026, 12, 7)) == [1]
    assert next_look([due], date(2026, 12, 7)) == date(2027, 1, 4)
    assert next_look([due], date(2027, 1, 4)) is None


def test_no_look_falls_on_the_day_that_it_is_about() -> None:
    for born in range(7):
        day = date(2026, 11, 30) + born * DAY
        assert week_from(day).weekday() == 0
        assert 0 <= (week_from(day) - day).days < 7


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 2, 29), 24, date(2026, 3, 1)),
        (date(2024, 2, 29), 48, date(2028, 2, 29)),
        (date(2025, 12, 31), 2, date(2026, 3, 1)),
        (date(2025, 11, 30), 1, date(2025, 12, 30)),
    ],
)
def test_months_of_any_length(day: date, months: int, expected: date) -> None:
    assert after_months(day, months) == expected


# Follow-ups


def test_follow_ups_of_a_placement_that_lies_back_are_those_still_of_use() -> None:
    assert [(day - TODAY).days for _, day in follow_ups_of(TODAY, TODAY)] == [30, 90, 180]
    assert [about for about, _ in follow_ups_of(TODAY - 95 * DAY, TODAY)] == [
        "2026-08-21:90",
        "2026-08-21:180",
    ]
    assert follow_ups_of(TODAY - 400 * DAY, TODAY) == []


def test_where_they_went_is_somewhere_unless_it_is_the_street_unknown_or_long_ago() -> None:
    assert leads_somewhere((TODAY, 422), TODAY + DAY)
    assert leads_somewhere((TODAY, 24), TODAY)
    for latest in (None, (TODAY, 116), (TODAY, 99), (TODAY - 8 * DAY, 422)):
        assert not leads_somewhere(latest, TODAY)


def test_only_codes_of_the_lists_are_situations() -> None:
    assert all(checked_situation(code) == code for code in SITUATIONS)
    with pytest.raises(Refusal):
        checked_situation(100)


@pytest.mark.parametrize(
    ("ends", "unwanted"),
    [
        ([], False),
        ([(10, None)], False),
        ([(-1, None)], True),
        ([(10, EndedBy.REVOKED)], True),
        ([(10, EndedBy.REVOKED), (10, None)], False),
    ],
)
def test_whoever_ended_a_consent_to_be_asked_is_asked_no_more(
    ends: list[tuple[int, EndedBy | None]], unwanted: bool
) -> None:
    person = PersonId(UUID(int=2))
    consents = [
        Consent(
            ConsentId(UUID(int=3)), (person,), person, Purpose.FOLLOW_UP, None, "v1", "en", Evidence.PAPER, "",
            TODAY - 20 * DAY, TODAY + days * DAY, ended_by,
        )
        for days, ended_by in ends
    ]  # fmt: skip
    assert wants_no_questions(consents, TODAY) == unwanted
