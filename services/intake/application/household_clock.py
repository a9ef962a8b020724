"""Keep what is promised to a household: one promise at a time, in the order of their times."""

from collections.abc import Mapping

from services.chassis import discretion
from services.intake.application.clocks_ports import Ring
from services.intake.application.ports import IntakeWork
from services.intake.domain.ids import CaseId, WorkerName

CASE_CLOCK = "case-clock"
"""The kind of timer behind all promises to one household; its subject is the case."""

NOBODY = WorkerName("")


async def keep_promise(work: IntakeWork, case_id: CaseId, rings: Mapping[str, Ring]) -> None:
    """Keep the earliest promise that is due, and set the clock to the next.

    The next one is kept in a transaction of its own, so one that fails undoes none before it and waits with
    those behind it. A clock that rang too early, or for something taken back since, is set and nothing else.
    The case is locked first, unless somebody is at work on it, who is not waited for: commands and events that
    change the same household come before or after.
    """
    if not await work.clocks.hold(case_id):
        work.clocks.put_off(case_id)
        discretion.hush()  # nothing was kept
        return
    case = await work.cases.lock(case_id, NOBODY)
    if case is None:
        raise LookupError("a case went away under its lock")
    if case.confidential:
        discretion.hush()
    reminder = await work.clocks.take(case_id)
    if reminder is not None:
        await rings[reminder.kind](work, case, reminder)
    await work.clocks.rewind(case_id)
