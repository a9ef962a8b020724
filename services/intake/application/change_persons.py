"""Somebody joins a household, changes, leaves it, or is born into it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from services.chassis.ids import uuid7
from services.intake.application.edit_household import Edit, Edited, begin, finish
from services.intake.application.ports import IntakeWork, KnownPerson
from services.intake.domain.household import Person
from services.intake.domain.ids import PersonId
from services.intake.domain.refusal import invalid, refused

CHILD = 2
"""HUD 3.15."""
NOT_COLLECTED = 99


async def add_person(work: IntakeWork, edit: Edit, person: Person) -> tuple[Edited, PersonId]:
    editing = await begin(work, edit)
    joined = KnownPerson(PersonId(uuid7()), person)
    return await finish(work, editing, persons=(*editing.known.persons, joined)), joined.person_id


async def change_person(
    work: IntakeWork, edit: Edit, person_id: PersonId, said: Person, named: Collection[str]
) -> Edited:
    """The fields that are `named` are as `said`."""
    editing = await begin(work, edit)
    changed = editing.person(person_id)
    changes: dict[str, Any] = {name: getattr(said, name) for name in named}
    now = replace(changed, person=replace(changed.person, **changes))
    return await finish(
        work, editing, persons=[now if each == changed else each for each in editing.known.persons]
    )


async def remove_person(work: IntakeWork, edit: Edit, person_id: PersonId) -> Edited:
    """Who leaves is forgotten with their key: nothing is kept of somebody whom nobody works with."""
    editing = await begin(work, edit, assigned_only=True)
    gone = editing.person(person_id)
    staying = [each for each in editing.known.persons if each != gone]
    if not staying:
        raise refused("last-person", "The last person cannot leave; close the case, or erase the person.")
    work.imports.stay_away(editing.case, gone.source_key)
    work.forgetting.forget([person_id])
    return await finish(work, editing, persons=staying)


async def record_birth(
    work: IntakeWork, edit: Edit, mother_id: PersonId, children: Sequence[Person]
) -> tuple[Edited, tuple[PersonId, ...]]:
    """The mother's due date ends, and the children are persons of the household: the plan becomes fact."""
    editing = await begin(work, edit)
    mother = editing.person(mother_id)
    if not children:
        raise invalid("children-missing", "A birth has at least one child.", field="children")
    born = [KnownPerson(PersonId(uuid7()), _born(child, work)) for child in children]
    delivered = replace(mother, person=replace(mother.person, due_date=None))
    stayed = [delivered if each == mother else each for each in editing.known.persons]
    edited = await finish(work, editing, persons=(*stayed, *born))
    return edited, tuple(each.person_id for each in born)


def _born(child: Person, work: IntakeWork) -> Person:
    """Born today and a child of the household, where nothing else was said."""
    relationship = CHILD if child.relationship == NOT_COLLECTED else child.relationship
    return replace(child, birth_date=child.birth_date or work.today, relationship=relationship, due_date=None)
