"""What rings while a household lives in a placement: the last night comes near, and is over."""

from dataclasses import replace
from datetime import date, timedelta

from services.chassis.ids import uuid7
from services.intake.application.follow_stays import arm, end_stay
from services.intake.application.ports import IntakeWork
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder
from services.intake.domain.consents import wants_no_search
from services.intake.domain.events import NeedReported, StayEnding
from services.intake.domain.ids import NeedId
from services.intake.domain.needs import Need, Urgency, need_of
from services.intake.domain.outcomes import NeedState
from services.intake.domain.stays import Stay, lodging_from, night_after, searched_for, somewhere_to_sleep

_SETTLED = (NeedState.PLACED, NeedState.MET, NeedState.WITHDRAWN)


async def stay_ending_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """Begin the search for what comes next, once per stay and threshold, also when the service was away then.

    A closed case is nobody's work.
    """
    stay_id, _, days = reminder.about.partition(":")
    days_left = int(days)
    stays = await work.stays.of_case(case.case_id)
    stay = _stay(stays, int(stay_id))
    if stay is None or stay.last_night is None or stay.told(days_left) or case.closed_at is not None:
        return
    if stay.last_night - timedelta(days=days_left) > work.today:
        arm(work, case, stay)
        return
    others = [each for each in stays if each.stay_id != stay.stay_id]
    # Whether they have a place is asked of the night itself, also when the service was away over it.
    night = stay.last_night + timedelta(days=1)
    need_id, begun = None, stay.next_need
    if not somewhere_to_sleep(night, others, await work.stays.accepted(case.case_id)):
        need_id, new = await search_on(work, case, stay)
        begun = need_id if new else begun
    work.stays.save(replace(stay, told_days=days_left, next_need=begun))
    work.tell(
        StayEnding(case.case_id, stay.referral_id, stay.last_night, days_left, need_id, case.confidential)
    )
    work.cases.advance(case)
    work.changed(case.case_id)


async def search_on(work: IntakeWork, case: Case, stay: Stay) -> tuple[NeedId | None, bool]:
    """The open need that looks for the night after the stay; a new one, as the second part says, if there is none. No
    new one for whoever has ended the search."""
    if stay.last_night is None:
        raise LookupError("a stay without an end has nothing next")
    night = night_after(stay.last_night, work.today)
    open_one = await search_for(work, case, night)
    if open_one is not None:
        return open_one.need_id, False
    if wants_no_search(await work.consents.of_case(case), work.today):
        return None, False
    wanted = lodging_from(night, Urgency.PLANNED, await work.stays.accepted(case.case_id))
    need = need_of(wanted, NeedId(uuid7()), work.today)
    report(work, case, need)
    return need.need_id, True


async def search_for(work: IntakeWork, case: Case, night: date) -> Need | None:
    """The need that may still bring a place for that night. One with a place agreed on brings no other."""
    outcomes = await work.needs.outcomes(case.case_id)
    return searched_for(night, [each.need for each in outcomes if each.state not in _SETTLED], work.today)


def report(work: IntakeWork, case: Case, need: Need) -> None:
    """A need that a clock found, as if an agency had reported it."""
    work.needs.report(case, need)
    work.tell(NeedReported(case.case_id, need, case.facts, case.arrival_code))


async def stay_over_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """The last night is over and nobody has said that the household left: it has.

    Matching says the same of a place it gave; whoever comes second changes nothing.
    """
    stay = _stay(await work.stays.of_case(case.case_id), int(reminder.about))
    if stay is None or stay.ended or stay.last_night is None:
        return
    if stay.last_night >= work.today:
        arm(work, case, stay)
        return
    await end_stay(work, case, stay, stay.last_night + timedelta(days=1))


def _stay(stays: list[Stay], stay_id: int) -> Stay | None:
    return next((stay for stay in stays if stay.stay_id == stay_id), None)
