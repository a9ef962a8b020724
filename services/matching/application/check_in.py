"""The household arrived: what was held is now taken, until its last night."""

from __future__ import annotations

from datetime import date

from services.chassis.ids import uuid7
from services.matching.application.answer_referral import seen_by
from services.matching.application.ports import MatchingWork
from services.matching.application.timers import STAY_ENDS
from services.matching.application.views import Viewer
from services.matching.domain.events import OccupancyStarted
from services.matching.domain.ids import OccupancyId, ReferralId
from services.matching.domain.occupancies import Occupancy, last_night
from services.matching.domain.refusal import missing


async def check_in(work: MatchingWork, viewer: Viewer, referral_id: ReferralId) -> date:
    """The last night. Raises Refusal: `not-found`, `not-accepted`, `stay-not-begun`, `referral-expired`, …"""
    await work.needs.lock([referral_id])
    referral = await work.referrals.get(referral_id)
    if referral is None:
        raise missing()
    await seen_by(work, viewer, referral)
    arrived = referral.arrived(work.now, work.today)
    last = last_night(referral.from_date, referral.nights)
    if arrived == referral:
        return last
    await work.places.lock()
    work.concern(referral.case_id)
    # The nights stay as they are: the units that were held are the units that are taken.
    occupancy = Occupancy(
        occupancy_id=OccupancyId(uuid7()),
        offer_id=referral.offer_id,
        case_id=referral.case_id,
        referral_id=referral.referral_id,
        units=referral.units,
        from_date=referral.from_date,
        until=referral.until,
    )
    work.referrals.save(arrived)
    work.occupancies.start(occupancy)
    work.needs.place(referral.need_id)
    ends_at = work.terms.calendar.leave_on(referral.until)
    await work.arm(STAY_ENDS, str(occupancy.occupancy_id), ends_at)
    work.say(
        OccupancyStarted(referral.case_id, referral.referral_id, referral.need_id, referral.from_date, last)
    )
    return last
