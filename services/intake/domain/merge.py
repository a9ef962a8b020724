"""Two cases of one agency that are with one household: said by a worker, never by the machine, and taken back exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, MergeId, WorkerName
from services.intake.domain.refusal import conflict, invalid, refused


@dataclass(frozen=True, slots=True)
class Merge:
    """`merged` has become part of `kept`. It is a statement about the two: nothing in them changes, so it can be
    taken back at any time, whatever happened to either case meanwhile."""

    merge_id: MergeId
    kept: CaseId
    merged: CaseId
    merged_by: WorkerName
    merged_at: datetime
    undone_at: datetime | None = None

    @property
    def holds(self) -> bool:
        return self.undone_at is None


def check_merge(kept: Case, merged: Case, expected: tuple[int, int], merges: Sequence[Merge]) -> None:
    """Refused for households in hiding, for cases that changed since they were compared, and for chains."""
    if kept.case_id == merged.case_id:
        raise invalid("case-merged-with-itself", "Two cases are merged.", field="merged_case_id")
    if kept.confidential or merged.confidential:
        raise refused("confidential-not-merged", "The case of a household in hiding stands alone.")
    if kept.agency_id != merged.agency_id:
        raise refused("agencies-differ", "Cases of one agency are merged.")
    if (kept.version, merged.version) != expected:
        raise conflict(
            "case-changed", "One of the cases changed since they were compared; compare them again."
        )
    kept.must_be_open()
    for merge in merges:
        if merge.holds and (merge.merged in (kept.case_id, merged.case_id) or merge.kept == merged.case_id):
            raise refused(
                "already-merged", "One of the cases is part of another one, or has one as its part."
            )


def check_undo(merge: Merge) -> None:
    if not merge.holds:
        raise refused("merge-undone", "It was taken back before.")
