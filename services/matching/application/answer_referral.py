"""Take an answer to a referral: a place is given when both sides said yes; a no frees it at once."""

from __future__ import annotations

from typing import assert_never

from services.chassis import discretion
from services.matching.application.move_in import accept
from services.matching.application.ports import MatchingWork
from services.matching.application.release import let_go
from services.matching.application.views import Viewer
from services.matching.domain.events import ReferralDeclined, ReferralRejected
from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.referrals import Referral, ReferralState, Side
from services.matching.domain.refusal import missing


async def answer_as_client(
    work: MatchingWork, case_id: CaseId, referral_id: ReferralId, yes: bool
) -> ReferralState:
    """Raises Refusal: `not-found` when it is not the case's; see `Referral.answered` for the rest."""
    referral = await locked(work, referral_id)
    if referral.case_id != case_id:
        raise missing()
    if referral.hidden:
        discretion.hush()
    return await _answer(work, referral, Side.CLIENT, yes)


async def answer_as_provider(
    work: MatchingWork, viewer: Viewer, referral_id: ReferralId, yes: bool
) -> ReferralState:
    """Raises Refusal: `not-found` when the place is not the viewer's; see `Referral.answered`."""
    referral = await locked(work, referral_id)
    await seen_by(work, viewer, referral)
    return await _answer(work, referral, Side.PROVIDER, yes)


async def seen_by(work: MatchingWork, viewer: Viewer, referral: Referral) -> None:
    """Raise Refusal `not-found` unless the viewer speaks for the place."""
    offer = await work.offers.get(referral.offer_id)
    if offer is None or not viewer.sees(offer):
        raise missing()
    if offer.confidential:
        discretion.hush()


async def locked(work: MatchingWork, referral_id: ReferralId) -> Referral:
    """The referral as it stays until this work ends. Raises Refusal `not-found`."""
    await work.needs.lock([referral_id])
    referral = await work.referrals.get(referral_id)
    if referral is None:
        raise missing()
    if referral.one_place is None:
        return referral
    # Others may share this place, or this one another's: they change together, by one hand.
    await work.places.lock()
    return await work.referrals.get(referral_id) or referral


async def _answer(work: MatchingWork, referral: Referral, side: Side, yes: bool) -> ReferralState:
    said = referral.answered(side, yes, work.now)
    if said == referral:
        return said.state
    work.concern(referral.case_id)
    ids = (referral.case_id, referral.referral_id, referral.need_id)
    match said.state:
        case ReferralState.PROPOSED:
            work.referrals.save(said)
        case ReferralState.ACCEPTED:
            await accept(work, said)
        case ReferralState.DECLINED | ReferralState.REJECTED:
            await work.places.lock()
            let_go(work, referral, said)
            work.needs.wait_again(referral.need_id, without=referral.offer_id)
            declined = said.state is ReferralState.DECLINED
            work.say(ReferralDeclined(*ids) if declined else ReferralRejected(*ids), hidden=said.hidden)
            work.agenda.seeking.add(referral.need_id)
        case ReferralState.EXPIRED | ReferralState.WITHDRAWN:
            raise AssertionError("an answer neither expires nor withdraws")
        case _:
            assert_never(said.state)
    if said.one_place is not None:
        work.agenda.led.add(said.shares or said.referral_id)
    return said.state
