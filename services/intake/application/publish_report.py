"""Publish a quarter's figures: on its day, once, and never again."""

from collections.abc import Sequence

from services.chassis.timers import Deadline, Due
from services.intake.application.ports import IntakeWork
from services.intake.application.reports_ports import Report
from services.intake.domain.clocks import begins
from services.intake.domain.reports import Period, last_published, told

REPORT = "report"
_WHOLE = "region"


async def begin_reports(work: IntakeWork) -> None:
    """At the start of the process: whatever quarter is due, or will be next, has its timer."""
    newest = await work.reports.newest()
    due = last_published(work.today) if newest is None else newest.next
    await work.arm(REPORT, _WHOLE, begins(due.published_on, work.zone), due.name.encode())


def publishing(areas: Sequence[str]) -> Deadline[IntakeWork]:
    """Keeps the promise for these areas, which are fixed by the region."""

    async def keep(due: Due, work: IntakeWork) -> None:
        await publish(work, Period.parse(due.payload.decode()), areas)

    return keep


async def publish(work: IntakeWork, period: Period, areas: Sequence[str]) -> None:
    """A clock that was set back finds the quarter published, and nothing is told twice. Quarters that were missed
    follow one by one."""
    if await work.reports.find(period) is None:
        counted = await work.reports.count(period, areas)
        cells = {indicator: told(indicator, counts, areas) for indicator, counts in counted.items()}
        work.reports.publish(Report(period, work.now, cells))
    following = period.next
    await work.arm(REPORT, _WHOLE, begins(following.published_on, work.zone), following.name.encode())
