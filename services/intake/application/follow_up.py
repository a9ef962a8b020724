"""Ask how a household is getting on: 30, 90 and 180 days after a placement."""

from datetime import date, timedelta

from services.intake.application.ports import IntakeWork
from services.intake.domain.cases import Case
from services.intake.domain.clocks import FOLLOW_UP, Reminder, begins
from services.intake.domain.events import FollowUpDue
from services.intake.domain.followups import TaskKind, follow_ups_of


async def follow_up_from(work: IntakeWork, case: Case, placed_on: date) -> None:
    """Count from this placement, if it is the newest: whoever moves again is asked about the new place only.

    What has been asked already stays open until somebody answers.
    """
    stays = await work.stays.of_case(case.case_id)
    if any(stay.from_date > placed_on for stay in stays):
        return
    work.clocks.disarm(case.case_id, FOLLOW_UP)
    count_from(work, case, placed_on)


def count_from(work: IntakeWork, case: Case, placed_on: date) -> None:
    """Promise those of this placement, of a household that nothing was promised to or no more."""
    for about, day in follow_ups_of(placed_on, work.today):
        work.clocks.arm(case.case_id, case.agency_id, FOLLOW_UP, about, begins(day, work.zone))


async def follow_up_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """A task for the agency, and word of it. Also when the case is closed: that is when nobody asks any more."""
    placed_on, _, days = reminder.about.partition(":")
    due_on = date.fromisoformat(placed_on) + timedelta(days=int(days))
    if await work.tasks.ask(case, TaskKind.FOLLOW_UP, reminder.about, due_on):
        work.tell(FollowUpDue(case.case_id, int(days)))
        work.changed(case.case_id)
