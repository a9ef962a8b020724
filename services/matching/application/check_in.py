"""The household arrived: what was held is now taken, until its last night; where it lodged before is free."""

from __future__ import annotations

from datetime import date

from services.matching.application.answer_referral import locked, seen_by
from services.matching.application.move_in import move_in
from services.matching.application.ports import MatchingWork
from services.matching.application.release import leave
from services.matching.application.views import Viewer
from services.matching.domain.ids import ReferralId
from services.matching.domain.needs import Kind
from services.matching.domain.occupancies import last_night
from services.matching.domain.referrals import Referral
from services.matching.domain.refusal import refused


async def check_in(work: MatchingWork, viewer: Viewer, referral_id: ReferralId) -> date:
    """The last night. Raises Refusal: `not-found`, `not-accepted`, `stay-not-begun`, `referral-expired`, …"""
    referral = await locked(work, referral_id)
    await seen_by(work, viewer, referral)
    arrived = referral.arrived(work.now, work.today)
    last = last_night(referral.from_date, referral.nights)
    if arrived == referral:
        return last
    await _place_is_lived_in(work, referral)
    await work.places.lock()
    work.concern(referral.case_id)
    left = await work.occupancies.lodged([referral.case_id], work.today)
    await move_in(work, arrived)
    for each in left if await _is_to_live_in(work, arrived) else ():
        leave(work, each.occupancy, each.occupancy.end(None, work.today))
    work.agenda.led.add(referral_id)
    return last


async def _is_to_live_in(work: MatchingWork, referral: Referral) -> bool:
    """Whether nobody needs another place beside it. Meals are taken wherever one lives."""
    offer = await work.offers.get(referral.offer_id)
    return offer is not None and offer.kind is not Kind.FOOD


async def _place_is_lived_in(work: MatchingWork, referral: Referral) -> None:
    """Who shares a place arrives with, or after, the household that has it."""
    leader = None if referral.shares is None else await work.referrals.get(referral.shares)
    if leader is not None and not leader.occupied:
        raise refused("stay-not-begun", "The entry of this household that has the place has not arrived.")
