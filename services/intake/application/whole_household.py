"""The cases that are said to be with one household: the one that goes on, and all that are part of it."""

from services.intake.application.ports import IntakeWork
from services.intake.domain.ids import CaseId


async def whole_household(work: IntakeWork, case_id: CaseId) -> list[CaseId]:
    """The one that goes on first; its persons have other ids in each of them. One case alone is whole, too."""
    kept = await kept_case(work, case_id)
    return [kept, *(each.merged for each in await work.merges.of([kept]) if each.holds and each.kept == kept)]


async def kept_case(work: IntakeWork, case_id: CaseId) -> CaseId:
    """The case that goes on. Whoever says that another one is part of it locks it before."""
    for merge in await work.merges.of([case_id]):
        if merge.holds and merge.merged == case_id:
            return merge.kept
    return case_id
