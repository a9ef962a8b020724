"""What of a household is another than before: names of fields, never what is in them."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from services.intake.domain.household import Household, Person
from services.intake.domain.ids import PersonId

_OF_HOUSEHOLD = tuple(field.name for field in fields(Household) if field.name != "persons")
_OF_PERSON = tuple(field.name for field in fields(Person))

Members = Mapping[PersonId, Person]


def changed_fields(before: Household, after: Household, were: Members, are: Members) -> tuple[str, ...]:
    """In the contract's words: "area", "persons/<id>", "persons/<id>/note"; in the order of the fields."""
    return (*_of_household(before, after), *_of_members(were, are))


def _of_household(before: Household, after: Household) -> Iterator[str]:
    return (name for name in _OF_HOUSEHOLD if getattr(before, name) != getattr(after, name))


def _of_members(were: Members, are: Members) -> Iterator[str]:
    """One who came or left is named whole; one who stayed, by what changed."""
    for person_id in dict.fromkeys((*were, *are)):
        was, now = were.get(person_id), are.get(person_id)
        if was is None or now is None:
            yield f"persons/{person_id}"
            continue
        for name in _OF_PERSON:
            if getattr(was, name) != getattr(now, name):
                yield f"persons/{person_id}/{name}"
