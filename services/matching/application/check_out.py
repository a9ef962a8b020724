"""The household left, or its last night is over: the nights it does not sleep there are free."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from uuid import UUID

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


async def _occupancy(work: MatchingWork, named: UUID) -> Occupancy | None:
    by_referral = await work.occupancies.of_referral(ReferralId(named))
    return by_referral or await work.occupancies.get(OccupancyId(named))


async def _held_at(work: MatchingWork, named: UUID) -> OfferId:
    referral = await work.referrals.get(ReferralId(named))
    if referral is None:
        raise missing()
    return referral.offer_id
