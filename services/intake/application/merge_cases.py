"""Say that two cases are with one household, and take it back."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.ids import uuid7
from services.intake.application.end_consent import end_guesses
from services.intake.application.find_person import searching
from services.intake.application.ports import IntakeWork
from services.intake.application.whole_household import whole_household
from services.intake.domain.access import Sight, must_act, sight
from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.events import HouseholdChanged
from services.intake.domain.ids import CaseId, MergeId, WorkerName
from services.intake.domain.merge import Merge, check_merge, check_undo
from services.intake.domain.refusal import not_found


@dataclass(frozen=True, slots=True)
class MergeCases:
    """The versions are those that the worker compared."""

    asker: Asker
    kept: CaseId
    kept_version: int
    merged: CaseId
    merged_version: int


async def merge_cases(work: IntakeWork, command: MergeCases) -> MergeId:
    """Both cases stay as they are, row by row; what is added is the statement, and that the two get one place."""
    kept, merged = await _both(work, command)
    merges = await work.merges.of([kept.case_id, merged.case_id])
    check_merge(kept, merged, (command.kept_version, command.merged_version), merges)
    sides = await whole_household(work, kept.case_id), [merged.case_id]
    merge = Merge(MergeId(uuid7()), kept.case_id, merged.case_id, command.asker.worker, work.now)
    work.merges.begin(merge, kept.agency_id)
    await _share(work, merged, kept)
    for one, other in (sides, sides[::-1]):
        await _bars_reach(work, one, other, command.asker.worker)
    _wake(work, merge)
    return merge.merge_id


async def undo_merge(work: IntakeWork, asker: Asker, merge_id: MergeId) -> None:
    """Both cases are as they would be if it had never been said."""
    merge = await work.merges.find(merge_id)
    if merge is None:
        raise not_found()
    found = await work.cases.approach(merge.kept, asker)
    must_act(found.case, found.viewer)
    searching(found.viewer)
    check_undo(merge)
    merged = await work.cases.find(merge.merged, asker.worker)
    if merged is not None:
        await _share(work, merged, None)
    work.merges.undo(merge_id, asker.worker, work.now)
    _wake(work, merge)


async def list_merges(work: IntakeWork, asker: Asker, case_id: CaseId) -> Sequence[Merge]:
    """With the cases that the asker sees: of another one, not even that it was ever the same household's."""
    found = await work.cases.approach(case_id, asker)
    if found.case is None or sight(found.case, found.viewer) is not Sight.FULL:
        raise not_found()
    seen = []
    for merge in await work.merges.of([case_id]):
        other_id = merge.merged if merge.kept == case_id else merge.kept
        other = await work.cases.find(other_id, asker.worker)
        if other is not None and sight(other, found.viewer) is Sight.FULL:
            seen.append(merge)
    return seen


async def _both(work: IntakeWork, command: MergeCases) -> tuple[Case, Case]:
    """Both cases, locked: nobody changes either between the comparison of versions and the commit."""
    wanted = (command.kept, command.merged)
    seen: dict[CaseId, Case] = {}
    viewer: Viewer | None = None
    for case_id in wanted:
        found = await work.cases.approach(case_id, command.asker)
        must_act(found.case, found.viewer)
        viewer = found.viewer
        searching(viewer)
    for case_id in sorted(set(wanted)):
        case = await work.cases.lock(case_id, command.asker.worker)
        if case is None:
            raise not_found()
        seen[case_id] = case
    return seen[command.kept], seen[command.merged]


async def _bars_reach(
    work: IntakeWork, barred_in: Sequence[CaseId], cases: Sequence[CaseId], by: WorkerName
) -> None:
    """Somebody who is barred in cases of the one side may be any member of those of the other."""
    if not (await work.consents.bars(barred_in, [])).others:
        return
    for case_id in cases:
        case = await work.cases.lock(case_id, by)
        if case is not None:
            await end_guesses(work, case)


async def _share(work: IntakeWork, merged: Case, kept: Case | None) -> None:
    """Tell matching, which gives both of them one place for a night."""
    shared = await work.one_places.share(
        merged.case_id, merged.household_id, None if kept is None else kept.household_id
    )
    if shared is not None and merged.closed_at is None:
        work.tell(HouseholdChanged(merged.case_id, merged.facts))


def _wake(work: IntakeWork, merge: Merge) -> None:
    work.changed(merge.kept)
    work.changed(merge.merged)
