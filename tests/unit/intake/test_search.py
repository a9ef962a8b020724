"""Who is alike to whom: names in any order and spelling, birth dates with a slip, and an index that forgets."""

from datetime import date
from uuid import uuid4

import pytest

from services.intake.adapters.person_index import PersonIndex
from services.intake.domain.duplicates import FURTHER, Likeness, likeness, resemblance
from services.intake.domain.household import Person
from services.intake.domain.ids import HouseholdId, PersonId
from services.intake.domain.refusal import Refusal
from services.intake.domain.search import (
    Birth,
    Wanted,
    birth_of,
    is_slip,
    known_by,
    likely,
    slips,
    spellings,
    wanted,
    words_of,
)
from services.intake.entrypoints.search import Pace


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Zoë  O'Brien-Núñez", ("zoe", "obrien", "nunez")),
        ("Łucja Straße", ("lucja", "strasse")),
        ("DE LA CRUZ", ("de", "la", "cruz")),
        ("李 小龙", ("李", "小龙")),
        ("  -- 12 ", ("12",)),
        ("", ()),
    ],
)
def test_names_are_words_without_case_accents_and_apostrophes(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def test_neighbours_may_be_written_as_one() -> None:
    assert list(spellings(("de", "la", "cruz"))) == [("de", "la", "cruz"), ("dela", "cruz"), ("de", "lacruz")]
    assert list(spellings(("ann", "lee"))) == [("ann", "lee")]


def index(*persons: Person) -> tuple[PersonIndex, list[PersonId]]:
    made = PersonIndex()
    ids = [PersonId(uuid4()) for _ in persons]
    for person_id, person in zip(ids, persons, strict=True):
        made.put(HouseholdId(uuid4()), [(person_id, person)])
    return made, ids


MARIA = Person(
    given_name="María", family_name="de la Cruz", birth_date=date(1990, 3, 7), aliases=("Mimi Santos",)
)
OTHER = Person(given_name="Marta", family_name="Cruzado", birth_date=date(1971, 12, 31))


@pytest.mark.parametrize(
    ("name", "born"),
    [
        ("Maria de la Cruz", None),
        ("maria delacruz", None),
        ("cruz maria", None),
        ("Mraia Crux", date(1990, 3, 7)),
        ("Maria", date(1990, 7, 3)),
        ("mimi santso", None),
    ],
)
def test_somebody_is_found_before_anybody_else(name: str, born: date | None) -> None:
    found, (maria, _) = index(MARIA, OTHER)
    assert found.find(wanted(name, born))[0].person_id == maria


def test_another_birth_date_makes_another_person_of_the_same_name() -> None:
    twin = Person(given_name="Maria", family_name="de la Cruz", birth_date=date(1955, 10, 20))
    found, (maria, other) = index(MARIA, twin)
    scores = {each.person_id: each.score for each in found.find(wanted("Maria de la Cruz", date(1990, 3, 7)))}
    assert scores[maria] == pytest.approx(1.0)
    assert scores[other] < likely(scores.values(), widely=False)
    assert {each.person_id for each in found.find(wanted("Maria de la Cruz", None))} == {maria, other}


def test_particles_alone_lead_to_nobody() -> None:
    found, _ = index(MARIA)
    assert found.find(wanted("de la Torre", None)) == []


def test_whoever_leaves_leaves_no_word_behind() -> None:
    found = PersonIndex()
    household = HouseholdId(uuid4())
    found.put(household, [(PersonId(uuid4()), MARIA), (PersonId(uuid4()), OTHER)])
    found.put(household, [(PersonId(uuid4()), OTHER)])
    assert found.find(wanted("Maria de la Cruz", None)) == []
    assert len(found) == 1
    found.drop(household)
    found.drop(household)
    kept = {name: getattr(found, name) for name in vars(found) if name != "_next"}
    assert not any(kept.values()), kept


def test_nothing_personal_is_in_a_repr() -> None:
    for shown in (repr(wanted("Maria Cruz", date(1990, 3, 7))), repr(known_by(MARIA))):
        assert "maria" not in shown.lower() and "1990" not in shown


@pytest.mark.parametrize(
    ("one", "other", "birth"),
    [
        ("1990-03-07", "1990-03-07", Birth.SAME),
        ("1990-03-07", "1990-07-03", Birth.ALIKE),
        ("1990-03-07", "1991-03-07", Birth.ALIKE),
        ("1990-03-07", "1990-03-01", Birth.ALIKE),
        ("1999-03-07", "2000-03-07", Birth.ALIKE),
        ("1989-03-17", "1998-03-17", Birth.ALIKE),
        ("1990-03-07", "1992-04-08", Birth.OTHER),
        ("1990-03-07", "1990-04-08", Birth.OTHER),
    ],
)
def test_birth_dates_with_a_slip_are_alike(one: str, other: str, birth: Birth) -> None:
    assert birth_of(date.fromisoformat(one), date.fromisoformat(other)) is birth
    assert birth_of(date.fromisoformat(other), date.fromisoformat(one)) is birth
    assert birth_of(None, date.fromisoformat(one)) is Birth.UNKNOWN


def test_a_slip_is_what_slips_write_down() -> None:
    day = date(1984, 2, 29)
    assert all(is_slip(day, each) for each in slips(day))
    assert not is_slip(day, day) and day not in slips(day)


def test_who_is_clearly_less_alike_than_the_best_is_not_shown() -> None:
    assert likely([1.0, 0.97, 0.9], widely=False) == 0.95
    assert likely([0.82], widely=False) == likely([], widely=False) == 0.8
    assert likely([1.0], widely=True) == 0.6


def reason(one: Person, other: Person, score: float = 0.9) -> str | None:
    like = likeness((PersonId(uuid4()), one), (PersonId(uuid4()), other), score)
    return None if like is None else like.reason


def person(given: str, family: str, born: date | None = date(1990, 3, 7), *aliases: str) -> Person:
    return Person(given_name=given, family_name=family, birth_date=born, aliases=aliases)


def test_a_suggestion_says_why() -> None:
    one = person("Ana", "Ruiz")
    assert reason(one, person("ANA", "Ruíz")) == "same-birth-date-and-same-names"
    assert reason(one, person("Ruiz", "Ana")) == "same-birth-date-and-names-swapped"
    assert reason(one, person("Anna", "Ruiz", date(1990, 7, 3))) == "birth-date-alike-and-names-alike"
    assert (
        reason(one, person("Anita", "Perez", date(1990, 3, 7), "Ana Ruiz"))
        == "same-birth-date-and-known-by-alias"
    )
    assert reason(one, person("Ana", "Ruiz", None)) == "birth-date-unknown-and-same-names"
    assert reason(one, person("Anna", "Ruiz", None)) is None
    assert reason(one, person("Ana", "Ruiz", date(1950, 1, 1))) is None
    assert reason(one, one, score=0.7) is None


def test_a_family_is_more_alike_than_its_best_member_and_each_stands_for_one() -> None:
    ones, others = [PersonId(uuid4()) for _ in range(2)], [PersonId(uuid4()) for _ in range(2)]
    found = [
        Likeness(ones[0], others[0], 0.9, ""),
        Likeness(ones[0], others[1], 0.88, ""),
        Likeness(ones[1], others[1], 0.85, ""),
    ]
    alike = resemblance(found)
    assert [(each.person_id, each.other_id) for each in alike.likenesses] == list(
        zip(ones, others, strict=True)
    )
    assert alike.score == pytest.approx(0.9 + FURTHER)


def test_a_worker_searches_at_a_pace() -> None:
    pace = Pace(per_minute=2)
    pace.step("eager", 0.0)
    pace.step("eager", 1.0)
    with pytest.raises(Refusal):
        pace.step("eager", 59.0)
    pace.step("other", 59.0)
    pace.step("eager", 60.5)
    with pytest.raises(Refusal):
        pace.step("eager", 60.6)


def test_wanted_keeps_words_only() -> None:
    assert wanted(" Ruiz,  ANA ", None) == Wanted(("ruiz", "ana"), None)
