"""One round of matching: who waits gets what is free, held until household and provider have answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from services.chassis.ids import code, random_id, uuid7
from services.matching.application.ports import MatchingWork
from services.matching.application.timers import HOLD_ENDS
from services.matching.application.views import StandingNeed, Taken
from services.matching.domain.events import NeedUnmatched, ReferralProposed
from services.matching.domain.ids import NeedId, OfferId, ReferralId
from services.matching.domain.matcher import Found, Placement, match, requests_of
from services.matching.domain.needs import NeedState, Unmatched, WaitingNeed, tier
from services.matching.domain.referrals import Referral, ReferralState


def seeks(each: StandingNeed, now: datetime) -> bool:
    """Whether the need waits and may be proposed something now."""
    resting = each.rests_until is not None and each.rests_until > now
    return each.state is NeedState.WAITING and not resting


async def give(work: MatchingWork, seeking: Sequence[StandingNeed], freed: Collection[OfferId]) -> None:
    """Seek a place for the needs that changed and, if something became free, for all that may take it.

    The caller has the places locked, unless it has nothing to seek and nothing was freed. Needs that only may
    gain are locked when they do: one that somebody else has locked is that one's business, and the round is
    held again without it.
    """
    touched = {each.need.need_id: _prioritised(work, each) for each in seeking}
    others = await _who_may_gain(work, freed, touched)
    while touched or others:
        found = await _round(work, touched, others, freed)
        gained = {each.need.need_id for each, what in found if isinstance(what, Placement)} & others.keys()
        missed = gained - await work.needs.claim(gained)
        if not missed:
            await _apply(work, found)
            return
        for need_id in missed:
            del others[need_id]


async def _who_may_gain(
    work: MatchingWork, freed: Collection[OfferId], touched: Mapping[NeedId, WaitingNeed]
) -> dict[NeedId, WaitingNeed]:
    if not freed:
        return {}
    waiting = await work.needs.waiting_for(freed, work.now)
    return {each.need.need_id: each.waiting for each in waiting if each.need.need_id not in touched}


async def _round(
    work: MatchingWork,
    touched: Mapping[NeedId, WaitingNeed],
    others: Mapping[NeedId, WaitingNeed],
    freed: Collection[OfferId],
) -> list[Found]:
    candidates = [*touched.values(), *others.values()]
    first, until = _window(candidates, work.today)
    kinds = {each.need.kind for each in candidates}
    book = await work.places.book(kinds, first, until, only=None if touched else freed)
    return list(match(book, candidates, work.today, freed, touched))


async def _apply(work: MatchingWork, found: Sequence[Found]) -> None:
    proposed: list[Referral] = []
    for candidate, what in found:
        match what:
            case Placement():
                proposed.append(await _propose(work, candidate, what))
            case Unmatched() if what != candidate.told:
                work.needs.tell(candidate.need.need_id, what)
                unmatched = NeedUnmatched(candidate.need.case_id, candidate.need.need_id, what)
                work.say(unmatched, hidden=candidate.facts.confidential)
            case _:
                pass
    if proposed:
        work.places.take([Taken(each.offer_id, each.from_date, each.until, each.units) for each in proposed])
        work.referrals.propose(proposed, work.now)
        work.needs.refer({each.need_id for each in proposed})


def _prioritised(work: MatchingWork, each: StandingNeed) -> WaitingNeed:
    """With the tier that today's facts give: a newborn may have come near, the facts may have changed."""
    now_tier = tier(each.waiting.facts, work.today)
    if now_tier is each.waiting.priority.tier:
        return each.waiting
    work.needs.reprioritise(each.need.need_id, now_tier)
    return replace(each.waiting, priority=replace(each.waiting.priority, tier=now_tier))


def _window(candidates: Sequence[WaitingNeed], today: date) -> tuple[date, date]:
    """From the first night that any of them asks for to the day after the last."""
    requests = [one for each in candidates for one in requests_of(each.need, each.facts, today)]
    first = min(request.from_date for request in requests)
    return first, max(request.last_night for request in requests) + timedelta(days=1)


async def _propose(work: MatchingWork, each: WaitingNeed, found: Placement) -> Referral:
    offer = found.place.offer
    referral = Referral(
        referral_id=ReferralId(uuid7()),
        case_id=each.need.case_id,
        need_id=each.need.need_id,
        offer_id=offer.offer_id,
        state=ReferralState.PROPOSED,
        from_date=found.request.from_date,
        nights=found.request.nights,
        units=found.units,
        head_count=found.request.persons,
        place_handle=random_id(),
        arrival_code=each.arrival_code or code(),
        expires_at=work.terms.calendar.hold_until(each.need.urgency, work.now),
        hidden=offer.confidential,
    )
    await work.arm(HOLD_ENDS, str(referral.referral_id), referral.expires_at)
    work.say(ReferralProposed(referral, work.terms.hub_contact), hidden=referral.hidden)
    return referral
