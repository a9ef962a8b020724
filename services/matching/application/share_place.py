"""One household, several cases, one place: who looks for one, who shares the other's, and who follows whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from services.matching.application.ports import MatchingWork
from services.matching.application.propose import proposed
from services.matching.application.release import leave, let_go
from services.matching.application.views import HouseholdNights, Taken
from services.matching.domain.events import NeedUnmatched, ReferralExpired, ReferralRejected
from services.matching.domain.ids import NeedId
from services.matching.domain.matcher import request_of, window
from services.matching.domain.needs import Reason, Unmatched, WaitingNeed
from services.matching.domain.one_place import (
    Alone,
    Barred,
    Leader,
    Shared,
    Step,
    apportion,
    key_of,
    one_of_each,
    step,
)
from services.matching.domain.referrals import Referral, ReferralState

Needs = dict[NeedId, WaitingNeed]


def nights_held(
    referral: Referral, first: date | None = None, until: date | None = None
) -> list[HouseholdNights]:
    """The nights that the household has by this referral; none when it shares another one's."""
    if referral.one_place is None or referral.shares is not None:
        return []
    nights = first or referral.from_date, until or referral.until
    return [HouseholdNights(referral.one_place, referral.case_id, *nights)]


async def apportioned(
    work: MatchingWork, needs: Needs, touched: Mapping[NeedId, WaitingNeed]
) -> tuple[Needs, Needs]:
    """The needs that are looked for in this round, and those that have to wait for what it brings: needs of a
    household that another of its cases is looking for, too. Whose household has a place already shares it here.
    """
    by_key: defaultdict[UUID, list[WaitingNeed]] = defaultdict(list)
    for each in needs.values():
        if key := key_of(each):
            by_key[key].append(each)
    if not by_key:
        return needs, {}
    first, later = one_of_each(by_key)
    leaders = await _leaders(work, first)
    refused = await work.one_places.refused({each.need.case_id for each in first}) if leaders else {}
    left = dict(needs)
    for each in (*first, *later):
        del left[each.need.need_id]
    waits = {each.need.need_id: each for each in later}
    for each in first:
        unwanted = refused.get(each.need.need_id, ())
        what = apportion(each, work.today, leaders.get(by_key_of(each), ()), unwanted)
        anew = each.need.need_id in touched
        match what:
            case Alone():
                left[each.need.need_id] = what.need
            case Shared():
                if anew or await work.needs.claim([each.need.need_id]):
                    await _share(work, each, what)
            case Barred():
                if anew:
                    _tell_full(work, each)
    return left, waits


def by_key_of(each: WaitingNeed) -> UUID:
    key = key_of(each)
    if key is None:
        raise AssertionError("only needs of a known household are compared")
    return key


async def _leaders(work: MatchingWork, asking: Sequence[WaitingNeed]) -> Mapping[UUID, Sequence[Leader]]:
    """Of each household one case asks."""
    cases = {by_key_of(each): each.need.case_id for each in asking}
    return await work.one_places.leaders(cases, *window(asking, work.today))


async def _share(work: MatchingWork, each: WaitingNeed, shared: Shared) -> None:
    """The same place on the same nights, without a unit of its own. Its agency is told to call the hub."""
    leader = shared.leader
    request = replace(
        request_of(each.need, each.facts, work.today), from_date=shared.from_date, nights=shared.nights
    )
    referral = await proposed(work, each, leader.offer, request, 0, shares=leader.referral)
    work.places.take([Taken(referral.offer_id, referral.from_date, referral.until, 0)])
    work.referrals.propose([referral], work.now)
    work.needs.refer({referral.need_id})


def _tell_full(work: MatchingWork, each: WaitingNeed) -> None:
    """What every full region would say: the household has a place, of which this case gets no share."""
    full = Unmatched(Reason.ALL_FULL)
    if each.told != full:
        work.needs.tell(each.need.need_id, full)
        work.say(NeedUnmatched(each.need.case_id, each.need.need_id, full), hidden=each.facts.confidential)


async def follow_leaders(work: MatchingWork) -> None:
    """Free the nights of referrals that ended, and let those who share a place follow what became of it.

    The caller has the places locked.
    """
    for referral_id in sorted(work.agenda.led):
        leader = await work.referrals.get(referral_id)
        if leader is None or leader.shares is not None:
            continue
        if vacated := work.agenda.vacated.get(referral_id):
            work.one_places.release(nights_held(leader, *vacated))
        sharing = await work.one_places.sharing(referral_id)
        if sharing:
            await _follow(work, leader, sharing)


async def _follow(work: MatchingWork, leader: Referral, sharing: Sequence[Referral]) -> None:
    lived = await work.occupancies.of_referral(leader.referral_id) if leader.occupied else None
    left = lived is not None and lived.ended
    for n, each in enumerate(sharing):
        work.concern(each.case_id)
        match step(each, leader, left):
            case Step.NOTHING:
                pass
            case Step.TAKES_OVER:
                _take_over(work, each, leader, sharing[n + 1 :])
                return
            case Step.LEFT:
                await _leave(work, each, leader.until if lived is None else lived.until or leader.until)
            case Step.REJECTED | Step.EXPIRED as ended:
                _end(work, each, ended)


def _take_over(work: MatchingWork, each: Referral, leader: Referral, others: Sequence[Referral]) -> None:
    """The place stays the household's by this case; the units were let go in this very work."""
    heir = replace(each, shares=None, units=leader.units)
    work.places.take([Taken(heir.offer_id, heir.from_date, heir.until, heir.units)])
    work.one_places.take(nights_held(heir))
    work.one_places.take_over(heir, [other.referral_id for other in others])


async def _leave(work: MatchingWork, each: Referral, until: date) -> None:
    lived = await work.occupancies.of_referral(each.referral_id)
    if lived is not None and not lived.ended:
        leave(work, lived, max(lived.from_date, min(until, lived.until or until)))


def _end(work: MatchingWork, each: Referral, ended: Step) -> None:
    """The household has the place no more; the need is looked for again."""
    rejected = ended is Step.REJECTED
    let_go(work, each, replace(each, state=ReferralState.REJECTED if rejected else ReferralState.EXPIRED))
    ids = (each.case_id, each.referral_id, each.need_id)
    work.say(ReferralRejected(*ids) if rejected else ReferralExpired(*ids), hidden=each.hidden)
    work.needs.wait_again(each.need_id, without=each.offer_id if rejected else None)
    work.agenda.seeking.add(each.need_id)


async def hide(work: MatchingWork, hiding: Sequence[Referral]) -> None:
    """Whose household hides now is compared with nobody any more: its nights, also where it lives, go by no key, and
    who was to share its place without having arrived is sought another one. The caller has the places locked."""
    for leader in hiding:
        for each in await work.one_places.sharing(leader.referral_id):
            if not each.occupied:
                work.concern(each.case_id)
                _end(work, each, Step.EXPIRED)
        work.one_places.forget(leader.case_id)


async def parted(work: MatchingWork, referral: Referral, key: UUID | None) -> bool:
    """The household goes by another key now. True when its referral has to be let go: it shares the place of who
    turned out to be another household, or the household has another place. One that was accepted is kept."""
    if referral.shares is not None:
        return not referral.occupied and key != referral.one_place
    if key == referral.one_place or key is None:
        return False
    open_still = referral.state is ReferralState.PROPOSED
    if await work.one_places.leaders({key: referral.case_id}, referral.from_date, referral.until):
        return open_still
    work.one_places.release(nights_held(referral))
    work.one_places.take(nights_held(replace(referral, one_place=key)))
    work.one_places.rename(referral.referral_id, key)
    return False
