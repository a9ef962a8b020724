"""What it means for a household that an export shows it gone from its project: to the street, or to a home."""

from dataclasses import replace

from services.intake.application.follow_stays import stay_ends
from services.intake.application.follow_up import count_from, follow_up_from
from services.intake.application.ports import IntakeWork
from services.intake.application.record_living_situation import situate
from services.intake.domain.cases import Case
from services.intake.domain.followups import PERMANENT
from services.intake.domain.ids import CaseId, WorkerName
from services.intake.domain.imports import ImportedExit, ImportedHousehold, last_exit, returned


def comes_back(work: IntakeWork, row: ImportedHousehold) -> bool:
    """Whether a household that is new here has just been left on the street: its case begins open."""
    left = last_exit(row)
    return left is not None and returned(left, work.today)


def count_from_home(work: IntakeWork, case: Case, row: ImportedHousehold) -> None:
    """A new case of a household that has moved home is asked how it is, as any other. Nothing is read."""
    left = last_exit(row)
    if left is not None and left.destination in PERMANENT:
        count_from(work, case, left.exited_on)


async def news_of_exit(work: IntakeWork, case_id: CaseId, row: ImportedHousehold) -> ImportedExit | None:
    """The last exit, if no export told of it before: what is said again brings nobody back a second time."""
    left = last_exit(row)
    if left is None or (left.exited_on, left.destination) in await work.history.exits(case_id):
        return None
    return left


def stays_open(work: IntakeWork, case: Case, row: ImportedHousehold, news: ImportedExit | None) -> bool:
    """Whether the case is open after this row of a household that has left: who is on the street is somebody's work,
    until a worker closes the case."""
    left = last_exit(row)
    if left is None or not left.to_the_street:
        return False
    if news is not None:
        return returned(news, work.today)
    return case.closed_at is None


def kept_open(case: Case, row: ImportedHousehold) -> ImportedHousehold:
    """The row of a household that is still looked after here: it tells of the day it left, not of where it sleeps
    since."""
    unsheltered = row.household.unsheltered or case.facts.unsheltered
    return replace(row, closed=False, household=replace(row.household, unsheltered=unsheltered))


async def follow_exit(work: IntakeWork, case_id: CaseId, left: ImportedExit, by: WorkerName) -> None:
    """A return to the street, or a count of follow-ups from the day of the exit. The case is written already."""
    case = await work.cases.lock(case_id, by)
    if case is None:
        raise LookupError("an imported household has lost its case")
    if left.destination in PERMANENT:
        await follow_up_from(work, case, left.exited_on)
    elif returned(left, work.today):
        # What only the export knew of, it says is over.
        await stay_ends(work, case_id, None, left.exited_on)
        await situate(work, case, left.destination, left.exited_on, "", by)
