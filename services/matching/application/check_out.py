"""The household left, or its last night is over: the nights it does not sleep there are free."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from uuid import UUID

from services.chassis import discretion
from services.matching.application.agenda import Left
from services.matching.application.ports import MatchingWork
from services.matching.application.release import leave
from services.matching.application.views import Viewer
from services.matching.domain.ids import OccupancyId, OfferId, ReferralId
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.refusal import missing, refused


async def check_out(work: MatchingWork, viewer: Viewer, named: UUID, until: date | None) -> None:
    """`named` is a referral's id, or an occupancy's own when it is known from an import. Leaving twice is
    leaving once. Raises Refusal: `not-found`, `not-checked-in`, `until-date-outside-stay`.
    """
    await work.places.lock()
    occupancy = await _occupancy(work, named)
    offer_id = occupancy.offer_id if occupancy else await _held_at(work, named)
    offer = await work.offers.get(offer_id)
    if offer is None or not viewer.sees(offer):
        raise missing()
    if offer.confidential:
        discretion.hush()
    if occupancy is None:
        raise refused("not-checked-in", "The household has not moved in.")
    if not occupancy.ended:
        work.concern(occupancy.case_id)
        leave(work, occupancy, occupancy.end(until, work.today))


async def end_stays(work: MatchingWork, occupancy_ids: Collection[OccupancyId]) -> None:
    """Last nights are over and nobody said that they left before. The caller has the places locked."""
    for occupancy_id in sorted(occupancy_ids):
        occupancy = await work.occupancies.get(occupancy_id)
        if occupancy is None or occupancy.ended or occupancy.until is None:
            continue
        if work.now >= work.terms.calendar.leave_on(occupancy.until):
            work.concern(occupancy.case_id)
            leave(work, occupancy, occupancy.until)


async def end_left(work: MatchingWork, left: Collection[Left]) -> None:
    """Households that left by intake's word. What has ended already stays as it is, and a place that was
    extended meanwhile is kept: intake had not heard of it. The caller has the places locked.
    """
    for each in sorted(left, key=lambda one: (str(one.case_id), one.from_date)):
        occupancy = await _left(work, each)
        if occupancy is None or occupancy.ended:
            continue
        if occupancy.until is None or occupancy.until <= each.until:
            work.concern(each.case_id)
            leave(work, occupancy, max(occupancy.from_date, min(each.until, occupancy.until or each.until)))


async def _left(work: MatchingWork, left: Left) -> Occupancy | None:
    if left.referral_id is not None:
        return await work.occupancies.of_referral(left.referral_id)
    standing = await work.occupancies.standing_of(left.case_id)
    return next((each for each in standing if each.from_date == left.from_date), None)


async def _occupancy(work: MatchingWork, named: UUID) -> Occupancy | None:
    by_referral = await work.occupancies.of_referral(ReferralId(named))
    return by_referral or await work.occupancies.get(OccupancyId(named))


async def _held_at(work: MatchingWork, named: UUID) -> OfferId:
    referral = await work.referrals.get(ReferralId(named))
    if referral is None:
        raise missing()
    return referral.offer_id
