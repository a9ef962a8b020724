"""Record where a household lives or went; a return to the street opens its case again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.chassis.ids import uuid7
from services.intake.application.follow_up import follow_up_from
from services.intake.application.keep_stays import report, search_for
from services.intake.application.look_again import arm_ask_again, look
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import Sight, must_act, sight
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.consents import wants_no_search
from services.intake.domain.events import CaseReopened, HouseholdChanged
from services.intake.domain.followups import (
    FOUND_LATELY,
    HOMELESS,
    NEWS,
    OLDEST_SITUATION,
    OUTSIDE,
    PERMANENT,
    checked_situation,
)
from services.intake.domain.ids import CaseId, NeedId, WorkerName
from services.intake.domain.needs import Need, Urgency, need_of
from services.intake.domain.refusal import invalid
from services.intake.domain.stays import Stay, lodging_from, somewhere_to_sleep


@dataclass(frozen=True, slots=True)
class RecordLivingSituation:
    """`on_date` is today if nobody says otherwise."""

    asker: Asker
    case_id: CaseId
    code: int
    on_date: date | None
    note: str


@dataclass(frozen=True, slots=True)
class Situated:
    """What followed: a closed case that is open again, and the need that looks for a place to sleep. No need for whoever
    has a place, or has ended the search: what they ask for then, a worker reports."""

    reopened: bool
    need_id: NeedId | None


async def record_living_situation(work: IntakeWork, command: RecordLivingSituation) -> Situated:
    """Whoever sees only that the case is there is told nothing of what follows, and opens no case again."""
    found = await work.cases.approach(command.case_id, command.asker)
    must_act(found.case, found.viewer)
    case = must_act(await work.cases.lock(command.case_id, command.asker.worker), found.viewer)
    whole = sight(case, found.viewer) is Sight.FULL
    if not whole:
        case.must_be_open()
    on_date = command.on_date or work.today
    situated = await situate(work, case, command.code, on_date, command.note, command.asker.worker)
    return situated if whole else Situated(False, None)


async def situate(
    work: IntakeWork, case: Case, code: int, on_date: date, note: str, by: WorkerName, *, asked: bool = False
) -> Situated:
    """The situation and all that follows from it. The case is locked and not yet advanced by this work.

    `asked`: it answers a follow-up, and begins no new ones: whoever is asked on day 30 is asked on day 90 too.
    """
    checked_situation(code)
    _check_day(on_date, work.today)
    stays = await work.stays.of_case(case.case_id)
    unsaid = _contradicted(stays, code, on_date, work.today)
    returned = code in HOMELESS and await _is_news(
        work, case, on_date, [each for each in stays if each not in unsaid]
    )
    if code in PERMANENT and not asked and await _moved(work, case, on_date, stays):
        await follow_up_from(work, case, on_date)
    await work.situations.record(case, on_date, code, returned, by, note)
    reopened = returned and case.closed_at is not None
    if not returned:
        work.cases.advance(case)
        return Situated(False, None)
    for stay in unsaid:
        await work.alarms.doubt(case, stay, work.today)
    case = await _back(work, case, code)
    need = await _urgent_need(work, case, code)
    work.changed(case.case_id)
    return Situated(reopened, need.need_id if need else None)


def _contradicted(stays: Sequence[Stay], code: int, on_date: date, today: date) -> list[Stay]:
    """The stays that hold on paper only: the household was found outside while it was to sleep there. The stay is not
    ended by that, matching's bed may be kept for it; somebody has to look."""
    if code != OUTSIDE or on_date < today - FOUND_LATELY:
        return []
    return [each for each in stays if each.from_date <= on_date and each.covers(today)]


async def _moved(work: IntakeWork, case: Case, on_date: date, stays: Sequence[Stay]) -> bool:
    """Whether this home is another than the one known: said again, or of whoever lives in a placement that has no end,
    it is where they live already. Whoever was in a placement since has moved."""
    if any(each.last_night is None and each.covers(on_date) for each in stays):
        return False
    latest = await work.situations.latest(case.case_id)
    if latest is None or latest[1] not in PERMANENT:
        return True
    return any(each.from_date > latest[0] for each in stays)


async def _is_news(work: IntakeWork, case: Case, on_date: date, stays: Sequence[Stay]) -> bool:
    """Whether they have nowhere to sleep tonight, as far as anybody knows. What lies back is history."""
    if on_date < work.today - NEWS:
        return False
    if case.closed_at is not None:
        return True
    return not somewhere_to_sleep(work.today, stays, await work.stays.accepted(case.case_id))


async def _back(work: IntakeWork, case: Case, code: int) -> Case:
    """The case as it goes on: open, its clocks wound, and outside if that is where they are."""
    facts = case.facts
    if code == OUTSIDE and not facts.unsheltered:
        facts = replace(facts, unsheltered=True, revision=facts.revision + 1)
        work.situations.tell_facts(case, facts)
    if case.closed_at is not None:
        work.situations.reopen(case)
        work.tell(CaseReopened(case.case_id, facts, case.arrival_code))
        if case.confidential:
            arm_ask_again(work, case)
    elif facts is not case.facts:
        work.tell(HouseholdChanged(case.case_id, facts))
    if case.closed_at is None:
        work.cases.advance(case)
        return replace(case, facts=facts)
    await look(work, replace(case, facts=facts, closed_at=None))
    again = await work.cases.lock(case.case_id, case.opened_by)
    if again is None:
        raise LookupError("a case went away under its lock")
    return replace(again, assigned=case.assigned)


async def _urgent_need(work: IntakeWork, case: Case, code: int) -> Need | None:
    """One that looks for a place for tonight; a new one if there is none and they have not ended the search."""
    standing = await search_for(work, case, work.today)
    if standing is not None:
        return standing
    if wants_no_search(await work.consents.of_case(case), work.today):
        return None
    urgency = Urgency.TONIGHT if code == OUTSIDE else Urgency.SOON
    wanted = lodging_from(work.today, urgency, await work.stays.accepted(case.case_id))
    need = need_of(wanted, NeedId(uuid7()), work.today)
    report(work, case, need)
    return need


def _check_day(on_date: date, today: date) -> None:
    if not today - OLDEST_SITUATION <= on_date <= today:
        raise invalid("date-out-of-range", "A day of the last year, today at the latest.", field="on_date")
