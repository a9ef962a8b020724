"""Say that a household hides from nobody any more, in all of its cases."""

from collections.abc import Sequence
from dataclasses import replace

from services.intake.application.edit_household import Edit, Edited, Editing, begin, finish
from services.intake.application.ports import IntakeWork
from services.intake.application.whole_household import whole_household
from services.intake.domain.cases import Case
from services.intake.domain.events import HouseholdChanged
from services.intake.domain.refusal import denied, refused


async def lift_confidentiality(work: IntakeWork, edit: Edit, together: Sequence[Edit] = ()) -> Edited:
    """By an advocate who is assigned to the case. What is recorded of its past stays recorded.

    Cases that are said to be with the same household began to hide together and are lifted together: one that hides
    no more would tell her name, and that she is here, while she hides in the other. The advocate names all of them,
    each with the revision that they saw: what was said in another case meanwhile is not passed over.
    """
    lifting = [
        await _lifting(work, edit),
        *[await _lifting(work, each, closed_too=True) for each in together],
    ]
    whole = await _whole(work, lifting[0].case)
    hiding = {each.case_id for each in whole if each.confidential and not each.facts.nobody}
    if sorted(hiding) != sorted(each.case.case_id for each in lifting):
        raise refused(
            "merged-cases-hide",
            "The household hides in several cases: an advocate who is assigned to all lifts all at once, each named"
            " with the revision that was seen; or the merge is taken back before.",
        )
    edited = [await finish(work, each, replace(each.known.household, lifted=True)) for each in lifting]
    await _go_by_one_name(work, whole)
    return edited[0]


async def _lifting(work: IntakeWork, edit: Edit, *, closed_too: bool = False) -> Editing:
    editing = await begin(work, edit, closed_too=closed_too)
    if not editing.case.confidential:
        raise refused("not-confidential", "The household hides from nobody.")
    if not (editing.case.assigned and editing.viewer.is_one_of("advocate")):
        raise denied("advocate-only", "Only an advocate who is assigned to the case lifts confidentiality.")
    return editing


async def _whole(work: IntakeWork, case: Case) -> list[Case]:
    """All cases that are said to be with the household, the one that goes on first."""
    ids = await whole_household(work, case.case_id)
    found = [await work.cases.find(each, case.opened_by) for each in ids]
    return [each for each in found if each is not None]


async def _go_by_one_name(work: IntakeWork, whole: Sequence[Case]) -> None:
    """Each of them got a name of its own again by this; as one household's they go by one, and get one place."""
    kept, *parts = whole
    for each in parts:
        # Locked, and with it written what was promised so far, its new name included.
        part = await work.cases.lock(each.case_id, each.opened_by)
        if (
            part is None
            or await work.one_places.share(part.case_id, part.household_id, kept.household_id) is None
        ):
            continue
        if part.closed_at is None:
            work.tell(HouseholdChanged(part.case_id, part.facts))
