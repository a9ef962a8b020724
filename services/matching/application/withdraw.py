"""Take back what is no longer wanted: holds, allocations, and what a closed case leaves behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

from services.matching.application.ports import MatchingWork
from services.matching.application.release import leave, let_go
from services.matching.application.share_place import parted
from services.matching.application.views import Allocation, StandingNeed
from services.matching.domain.events import NeedDeallocated, ReferralWithdrawn
from services.matching.domain.ids import CaseId
from services.matching.domain.needs import Kind, Need, NeedState
from services.matching.domain.offers import Offer, Request, failed_rules, hard_constraints
from services.matching.domain.one_place import key_of
from services.matching.domain.referrals import Referral, ReferralState


async def withdraw_goods(work: MatchingWork, touched: Sequence[StandingNeed]) -> None:
    """Allocations of needs that went away. What was handed over stays handed over.

    Intake is told at once. Logistics is told on the next round, among all that goes there then: what is taken
    back at one moment would belong together.
    """
    goods = [each.need for each in touched if each.need.kind is Kind.GOODS and each.state is NeedState.CLOSED]
    if not goods:
        return
    for allocation in await work.goods.live_of({need.need_id for need in goods}):
        withdraw_allocation(work, allocation)


def withdraw_allocation(work: MatchingWork, allocation: Allocation) -> None:
    work.goods.save(replace(allocation, state="withdrawn", untold=True))
    if allocation.case_id is not None and allocation.need_id is not None:
        work.say(NeedDeallocated(allocation.case_id, allocation.need_id, allocation.allocation_id))


async def withdraw_places(work: MatchingWork, touched: Sequence[StandingNeed]) -> list[StandingNeed]:
    """Let go the holds of needs that went away or no longer fit; the latter wait again, and are returned."""
    holding = (NeedState.REFERRED, NeedState.CLOSED)
    standing = {each.need.need_id: each for each in touched if each.state in holding}
    waiting_again = []
    for referral, offer in await work.referrals.live(standing) if standing else []:
        each = standing[referral.need_id]
        gone = each.state is NeedState.CLOSED
        if referral.occupied:
            continue
        parts = not gone and await parted(work, referral, key_of(each.waiting))
        if not (gone or parts or _no_longer_fits(each, referral, offer, work.today)):
            continue
        let_go(work, referral, referral.withdrawn())
        gone_too = ReferralWithdrawn(referral.case_id, referral.referral_id, referral.need_id)
        work.say(gone_too, hidden=referral.hidden)
        if not gone:
            work.needs.wait_again(referral.need_id)
            waiting_again.append(
                replace(each, state=NeedState.WAITING, waiting=replace(each.waiting, told=None))
            )
    return waiting_again


def _no_longer_fits(each: StandingNeed, referral: Referral, offer: Offer, today: date) -> bool:
    """Whether facts or need changed so that the place would not be proposed today, or is too small. An accepted
    place is kept, except by a household that now hides (too many know of it) or that must not go there.
    """
    need = each.need
    constraints = hard_constraints(need.constraints)
    request = Request(need.kind, referral.from_date, referral.nights, each.waiting.facts, constraints)
    failed = failed_rules(offer, request)
    too_small = request.units_of(offer.unit) > referral.units
    open_still = referral.state is ReferralState.PROPOSED
    other_nights = referral.nights != need.nights or not _in_window(need, referral.from_date, today)
    # Of a place that the case is not told, no answer tells whether it is one of those it avoids.
    unsafe = "hiding" in failed or ("not-avoided" in failed and referral.confirmed)
    if referral.shares is not None:
        return unsafe
    return unsafe or (open_still and (bool(failed) or too_small or other_nights))


def _in_window(need: Need, first_night: date, today: date) -> bool:
    """Whether the need may begin on that night; a window that has passed reads as today."""
    first = need.from_date or today
    return first <= first_night <= max(need.latest_date or first, today)


async def close_cases(work: MatchingWork, closed: Collection[CaseId]) -> None:
    """Who lived somewhere only by an import's word has left; the join between needs and allocations goes."""
    for case_id in closed:
        for occupancy in await work.occupancies.standing_of(case_id):
            await work.places.lock()
            leave(work, occupancy, occupancy.end(None, work.today))
        work.goods.forget(case_id)
        work.households.forget(case_id)
        if case_id in work.agenda.erased:
            await work.places.lock()
            work.one_places.forget(case_id)
            work.households.erase(case_id)
