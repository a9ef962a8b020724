"""Ask for what follows from a household, and keep it in step with the household and the date."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.chassis.ids import uuid7
from services.intake.application.norms_ports import Followed
from services.intake.application.ports import Approach, IntakeWork
from services.intake.domain.access import Sight, must_act, must_see, read_as
from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder, begins
from services.intake.domain.consents import wants_no_search
from services.intake.domain.derived_needs import Asked, Difference, difference, missing, need_of_line
from services.intake.domain.events import NeedChanged, NeedMet, NeedReported, NeedWithdrawn
from services.intake.domain.household import Person
from services.intake.domain.ids import CaseId, NeedId, PersonId
from services.intake.domain.norms import HORIZON_DAYS, Derived, Overrule, Plan, checked_plan, derive, next_day
from services.intake.domain.refusal import refused

NORMS = "norms"
"""The kind of reminder: something else follows from the household from that day on."""


@dataclass(frozen=True, slots=True)
class DeriveNeeds:
    """`horizon_days` 0: as the case does it, or as usual."""

    asker: Asker
    case_id: CaseId
    horizon_days: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """The needs that were announced as new, as others than before, and as no longer wanted."""

    reported: tuple[NeedId, ...] = ()
    changed: tuple[NeedId, ...] = ()
    withdrawn: tuple[NeedId, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """A line that follows, and what of it the household has received."""

    line: Derived
    received: int


async def derive_needs(work: IntakeWork, command: DeriveNeeds) -> Said:
    """From now on the household's needs follow it. Again, it brings them in step and leaves the plan as it is.

    The case is advanced before anything else is written: of two who derive at once the second is run again.
    """
    case, viewer = whole_case(await work.cases.approach(command.case_id, command.asker))
    case.must_be_open()
    if await _search_has_ended(work, case):
        raise refused(
            "search-ended", "They ended the search; record their consent, or report what they ask for."
        )
    work.cases.advance(case)
    followed = await work.norms.followed(case.case_id)
    if followed is None:
        plan = checked_plan(work.today, command.horizon_days or HORIZON_DAYS)
        work.norms.follow(case, plan, viewer.worker)
        followed = Followed(plan, work.today)
    persons = await _persons(work, case, viewer, "DeriveNeeds")
    return await bring_in_step(work, case, persons, followed, await work.norms.overrules(case))


async def stop_derived_needs(work: IntakeWork, command: DeriveNeeds) -> None:
    """Nothing is derived any more, and what is open of it is taken back. Twice is once."""
    case, _ = whole_case(await work.cases.approach(command.case_id, command.asker))
    if await work.norms.followed(case.case_id) is None:
        return
    work.cases.advance(case)
    work.norms.stop(case.case_id)
    work.clocks.disarm(case.case_id, NORMS)
    record(work, case, difference((), await work.norms.asked(case.case_id)))
    work.changed(case.case_id)


async def preview_needs(work: IntakeWork, command: DeriveNeeds) -> list[Preview]:
    """What follows from the household today. Nothing is recorded, but that somebody looked at its ages."""
    case, viewer = whole_case(await work.cases.approach(command.case_id, command.asker))
    followed = await work.norms.followed(case.case_id)
    plan = Plan(work.today) if followed is None else followed.plan
    if command.horizon_days:
        plan = checked_plan(plan.since, command.horizon_days)
    today = work.today if followed is None else max(work.today, followed.derived_on)
    persons = await _persons(work, case, viewer, "PreviewNeeds")
    lines = derive(persons, plan, today, await work.norms.overrules(case))
    asked = await work.norms.asked(case.case_id)
    return [Preview(line, line.quantity - missing(line, asked)) for line in lines]


async def follow_household(work: IntakeWork, case: Case, persons: Sequence[Person]) -> Said:
    """Bring the derived needs of a case in step with its household, if they follow it.

    `case` has the facts that are true now; whoever calls advances its version. A closed case asks for nothing.
    """
    followed = None if case.closed_at is not None else await work.norms.followed(case.case_id)
    if followed is None:
        return Said()
    return await bring_in_step(work, case, persons, followed, await work.norms.overrules(case))


async def norms_ring(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """A day has come on which something else may follow from the household. The case is locked."""
    if case.closed_at is None:
        known = await work.vault.persons(case)
        if await follow_household(work, case, [each.person for each in known]) != Said():
            work.cases.advance(case)


async def bring_in_step(
    work: IntakeWork, case: Case, persons: Sequence[Person], followed: Followed, overrules: Sequence[Overrule]
) -> Said:
    """Record and announce the difference between what follows from the household and what is asked for.

    Nothing new is asked for once the household has ended the search.
    Days do not go back: after a clock was set back, what follows is that of the latest day that was seen.
    """
    today = max(work.today, followed.derived_on)
    lines = derive(persons, followed.plan, today, overrules)
    found = difference(lines, await work.norms.asked(case.case_id))
    if found.new and await _search_has_ended(work, case):
        found = replace(found, new=())
    said = record(work, case, found)
    work.norms.derived(case.case_id, today)
    _promise_next(work, case, persons, followed.plan, today)
    if found:
        work.changed(case.case_id)
    return said


async def _search_has_ended(work: IntakeWork, case: Case) -> bool:
    return wants_no_search(await work.consents.of_case(case), work.today)


def _promise_next(work: IntakeWork, case: Case, persons: Sequence[Person], plan: Plan, today: date) -> None:
    at = begins(next_day(persons, plan, today), work.zone)
    work.clocks.arm(case.case_id, case.agency_id, NORMS, "", at)


def record(work: IntakeWork, case: Case, found: Difference) -> Said:
    """Write the difference down and tell it. What fell away goes first, so that no line is asked for twice."""
    for need_id in found.gone:
        work.needs.withdraw(case.case_id, need_id)
        work.tell(NeedWithdrawn(case.case_id, need_id))
    for each in found.met:
        work.norms.change(case.case_id, each)
        work.norms.meet(case.case_id, each.need.need_id)
        work.tell(NeedMet(case.case_id, each.need.need_id, each.need.kind, case.confidential))
    for each in (*found.changed, *found.kept_quietly):
        work.norms.change(case.case_id, each)
    work.tell(*(NeedChanged(case.case_id, each.need, case.facts) for each in found.changed))
    reported = tuple(_report(work, case, line, pieces) for line, pieces in found.new)
    return Said(reported, _ids(found.changed), (*found.gone, *_ids(found.met)))


def _report(work: IntakeWork, case: Case, line: Derived, pieces: int) -> NeedId:
    need = need_of_line(line, pieces, NeedId(uuid7()))
    work.norms.report(case, need, line.period)
    work.tell(NeedReported(case.case_id, need, case.facts, case.arrival_code))
    return need.need_id


def _ids(asked: Sequence[Asked]) -> tuple[NeedId, ...]:
    return tuple(each.need.need_id for each in asked)


def whole_case(found: Approach) -> tuple[Case, Viewer]:
    """The case, for whoever sees all of it: what follows from a household tells who is in it."""
    case = must_act(found.case, found.viewer)
    if must_see(case, found.viewer)[1] is not Sight.FULL:
        raise refused("police-write-mostly", "What a household needs is not told to police.")
    return case, found.viewer


async def _persons(work: IntakeWork, case: Case, viewer: Viewer, why: str) -> list[Person]:
    """Their ages are read on the worker's behalf, so each reading is logged."""
    known = await work.vault.persons(case)
    log_read(work, case, viewer, [each.person_id for each in known], why)
    return [each.person for each in known]


def log_read(work: IntakeWork, case: Case, viewer: Viewer, persons: Sequence[PersonId], why: str) -> None:
    """No persons: what was read is about the household as a whole."""
    agency = "" if viewer.agency is None else str(viewer.agency.agency_id)
    work.access_log.read(viewer.worker, agency, case.case_id, persons, read_as(case, why))
