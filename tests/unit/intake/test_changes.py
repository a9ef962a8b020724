"""What changed is named, never told; and a household hides until an advocate says otherwise."""

from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.changes import changed_fields
from services.intake.domain.contact import Channel, SafeContact
from services.intake.domain.household import AgeBand, Household, Person, facts_of
from services.intake.domain.ids import PersonId

ONE, TWO = (PersonId(UUID(int=n)) for n in (1, 2))
PERSON = Person(given_name="Mara")
HOUSEHOLD = Household((PERSON,))
TODAY = date(2026, 11, 24)

# Another value for each field; a field without one here is not tested, and the test says so.
OTHER: dict[str, Any] = {
    "given_name": "Ada", "family_name": "Quill", "aliases": ("Lee",), "birth_date": date(1998, 5, 2),
    "age_band": AgeBand.CHILD, "relationship": 1, "due_date": date(2026, 12, 8), "note": "secret",
    "contact": "555",
}  # fmt: skip
OTHER_HOUSEHOLD: dict[str, Any] = {
    "wheelchair": True, "pets": True, "unsheltered": True, "survivor": True, "fleeing": True, "area": "east",
    "handoff_point": "secret", "handoff_slot": "secret", "lifted": True, "avoid": frozenset({"secret"}),
    "safe_contact": SafeContact(Channel.TEXT, "secret"), "avoid_words": "secret",
}  # fmt: skip


def test_every_field_of_a_person_is_named_when_it_changes() -> None:
    assert set(OTHER) == {each.name for each in fields(Person)}
    for name, value in OTHER.items():
        changed = replace(PERSON, **{name: value})
        named = changed_fields(HOUSEHOLD, HOUSEHOLD, {ONE: PERSON}, {ONE: changed})
        assert named == (f"persons/{ONE}/{name}",)


def test_every_field_of_a_household_is_named_when_it_changes() -> None:
    assert {*OTHER_HOUSEHOLD, "persons"} == {each.name for each in fields(Household)}
    for name, value in OTHER_HOUSEHOLD.items():
        named = changed_fields(HOUSEHOLD, replace(HOUSEHOLD, **{name: value}), {ONE: PERSON}, {ONE: PERSON})
        assert named == (name,)
        assert "secret" not in "".join(named)


def test_who_comes_or_goes_is_named_whole() -> None:
    assert changed_fields(HOUSEHOLD, HOUSEHOLD, {ONE: PERSON}, {TWO: PERSON}) == (
        f"persons/{ONE}", f"persons/{TWO}",
    )  # fmt: skip
    assert changed_fields(HOUSEHOLD, HOUSEHOLD, {ONE: PERSON}, {ONE: PERSON}) == ()


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=6))
def test_whoever_hides_goes_on_hiding_until_it_is_lifted(said: list[tuple[bool, bool, bool]]) -> None:
    """Whatever workers say one after the other: only an advocate's word ends it, and news begin it anew."""
    household = HOUSEHOLD
    for survivor, fleeing, lift in said:
        before = household
        household = replace(before, survivor=survivor, fleeing=fleeing).hides_anew(before)
        news = (survivor and not before.survivor) or (fleeing and not before.fleeing)
        assert household.confidential == (before.confidential or news)
        if lift:
            household = replace(household, lifted=True)
            assert not household.confidential


@pytest.mark.parametrize("lifted", [False, True])
def test_what_is_lifted_stays_recorded(lifted: bool) -> None:
    household = Household((PERSON,), survivor=True, lifted=lifted)
    assert (household.survivor, household.confidential) == (True, not lifted)


def test_of_where_it_must_not_go_only_ids_are_facts() -> None:
    household = replace(HOUSEHOLD, avoid=frozenset({"one"}), avoid_words="where his brother works")
    facts = facts_of(household, TODAY, 2)
    assert facts.avoid == {"one"}
    assert "brother" not in repr(facts)
    assert facts.differ_from(facts_of(HOUSEHOLD, TODAY, 2))


def test_the_newborns_space_follows_from_the_due_date_alone() -> None:
    due = TODAY + timedelta(days=30)
    household = replace(HOUSEHOLD, persons=(replace(PERSON, due_date=due),))
    weeks = {
        facts_of(household, TODAY + timedelta(days=days), 1).newborn_space_from_week
        for days in range(30 + 42 + 1)
    }
    year, week, _ = (due - timedelta(days=14)).isocalendar()
    assert weeks == {f"{year}-W{week:02d}"}
    assert facts_of(household, due + timedelta(days=43), 1).newborn_space_from_week == ""
