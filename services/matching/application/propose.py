"""Propose a place to a household: a referral, and until when it is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.chassis.ids import code, random_id, uuid7
from services.matching.application.ports import MatchingWork
from services.matching.application.timers import HOLD_ENDS
from services.matching.application.views import Taken
from services.matching.domain.events import ReferralProposed
from services.matching.domain.ids import ReferralId
from services.matching.domain.needs import WaitingNeed
from services.matching.domain.offers import Offer, Request
from services.matching.domain.one_place import key_of
from services.matching.domain.referrals import Referral, ReferralState


async def proposed(
    work: MatchingWork,
    each: WaitingNeed,
    offer: Offer,
    request: Request,
    units: int,
    shares: Referral | None = None,
) -> Referral:
    """The referral, announced. The caller takes the units (`taken_by`) and writes it down."""
    referral = Referral(
        referral_id=ReferralId(uuid7()),
        case_id=each.need.case_id,
        need_id=each.need.need_id,
        offer_id=offer.offer_id,
        state=ReferralState.PROPOSED,
        from_date=request.from_date,
        nights=request.nights,
        units=units,
        head_count=request.persons,
        place_handle=random_id(),
        arrival_code=each.arrival_code or code(),
        expires_at=work.terms.calendar.hold_until(each.need.urgency, work.now),
        hidden=offer.confidential,
        one_place=key_of(each),
    )
    if shares is not None:
        # Whoever arrives says the one code that the provider knows.
        referral = replace(referral, shares=shares.referral_id, arrival_code=shares.arrival_code)
    await work.arm(HOLD_ENDS, str(referral.referral_id), referral.expires_at)
    work.say(ReferralProposed(referral, work.terms.hub_contact), hidden=referral.hidden)
    return referral


def taken_by(referrals: Iterable[Referral]) -> list[Taken]:
    return [Taken(each.offer_id, each.from_date, each.until, each.units) for each in referrals]
