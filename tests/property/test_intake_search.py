"""Whatever is put, changed and dropped: the index finds exactly who is in it, and holds nobody else's words."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.intake.adapters.person_index import PersonIndex
from services.intake.domain.household import Person
from services.intake.domain.ids import HouseholdId, PersonId
from services.intake.domain.search import is_slip, known_by, slips, wanted, words_of

_NAMES = st.sampled_from(
    ["Ana", "Anna", "Bo", "de la Cruz", "Cruz", "O'Hara", "Ohara", "Lee-Ann", "Zoë", "x y z"]
)
_DATES = st.dates(date(1900, 1, 1), date(2026, 12, 31))
_PERSONS = st.builds(
    Person,
    given_name=_NAMES,
    family_name=_NAMES,
    birth_date=st.none() | st.sampled_from([date(1990, 3, 7), date(1990, 7, 3), date(2001, 1, 1)]),
    aliases=st.lists(_NAMES, max_size=2).map(tuple),
)
_STEPS = st.lists(st.tuples(st.integers(0, 5), st.none() | st.lists(_PERSONS, max_size=4)), max_size=30)


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_the_index_holds_who_is_in_it_and_nobody_else(steps: list[tuple[int, list[Person] | None]]) -> None:
    index, households, number = PersonIndex(), dict[int, list[tuple[PersonId, Person]]](), 0
    for which, persons in steps:
        household = HouseholdId(UUID(int=which))
        if persons is None:
            index.drop(household)
            households.pop(which, None)
            continue
        members = [(PersonId(UUID(int=number + n)), person) for n, person in enumerate(persons)]
        number += len(members)
        index.put(household, members)
        households[which] = members
    held = {person_id: person for members in households.values() for person_id, person in members}
    assert len(index) == len(held)
    for person_id, person in held.items():
        found = {each.person_id: each.score for each in index.find(wanted(_name(person), person.birth_date))}
        assert found[person_id] > 0.99
        assert found.keys() <= held.keys()
    words = {word for person in held.values() for name in known_by(person).names for word in name}
    assert set(index._bearers) == words
    assert {word for ends in index._ends.values() for word in ends} == words


def _name(person: Person) -> str:
    return f"{person.given_name} {person.family_name}"


@given(_DATES, _DATES)
def test_a_slip_goes_both_ways_and_is_one_that_is_written_down(one: date, other: date) -> None:
    assert is_slip(one, other) == is_slip(other, one) == (other in slips(one))


@given(st.text(max_size=60))
@example("\N{MATHEMATICAL BOLD CAPITAL A}ma")
def test_words_of_any_text_are_words(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
    assert all(word and not word.isspace() for word in words)
