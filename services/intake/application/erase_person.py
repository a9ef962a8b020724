"""Make everything that is kept of a person unreadable for ever."""

from collections.abc import Sequence
from dataclasses import replace

from services.intake.application.edit_household import Edit, Edited, begin, finish
from services.intake.application.household_changed import household_changed
from services.intake.application.ports import IntakeWork, KnownHousehold
from services.intake.domain.cases import Case
from services.intake.domain.contact import NOBODY
from services.intake.domain.events import CaseErased
from services.intake.domain.ids import PersonId

NO_REVISION = 0


async def erase_person(work: IntakeWork, edit: Edit, person_id: PersonId) -> Edited:
    """The key goes first, then all that could name the person. With the last person the household and its case
    go, and the others are told to forget it. It may be done when the case is closed: nobody works with them any
    more, and the right stays.

    What was said of the household as a whole was said with the person: no backup of it opens any more, and words of
    which nobody can tell whose they were go. Whoever is left says anew how to reach them.
    """
    editing = await begin(work, edit, closed_too=True, assigned_only=True)
    erased = editing.person(person_id)
    work.forgetting.bar_return(editing.case, erased.source_key)
    staying = [each for each in editing.known.persons if each != erased]
    if not staying:
        await erase_case(work, editing.case, [person_id], editing.known)
        return Edited(NO_REVISION)
    work.forgetting.forget([person_id])
    await work.forgetting.forget_words(editing.case.household_id)
    left = replace(editing.known.household, safe_contact=NOBODY, avoid_words="")
    return await finish(work, editing, left, persons=staying)


async def erase_case(
    work: IntakeWork, case: Case, persons: Sequence[PersonId], before: KnownHousehold | None
) -> None:
    """The household is nobody any more, and the others forget its case."""
    work.forgetting.forget([*persons, case.household_id, case.case_id])
    work.forgetting.erase_case(case)
    await work.imports.unname(case.household_id)
    work.allocations.forget(case.case_id)
    work.tell(CaseErased(case.case_id))
    work.changed(case.case_id)
    await household_changed(work, case, before, None)
