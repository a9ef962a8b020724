"""Change what is said of a household as a whole."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from services.intake.application.edit_household import Edit, Edited, begin, finish
from services.intake.application.ports import IntakeWork
from services.intake.domain.contact import SafeContact
from services.intake.domain.household import Household


async def change_household(work: IntakeWork, edit: Edit, said: Household, named: Collection[str]) -> Edited:
    """The fields that are `named` are as `said`; whoever hides goes on hiding until an advocate lifts it."""
    editing = await begin(work, edit)
    before = editing.known.household
    changes: dict[str, Any] = {name: getattr(said, name) for name in named}
    return await finish(work, editing, replace(before, **changes).hides_anew(before))


async def set_safe_contact(work: IntakeWork, edit: Edit, contact: SafeContact) -> Edited:
    editing = await begin(work, edit, assigned_only=True)
    return await finish(work, editing, replace(editing.known.household, safe_contact=contact))


async def set_places_to_avoid(work: IntakeWork, edit: Edit, avoid: frozenset[str], words: str) -> Edited:
    """From now on it is proposed none of them, and one that is held for it is let go."""
    editing = await begin(work, edit, assigned_only=True)
    return await finish(work, editing, replace(editing.known.household, avoid=avoid, avoid_words=words))
