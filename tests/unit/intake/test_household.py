"""What may be known of a household, and what cannot be one."""

from datetime import date, timedelta

import pytest
from aid.intake.v1 import intake_pb2 as messages
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.household import (
    AgeBand,
    Facts,
    Household,
    Person,
    age_band,
    checked,
    facts_of,
)
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.requests import household_in

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("born", "band"),
    [
        (date(2024, 11, 25), AgeBand.INFANT),
        (date(2024, 11, 24), AgeBand.CHILD),
        (date(2008, 11, 25), AgeBand.CHILD),
        (date(2008, 11, 24), AgeBand.ADULT),
        (date(2024, 2, 29), AgeBand.CHILD),
        (TODAY, AgeBand.INFANT),
    ],
)
def test_a_band_changes_on_the_birthday(born: date, band: AgeBand) -> None:
    assert age_band(Person(birth_date=born, age_band=AgeBand.ADULT), TODAY) is band


def test_without_a_birth_date_the_said_band_counts_and_an_adult_is_assumed() -> None:
    assert age_band(Person(age_band=AgeBand.INFANT), TODAY) is AgeBand.INFANT
    assert age_band(Person(), TODAY) is AgeBand.ADULT


@pytest.mark.parametrize(
    ("dues", "week"),
    [
        ([], ""),
        ([date(2026, 12, 16)], "2026-W49"),
        ([date(2027, 1, 10), date(2026, 12, 16)], "2026-W49"),
        ([date(2027, 1, 14)], "2026-W53"),
        ([TODAY - timedelta(days=42)], "2026-W40"),
        ([TODAY - timedelta(days=43)], ""),
    ],
)
def test_a_due_date_becomes_the_week_from_which_space_is_needed(dues: list[date], week: str) -> None:
    persons = (Person(), *(Person(due_date=due) for due in dues))
    assert facts_of(Household(persons), TODAY, 1).newborn_space_from_week == week


@given(st.lists(st.dates(TODAY - timedelta(days=36_000), TODAY), min_size=1, max_size=8), st.booleans())
def test_everybody_is_counted_once_and_nobody_is_named(born: list[date], fleeing: bool) -> None:
    persons = tuple(Person(given_name=f"name-{day}", birth_date=day, note="secret") for day in born)
    facts = facts_of(Household(persons, fleeing=fleeing, handoff_point="secret"), TODAY, 3)
    assert facts.adults + facts.children + facts.infants == len(born)
    assert facts.confidential is fleeing
    assert "secret" not in repr(facts)
    assert "name-" not in repr(facts)


def test_a_survivor_is_as_confidential_as_one_who_flees() -> None:
    assert Household((Person(),), survivor=True).confidential
    assert Household((Person(),), fleeing=True).confidential
    assert not Household((Person(),)).confidential


def test_facts_differ_by_what_they_say_and_not_by_their_revision() -> None:
    facts = facts_of(Household((Person(),)), TODAY, 1)
    assert not facts.differ_from(facts_of(Household((Person(),)), TODAY, 9))
    assert facts.differ_from(facts_of(Household((Person(), Person())), TODAY, 1))


def test_nothing_personal_shows_in_a_repr() -> None:
    person = Person("Mara", "Quill", date(1998, 5, 2), AgeBand.ADULT, 1, TODAY, "note", "contact")
    shown = repr(Household((person,), survivor=True, handoff_point="corner", handoff_slot="nine"))
    for secret in ("Mara", "Quill", "1998", "note'", "contact'", "corner", "nine", "survivor"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("household", "reason"),
    [
        (Household(()), "household-empty"),
        (Household((Person(),) * 31), "household-too-large"),
        (Household((Person(birth_date=date(1880, 1, 1)),)), "birth-date-impossible"),
        (Household((Person(due_date=TODAY + timedelta(days=311)),)), "due-date-impossible"),
        (Household((Person(given_name="x" * 201),)), "text-too-long"),
        (Household((Person(),), area="x" * 65), "area-invalid"),
        (Household((Person(),), area="Jane Doe, 12 Elm Street"), "area-invalid"),
        (Household((Person(),), area="ward:3"), "area-invalid"),
        (Household((Person(note="a\x00b"),)), "text-not-printable"),
        (Household((Person(),), handoff_point="x" * 501), "text-too-long"),
    ],
)
def test_what_cannot_be_is_refused_without_being_repeated(household: Household, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked(household, TODAY)
    assert (refused.value.kind, refused.value.reason) == ("invalid", reason)
    assert "xxx" not in str(refused.value) + repr(refused.value.details)


def test_facts_have_no_field_for_anything_personal() -> None:
    assert set(Facts.__slots__) == {
        *("adults", "children", "infants", "newborn_space_from_week", "wheelchair", "pets"),
        *("unsheltered", "confidential", "area", "revision", "avoid", "one_place"),
    }


def test_where_the_region_names_its_areas_no_other_word_is_taken() -> None:
    areas = ("riverside", "hillside")
    assert household_in(messages.Household(area="riverside"), areas).area == "riverside"
    assert household_in(messages.Household(), areas).area == ""
    with pytest.raises(Refusal) as refused:
        household_in(messages.Household(area="jane-doe-lives-here"), areas)
    assert refused.value.reason == "area-unknown"
