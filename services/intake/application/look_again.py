"""Look at a household again when a day comes that makes it another: a birthday, a due date, a plan."""

from dataclasses import replace

from services.intake.application.derive_needs import follow_household
from services.intake.application.ports import IntakeWork, KnownHousehold
from services.intake.domain.cases import Case
from services.intake.domain.clocks import (
    ASK_AGAIN,
    ASK_AGAIN_AFTER,
    LOOK_AGAIN,
    Reminder,
    begins,
    births_to_ask_for,
    next_look,
)
from services.intake.domain.events import HouseholdChanged
from services.intake.domain.followups import TaskKind
from services.intake.domain.household import facts_of


def set_looks(
    work: IntakeWork, case: Case, before: KnownHousehold | None, after: KnownHousehold | None
) -> None:
    """Promise the next look at a household that is new or has changed, and take back what no longer holds."""
    if after is None:
        work.clocks.forget(case.case_id)
        work.alarms.settle_all(case.case_id)
        for kind in TaskKind:
            work.tasks.overtake(case.case_id, kind)
        return
    _arm_look(work, case, after, new=before is None)
    hides, hid = after.household.confidential, before is not None and before.household.confidential
    if hides and not hid:
        arm_ask_again(work, case)
    elif hid and not hides:
        work.clocks.disarm(case.case_id, ASK_AGAIN)
        work.tasks.overtake(case.case_id, TaskKind.ASK_AGAIN)
    if before is not None and _expects(before) and not _expects(after):
        work.tasks.overtake(case.case_id, TaskKind.ASK_FOR_BIRTH)


async def look_again_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """Tell the facts anew if they are others by now, and what follows from them; ask for a birth that is not
    recorded; look again later.

    A closed case is not looked at: whoever reopens it looks at once.
    """
    if case.closed_at is None:
        await look(work, case)


async def look(work: IntakeWork, case: Case) -> None:
    """What the household is today. The case is locked and not yet advanced by this work."""
    known = await work.vault.known(case)
    # Whether they sleep outside is what was last said of it, in this very work perhaps.
    household = replace(known.household, unsheltered=case.facts.unsheltered)
    seen = facts_of(household, work.today, case.facts.revision)
    if seen.differ_from(case.facts):
        seen = replace(seen, revision=case.facts.revision + 1)
        work.situations.tell_facts(case, seen)
        work.tell(HouseholdChanged(case.case_id, seen))
    await follow_household(work, replace(case, facts=seen), known.household.persons)
    work.cases.advance(case)
    work.changed(case.case_id)
    now = replace(known, facts=seen)
    for place in births_to_ask_for(known.household.persons, work.today):
        person_id = known.persons[place].person_id
        await work.tasks.ask(case, TaskKind.ASK_FOR_BIRTH, str(person_id), work.today)
    _arm_look(work, case, now)


def arm_ask_again(work: IntakeWork, case: Case) -> None:
    """Whether somebody still looks for them is asked of every household in hiding, so that the promise does not
    tell which of them have fled."""
    at = begins(work.today + ASK_AGAIN_AFTER, work.zone)
    work.clocks.arm(case.case_id, case.agency_id, ASK_AGAIN, "", at)


async def ask_again_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """Asked once more, and again after as long: what nobody answers does not lapse. Not of a closed case."""
    if case.closed_at is not None or not case.confidential:
        return
    waiting = await work.tasks.open_of(case.case_id, TaskKind.ASK_AGAIN)
    if waiting:
        work.tasks.ask_once_more(waiting[0])
    else:
        await work.tasks.ask(case, TaskKind.ASK_AGAIN, work.today.isoformat(), work.today)
    arm_ask_again(work, case)
    work.changed(case.case_id)


def _arm_look(work: IntakeWork, case: Case, known: KnownHousehold, *, new: bool = False) -> None:
    day = next_look(known.household.persons, work.today)
    if day is not None:
        work.clocks.arm(case.case_id, case.agency_id, LOOK_AGAIN, "", begins(day, work.zone))
    elif not new:
        work.clocks.disarm(case.case_id, LOOK_AGAIN)


def _expects(known: KnownHousehold) -> bool:
    return any(person.due_date is not None for person in known.household.persons)
