"""What follows from a household, by figures that somebody published."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.intake.domain.household import AgeBand, Person
from services.intake.domain.ids import WorkerName
from services.intake.domain.needs import MOST_PIECES, NeedKind
from services.intake.domain.norms import (
    NORMS,
    Derived,
    Overrule,
    Plan,
    checked_overrule,
    checked_plan,
    comes_forward_on,
    derive,
    next_day,
)
from services.intake.domain.refusal import Refusal

TODAY = date(2026, 11, 24)
MOTHER = Person(birth_date=date(1998, 5, 2))
TODDLER = Person(birth_date=date(2025, 3, 1))
PLAN = Plan(TODAY)
MIGRATIONS = Path("services/logistics/migrations")


def born(days_ago: int, today: date = TODAY) -> Person:
    return Person(birth_date=today - timedelta(days=days_ago))


def follows(
    persons: Sequence[Person], today: date = TODAY, plan: Plan = PLAN, *words: Overrule
) -> dict[tuple[str, str, str], int]:
    return {line.key: line.quantity for line in derive(persons, plan, today, words)}


def line(name: str, persons: Sequence[Person], today: date = TODAY) -> Derived:
    [found] = [each for each in derive(persons, PLAN, today) if each.norm.name == name]
    return found


def word(norm: str, item_id: str, quantity: int, reason: str = "they have some") -> Overrule:
    return Overrule(norm, item_id, quantity, reason, WorkerName("w"), datetime(2026, 11, 24, tzinfo=UTC))


def test_a_mother_and_her_toddler() -> None:
    assert follows([MOTHER, TODDLER]) == {
        ("food", "", ""): 7,
        ("diapers", "diapers-size-4", ""): 150,
        ("baby-blanket", "baby-blanket", ""): 1,
        ("crib-sheet", "crib-sheet", ""): 1,
        ("blanket", "blanket", ""): 1,
        ("clothes", "clothes-infant", "86"): 2,
        ("soap", "soap-bar", ""): 5,
        ("laundry-soap", "laundry-soap", ""): 2,
    }


@pytest.mark.parametrize(
    ("age", "item"),
    [
        (0, "diapers-newborn"),
        (12, "diapers-newborn"),
        (13, "diapers-size-1"),
        (76, "diapers-size-1"),
        (77, "diapers-size-2"),
        (167, "diapers-size-2"),
        (168, "diapers-size-3"),
        (532, "diapers-size-3"),
        (533, "diapers-size-4"),
        (1_080, "diapers-size-4"),
        (1_081, None),
    ],
)
def test_diapers_follow_the_age_in_the_middle_of_the_days_they_are_for(age: int, item: str | None) -> None:
    found = {key[1] for key in follows([born(age)]) if "diapers" in key[0]}
    assert found == ({item} if item else set())


def test_a_newborn_is_never_without_diapers_whatever_day_it_is_born_on() -> None:
    for birth in range(60):
        child = Person(birth_date=TODAY + timedelta(days=birth))
        days = 0
        for span in range(6):
            start = TODAY + timedelta(days=30 * span)
            lasts_until = birth + days // 5
            assert birth >= 30 * span or lasts_until >= 30 * span, (birth, span)
            monthly = [n for key, n in follows([child], start).items() if key[0] == "diapers"]
            first = [n for key, n in follows([child], start).items() if key[0] == "newborn-diapers"]
            days = max(days, *first) if first else days
            days += sum(monthly)


@pytest.mark.parametrize("days", [7, 13, 30, 60, 90])
def test_quantities_are_for_so_many_days_and_rounded_up_to_whole_pieces(days: int) -> None:
    plan = Plan(TODAY, days)
    three = [MOTHER, MOTHER, born(365)]
    found = follows(three, TODAY, plan)
    assert found["soap", "soap-bar", ""] == -(-3 * 5 * days // 60)
    assert found["diapers", "diapers-size-3", ""] == 5 * days
    assert found["food", "", ""] == 7
    assert found["blanket", "blanket", ""] == 2


def test_the_newborns_needs_come_forward_in_the_week_that_lies_14_days_before_the_due_date() -> None:
    for offset in range(14):
        due = date(2027, 1, 10) + timedelta(days=offset)
        mother = Person(birth_date=MOTHER.birth_date, due_date=due)
        first = comes_forward_on(due)
        assert first.weekday() == 0
        assert timedelta(days=14) <= due - first <= timedelta(days=20)
        before, after = follows([mother], first - timedelta(days=1)), follows([mother], first)
        assert {key: n for key, n in after.items() if key not in before} == {
            ("newborn-kit", "newborn-kit", ""): 1,
            ("newborn-diapers", "diapers-newborn", ""): 215,
            ("baby-blanket", "baby-blanket", ""): 1,
            ("crib-sheet", "crib-sheet", ""): 1,
            ("clothes", "clothes-newborn", "56"): 2,
        }
        latest = line("newborn-kit", [mother], first).latest_date
        assert latest is not None
        assert first < latest < due


def test_no_day_of_a_derived_need_tells_a_due_date_from_another_of_its_week() -> None:
    for monday in (date(2027, 1, 4), date(2027, 3, 29)):
        mothers = [
            Person(birth_date=MOTHER.birth_date, due_date=monday + timedelta(days=14 + offset))
            for offset in range(7)
        ]
        for day in range(200):
            first, *others = (derive([mother], PLAN, TODAY + timedelta(days=day)) for mother in mothers)
            assert all(other == first for other in others), day


def test_no_day_on_which_anything_changes_tells_a_birthday_from_its_neighbours() -> None:
    """Only with a span does a person's age count, so neighbours of a birthday look alike but where a span parts
    them."""
    changes = set()
    for birth in range(30):
        child = born(300 + birth)
        days = [_without_food(child, TODAY + timedelta(days=day)) for day in range(120)]
        changes |= {day for day in range(1, 120) if days[day] != days[day - 1]}
    assert changes == {30, 60, 90}


def _without_food(child: Person, day: date) -> list[Derived]:
    return [each for each in derive([child], PLAN, day) if each.norm.name != "food"]


def test_a_recorded_birth_replaces_the_plan_and_asks_for_nothing_anew() -> None:
    due = TODAY + timedelta(days=3)
    expecting = Person(birth_date=MOTHER.birth_date, due_date=due)
    for birth in range(-10, 10):
        child = Person(birth_date=TODAY + timedelta(days=birth))
        before = {k: n for k, n in follows([expecting]).items() if k[0] not in ("soap", "laundry-soap")}
        after = {k: n for k, n in follows([MOTHER, child]).items() if k[0] not in ("soap", "laundry-soap")}
        assert after == before, birth


def test_a_plan_that_nobody_confirmed_ends_six_weeks_after_the_due_date() -> None:
    mother = Person(due_date=TODAY)
    assert ("newborn-kit", "newborn-kit", "") in follows([mother], TODAY + timedelta(days=42))
    assert ("newborn-kit", "newborn-kit", "") not in follows([mother], TODAY + timedelta(days=49))


def test_without_a_birth_date_the_band_decides() -> None:
    infant = follows([Person(age_band=AgeBand.INFANT)])
    assert infant["diapers", "diapers-size-3", ""] == 150
    child = follows([Person(age_band=AgeBand.CHILD)])
    assert child == follows([Person()]) == follows([MOTHER])


def test_days_are_cut_into_spans_from_the_first_one_on() -> None:
    assert PLAN.span(TODAY, 30) == TODAY
    assert PLAN.span(TODAY + timedelta(days=29), 30) == TODAY
    assert PLAN.span(TODAY + timedelta(days=30), 30) == TODAY + timedelta(days=30)
    assert PLAN.span(TODAY - timedelta(days=5), 30) == TODAY
    food = line("food", [MOTHER], TODAY + timedelta(days=9))
    assert (food.period, food.quantity) == (TODAY + timedelta(days=7), 7)
    diapers = line("diapers", [TODDLER], TODAY + timedelta(days=31))
    assert (diapers.period, diapers.latest_date) == (
        TODAY + timedelta(days=30),
        TODAY + timedelta(days=59),
    )


def test_nothing_changes_before_the_next_day_that_is_named() -> None:
    households = [
        [MOTHER, TODDLER],
        [Person(due_date=TODAY + timedelta(days=50)), born(20)],
        [Person(due_date=TODAY - timedelta(days=20)), born(670)],
    ]
    for persons in households:
        day = TODAY
        while day < TODAY + timedelta(days=150):
            following = next_day(persons, PLAN, day)
            assert following > day
            now = derive(persons, PLAN, day)
            for between in range(1, (following - day).days):
                assert derive(persons, PLAN, day + timedelta(days=between)) == now
            day = following


def test_a_workers_word_holds_in_place_of_the_norm() -> None:
    cloth = word("diapers", "", 0)
    found = derive([MOTHER, TODDLER], PLAN, TODAY, [cloth])
    assert [(each.quantity, each.overrule) for each in found if each.norm.name == "diapers"] == [(0, cloth)]
    more = word("diapers", "diapers-size-4", 200)
    assert follows([TODDLER], TODAY, PLAN, cloth, more)["diapers", "diapers-size-4", ""] == 200


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (word("gold", "", 0), "norm-unknown"),
        (word("diapers", "blanket", 0), "item-not-of-the-norm"),
        (word("diapers", "", MOST_PIECES + 1), "quantity-out-of-range"),
        (word("diapers", "", 0, " "), "reason-missing"),
        (word("diapers", "", 0, "x" * 1_001), "reason-missing"),
    ],
)
def test_a_word_that_says_nothing_is_refused(said: Overrule, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_overrule(said)
    assert refused.value.reason == reason
    assert "x" * 20 not in repr(said)


@pytest.mark.parametrize("days", [-1, 6, 91])
def test_a_plan_is_for_a_week_to_three_months(days: int) -> None:
    with pytest.raises(Refusal, match="7 to 90"):
        checked_plan(TODAY, days)


def test_every_norm_names_its_source_and_items_of_the_catalogue() -> None:
    catalogue = {
        item
        for migration in MIGRATIONS.glob("*.sql")
        for item in re.findall(r"^\s+\('([a-z0-9-]+)',", migration.read_text(), re.MULTILINE)
    }
    assert "diapers-newborn" in catalogue
    for name, norm in NORMS.items():
        assert name == norm.name
        assert norm.says.endswith(".")
        assert re.search(r"Sphere|SPHERE|WHO", norm.source), name
        if norm.kind is NeedKind.GOODS:
            assert norm.items() <= catalogue, norm.items() - catalogue


def test_each_age_is_served_by_one_stage_of_a_norm_at_most() -> None:
    for norm in NORMS.values():
        for age in range(1_600):
            assert sum(stage.serves(age) for stage in norm.stages) <= 1, (norm.name, age)


def test_a_large_household_asks_for_no_more_than_a_need_may_hold() -> None:
    assert max(follows([born(365)] * 30).values()) == MOST_PIECES
