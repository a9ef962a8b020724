"""The household may keep its place for longer, if the nights are free and the place allows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from services.chassis import discretion
from services.matching.application.ports import MatchingWork
from services.matching.application.share_place import nights_held
from services.matching.application.timers import STAY_ENDS
from services.matching.application.views import Taken
from services.matching.domain.events import OccupancyExtended
from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.offers import MAX_NIGHTS, Offer
from services.matching.domain.places import stay
from services.matching.domain.refusal import invalid, missing, refused


async def extend_occupancy(
    work: MatchingWork, case_id: CaseId, referral_id: ReferralId, last_night: date
) -> date:
    """The last night. Asked for twice it is granted once.

    Raises Refusal: `not-found`, `stay-ended`, `nights-out-of-range`,
    `last-night-not-later`, `max-stay-reached`, `nights-full`.
    """
    await work.needs.lock([referral_id])
    await work.places.lock()
    occupancy = await work.occupancies.of_referral(referral_id)
    if occupancy is None or occupancy.case_id != case_id or occupancy.until is None:
        raise missing()
    if occupancy.ended:
        raise refused("stay-ended", "The stay has ended.")
    if last_night > work.today + timedelta(days=MAX_NIGHTS):
        raise invalid("nights-out-of-range", f"At most {MAX_NIGHTS} nights ahead can be said.")
    until = last_night + timedelta(days=1)
    if until == occupancy.until:
        return last_night
    if until < occupancy.until:
        raise invalid("last-night-not-later", "An extension ends later than the stay.")
    offer = await work.offers.get(occupancy.offer_id)
    if offer is None:
        raise missing()
    if offer.confidential:
        discretion.hush()
    referral = await work.referrals.get(referral_id)
    if referral is None or (referral.shares is not None and not await _is_kept(work, referral.shares, until)):
        raise refused("nights-full", "The place is full on at least one of the nights.")
    await _take(work, offer, occupancy, occupancy.until, until)
    work.one_places.take(nights_held(referral, occupancy.until, until), or_leave=True)
    work.concern(case_id)
    work.occupancies.save(replace(occupancy, until=until))
    work.agenda.housed.add(case_id)
    await work.arm(STAY_ENDS, str(occupancy.occupancy_id), work.terms.calendar.leave_on(until))
    work.say(OccupancyExtended(case_id, referral_id, last_night))
    return last_night


async def _take(work: MatchingWork, offer: Offer, occupancy: Occupancy, first: date, until: date) -> None:
    """The nights from `first` on; a household that stays counts against the place's longest stay as a whole."""
    if offer.max_nights and (until - occupancy.from_date).days > offer.max_nights:
        raise refused("max-stay-reached", f"At most {offer.max_nights} nights are spent there.")
    book = await work.places.book([offer.kind], first, until, [offer.offer_id])
    nights = stay(first, (until - first).days)
    if any(book[offer.offer_id].free_on(night) < occupancy.units for night in nights):
        raise refused("nights-full", "The place is full on at least one of the nights.")
    work.places.take([Taken(offer.offer_id, first, until, occupancy.units)])


async def _is_kept(work: MatchingWork, leader: ReferralId, until: date) -> bool:
    """Whether the household has the place so long by the referral that this one shares."""
    lived = await work.occupancies.of_referral(leader)
    return lived is not None and not lived.ended and (lived.until is None or until <= lived.until)
