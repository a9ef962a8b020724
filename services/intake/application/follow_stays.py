"""Follow the stays of a household: set its clocks, search for what comes next, and say when there is nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.intake.application.follow_up import follow_up_from
from services.intake.application.household_clock import NOBODY
from services.intake.application.ports import IntakeWork
from services.intake.domain.cases import Case
from services.intake.domain.clocks import STAY_ENDING, STAY_OVER, begins
from services.intake.domain.events import NeedWithdrawn, StayEnded, StayStarted
from services.intake.domain.followups import leads_somewhere
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.needs import NeedKind
from services.intake.domain.outcomes import NeedState
from services.intake.domain.stays import LEAVES_AT, Stay, somewhere_to_sleep


@dataclass(frozen=True, slots=True)
class StayTold:
    """A household took a place; `referral_id` and `need_id` are None where an import told of it."""

    case_id: CaseId
    referral_id: ReferralId | None
    need_id: NeedId | None
    from_date: date
    last_night: date | None


async def case_of(work: IntakeWork, case_id: CaseId) -> Case:
    """The case, locked: whatever else happens to its stays comes before or after."""
    case = await work.cases.lock(case_id, NOBODY)
    if case is None:
        raise LookupError("a stay of a case that is not here")
    return case


async def stay_begins(work: IntakeWork, told: StayTold) -> None:
    """The household moved in, or what is known of its stay has changed. Told twice is told once.

    Meals are taken like a place, day by day; nobody lives there.
    """
    case = await case_of(work, told.case_id)
    if told.need_id is not None and await _is_food(work, case.case_id, told.need_id):
        return
    known = _of_referral(await work.stays.of_case(case.case_id), told.referral_id, told.from_date)
    if known is None:
        stay = await work.stays.begin(case, told.referral_id, told.from_date, told.last_night)
        await follow_up_from(work, case, told.from_date)
        _announce(work, case, stay)
    else:
        await change_stay(work, case, known, told.from_date, told.last_night)


async def stay_extended(work: IntakeWork, case_id: CaseId, referral_id: ReferralId, last_night: date) -> None:
    """Another last night: its clocks begin anew. A stay that is not known is told of by a snapshot later."""
    case = await case_of(work, case_id)
    known = _of_referral(await work.stays.of_case(case_id), referral_id, None)
    if known is not None:
        await change_stay(work, case, known, known.from_date, last_night)


async def change_stay(
    work: IntakeWork, case: Case, known: Stay, from_date: date, last_night: date | None
) -> None:
    """What is known of a stay is another than before. One that had ended goes on if it lasts longer than that,
    and its alarm is settled; the same told again ends no alarm."""
    ended_on = known.ended_on
    if ended_on is not None and (last_night is None or last_night >= ended_on):
        ended_on = None
    stay = replace(known, from_date=from_date, last_night=last_night, ended_on=ended_on)
    if stay == known:
        return
    if last_night != known.last_night:
        await _search_anew(work, case, known)
        stay = replace(stay, told_days=None, next_need=None)
    work.stays.save(stay)
    if known.ended and not stay.ended:
        work.alarms.settle(stay)
    _announce(work, case, stay)


async def _search_anew(work: IntakeWork, case: Case, stay: Stay) -> None:
    """What a clock looked for is for other nights than those that matter now, unless a place is agreed on."""
    for each in await work.needs.outcomes(case.case_id) if stay.next_need else []:
        wanted = each.state not in (NeedState.PLACED, NeedState.MET, NeedState.WITHDRAWN)
        if each.need.need_id == stay.next_need and wanted:
            work.needs.withdraw(case.case_id, each.need.need_id)
            work.tell(NeedWithdrawn(case.case_id, each.need.need_id))


async def stay_ends(work: IntakeWork, case_id: CaseId, referral_id: ReferralId | None, until: date) -> None:
    """The household left, by matching's word. Without a referral every stay of an import that began by then."""
    case = await case_of(work, case_id)
    stays = await work.stays.of_case(case_id)
    for stay in stays:
        same = stay.referral_id == referral_id
        if same and (referral_id is not None or (not stay.ended and stay.from_date <= until)):
            await end_stay(work, case, stay, until)


