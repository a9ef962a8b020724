"""One round of matching: who waits gets what is free, held until household and provider have answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.matching.application.ports import MatchingWork
from services.matching.application.propose import proposed, taken_by
from services.matching.application.share_place import Needs, apportioned, nights_held
from services.matching.application.views import StandingNeed
from services.matching.domain.events import NeedUnmatched
from services.matching.domain.ids import NeedId, OfferId
from services.matching.domain.matcher import Found, Placement, match, window
from services.matching.domain.needs import NeedState, Unmatched, WaitingNeed, tier
from services.matching.domain.referrals import Referral


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
    needs = {**touched, **others}
    while needs:
        needs, later = await apportioned(work, needs, touched)
        await _give(work, needs, touched, freed)
        needs = later


async def _give(
    work: MatchingWork, needs: Needs, touched: Mapping[NeedId, WaitingNeed], freed: Collection[OfferId]
) -> None:
    others = {need_id: each for need_id, each in needs.items() if need_id not in touched}
    sought = {need_id: each for need_id, each in needs.items() if need_id in touched}
    while sought or others:
        found = await _round(work, sought, others, freed)
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
    first, until = window(candidates, work.today)
    kinds = {each.need.kind for each in candidates}
    book = await work.places.book(kinds, first, until, only=None if touched else freed)
    return list(match(book, candidates, work.today, freed, touched))


async def _apply(work: MatchingWork, found: Sequence[Found]) -> None:
    referrals: list[Referral] = []
    for candidate, what in found:
        match what:
            case Placement():
                offer = what.place.offer
                referrals.append(await proposed(work, candidate, offer, what.request, what.units))
            case Unmatched() if what != candidate.told:
                work.needs.tell(candidate.need.need_id, what)
                unmatched = NeedUnmatched(candidate.need.case_id, candidate.need.need_id, what)
                work.say(unmatched, hidden=candidate.facts.confidential)
            case _:
                pass
    if referrals:
        work.places.take(taken_by(referrals))
        work.one_places.take([nights for each in referrals for nights in nights_held(each)])
        work.referrals.propose(referrals, work.now)
        work.needs.refer({each.need_id for each in referrals})


def _prioritised(work: MatchingWork, each: StandingNeed) -> WaitingNeed:
    """With the tier that today's facts give: a newborn may have come near, the facts may have changed."""
    now_tier = tier(each.waiting.facts, work.today)
    if now_tier is each.waiting.priority.tier:
        return each.waiting
    work.needs.reprioritise(each.need.need_id, now_tier)
    return replace(each.waiting, priority=replace(each.waiting.priority, tier=now_tier))
