"""Follow what matching says of a case, so that the case shows what became of each need."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.intake.application.follow_stays import StayTold, stay_begins, stays_stand
from services.intake.application.ports import IntakeWork
from services.intake.domain.events import NeedMet
from services.intake.domain.ids import AllocationId, CaseId, NeedId, ReferralId
from services.intake.domain.outcomes import Referral, ReferralState, Unmatched, WouldChange


@dataclass(frozen=True, slots=True)
class AllocationTold:
    allocation_id: AllocationId
    need_id: NeedId
    quantity: int


@dataclass(frozen=True, slots=True)
class UnmatchedTold:
    need_id: NeedId
    why: Unmatched
    would_change: WouldChange | None


@dataclass(frozen=True, slots=True)
class ReferralsAsTheyStand:
    """All that matching says of a case; what is not in it does not stand any more."""

    case_id: CaseId
    referrals: Sequence[Referral]
    occupied: Sequence[NeedId]
    allocations: Sequence[AllocationTold]
    unmatched: Sequence[UnmatchedTold]
    stays: Sequence[StayTold]


def referral_proposed(work: IntakeWork, case_id: CaseId, referral: Referral) -> None:
    work.referrals.proposed(case_id, referral)
    work.changed(case_id)


def referral_moved(
    work: IntakeWork, case_id: CaseId, referral_id: ReferralId, need_id: NeedId, to: ReferralState
) -> None:
    work.referrals.moved(case_id, referral_id, need_id, to)
    work.changed(case_id)


async def stay_started(work: IntakeWork, told: StayTold) -> None:
    """The household moved in: that meets the need."""
    await stay_begins(work, told)
    if told.need_id is not None:
        await _meet(work, told.case_id, told.need_id)


async def need_allocated(work: IntakeWork, case_id: CaseId, told: AllocationTold) -> None:
    """Goods are set aside. Logistics may have confirmed, or even handed over, before this arrives.

    The allocation's row is written before the case is locked, here and where logistics tells of it: both
    lock in the same order, and whoever comes second finds what the first wrote.
    """
    if await work.allocations.allocated(told.allocation_id, case_id, told.need_id, told.quantity):
        await meet_when_handed_over(work, case_id, told.need_id)
    work.changed(case_id)


def need_deallocated(work: IntakeWork, case_id: CaseId, need_id: NeedId, allocation_id: AllocationId) -> None:
    work.allocations.taken_back(allocation_id, case_id, need_id)
    work.changed(case_id)


def need_unmatched(work: IntakeWork, case_id: CaseId, told: UnmatchedTold) -> None:
    work.needs.unmatched(case_id, told.need_id, told.why, told.would_change)
    work.changed(case_id)


async def referrals_stand(work: IntakeWork, told: ReferralsAsTheyStand) -> None:
    """Take over the whole state at once, after a gap or at the beginning of an epoch."""
    case_id = told.case_id
    work.allocations.take_back_all_but(case_id, [each.allocation_id for each in told.allocations])
    handed_over = {
        each.need_id
        for each in told.allocations
        if await work.allocations.allocated(each.allocation_id, case_id, each.need_id, each.quantity)
    }
    work.referrals.keep_only(case_id, [each.referral_id for each in told.referrals])
    for referral in told.referrals:
        work.referrals.proposed(case_id, referral)
        work.referrals.moved(case_id, referral.referral_id, referral.need_id, referral.state)
    work.needs.reset_unmatched(case_id)
    for unmatched in told.unmatched:
        work.needs.unmatched(case_id, unmatched.need_id, unmatched.why, unmatched.would_change)
    for need_id in told.occupied:
        await _meet(work, case_id, need_id)
    for need_id in handed_over:
        await meet_when_handed_over(work, case_id, need_id)
    await stays_stand(work, case_id, told.stays)
    work.changed(case_id)


async def meet_when_handed_over(work: IntakeWork, case_id: CaseId, need_id: NeedId) -> None:
    """The need is met when all its pieces have been handed over."""
    met = await work.needs.meet_when_handed_over(case_id, need_id)
    if met is not None:
        work.tell(NeedMet(case_id, need_id, met.kind, met.hidden))


async def _meet(work: IntakeWork, case_id: CaseId, need_id: NeedId) -> None:
    met = await work.needs.meet(case_id, need_id)
    if met is not None:
        work.tell(NeedMet(case_id, need_id, met.kind, met.hidden))