async def end_stay(work: IntakeWork, case: Case, stay: Stay, until: date) -> None:
    """The household does not sleep there from that night on. With nowhere to sleep that night it is an alarm."""
    if stay.ended_on == until:
        return
    ended = replace(stay, ended_on=until)
    work.stays.save(ended)
    if stay.ended:
        work.alarms.settle(stay)
    disarm(work, stay)
    work.tell(StayEnded(stay.case_id, stay.referral_id, stay.from_date, until))
    if case.closed_at is None and not await _has_somewhere(work, ended, until):
        await work.alarms.raise_(case, ended, until)
    work.changed(case.case_id)


async def stays_stand(work: IntakeWork, case_id: CaseId, told: Sequence[StayTold]) -> None:
    """Take over all stays that stand, after a gap: what is not among them has ended, nobody said when."""
    for each in told:
        await stay_begins(work, each)
    case = await case_of(work, case_id)
    standing = {(each.referral_id, each.from_date) for each in told}
    for stay in await work.stays.of_case(case_id):
        if not stay.ended and (stay.referral_id, stay.from_date) not in standing:
            over = stay.last_night + timedelta(days=1) if stay.last_night else work.today
            await end_stay(work, case, stay, max(stay.from_date, min(over, work.today)))


def arm(work: IntakeWork, case: Case, stay: Stay) -> None:
    """Promise what is still to be said of the stay, and nothing else."""
    disarm(work, stay)
    if stay.last_night is None or stay.ended:
        return
    for days, day in stay.thresholds(work.today):
        at = begins(day, work.zone)
        work.clocks.arm(case.case_id, case.agency_id, STAY_ENDING, f"{stay.stay_id}:{days}", at)
    over = begins(stay.last_night + timedelta(days=1), work.zone, LEAVES_AT)
    work.clocks.arm(case.case_id, case.agency_id, STAY_OVER, str(stay.stay_id), over)


def disarm(work: IntakeWork, stay: Stay) -> None:
    work.clocks.disarm(stay.case_id, STAY_ENDING, f"{stay.stay_id}:7")
    work.clocks.disarm(stay.case_id, STAY_ENDING, f"{stay.stay_id}:3")
    work.clocks.disarm(stay.case_id, STAY_ENDING, f"{stay.stay_id}:1")
    work.clocks.disarm(stay.case_id, STAY_OVER, str(stay.stay_id))


async def _has_somewhere(work: IntakeWork, ended: Stay, night: date) -> bool:
    """Whether there is a place for that night, or a worker has said that the household found one."""
    stays = [each for each in await work.stays.of_case(ended.case_id) if each.stay_id != ended.stay_id]
    if somewhere_to_sleep(night, stays, await work.stays.accepted(ended.case_id)):
        return True
    return leads_somewhere(await work.situations.latest(ended.case_id), night)


def _announce(work: IntakeWork, case: Case, stay: Stay) -> None:
    arm(work, case, stay)
    work.tell(StayStarted(stay.case_id, stay.referral_id, stay.from_date, stay.last_night))
    work.changed(case.case_id)


async def _is_food(work: IntakeWork, case_id: CaseId, need_id: NeedId) -> bool:
    record = await work.needs.find(case_id, need_id)
    return record is not None and record.need.kind is NeedKind.FOOD


def _of_referral(
    stays: Sequence[Stay], referral_id: ReferralId | None, from_date: date | None
) -> Stay | None:
    """The stay that is told of: a referral leads to one, an import's is named by its first night."""
    for stay in stays:
        if stay.referral_id == referral_id and (referral_id is not None or stay.from_date == from_date):
            return stay
    return None
