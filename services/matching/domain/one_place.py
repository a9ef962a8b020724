"""One place a night for one household: what a case does whose household has a place through another case."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from uuid import UUID

from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.matcher import window_of
from services.matching.domain.needs import Kind, WaitingNeed
from services.matching.domain.offers import Offer
from services.matching.domain.referrals import LIVE, Referral, ReferralState


@dataclass(frozen=True, slots=True)
class Leader:
    """The referral by which a household has its place on some nights, and until when it has it."""

    referral: Referral
    offer: Offer
    until: date

    def on(self, night: date) -> bool:
        return self.referral.from_date <= night < self.until


def key_of(each: WaitingNeed) -> UUID | None:
    """By which the household's one place goes. Food is no place to sleep; and who hides is compared with nobody."""
    if each.need.kind is not Kind.LODGING or each.facts.confidential:
        return None
    return each.facts.one_place


def nights_of(from_date: date, until: date) -> list[date]:
    return [from_date + timedelta(days=n) for n in range((until - from_date).days)]


@dataclass(frozen=True, slots=True)
class Alone:
    """The household has no other place on these nights: the need is looked for as it is here."""

    need: WaitingNeed


@dataclass(frozen=True, slots=True)
class Shared:
    """The household's place of the first night, for as many nights as both have it."""

    leader: Leader
    from_date: date
    nights: int


@dataclass(frozen=True, slots=True)
class Barred:
    """The household has a place, and this case was refused a share of it, or did not want it."""


def apportion(
    each: WaitingNeed, today: date, leaders: Collection[Leader], refused: Collection[ReferralId] = ()
) -> Alone | Shared | Barred:
    """What is looked for, given the places that the household has through other cases, and of which of them this
    need was refused a share.

    Which place it is decides nothing here, neither by what the case avoids nor by what it declined before: one could
    be tried after another until the answer changes. Nights before such a place begins are looked for as nights of
    their own; a need that may begin later begins in time to be over by then.
    """
    first, ends = window_of(each.need, today)
    until = first + timedelta(days=each.need.nights)
    leader = next((leader for leader in leaders if leader.on(first)), None)
    if leader is None:
        begins = [one.referral.from_date for one in leaders if first < one.referral.from_date]
        begin = min(begins, default=ends)
        if begin < until:
            return Alone(_shorter(each, (begin - first).days))
        return Alone(each if begin >= ends else _sooner(each, begin))
    if leader.referral.referral_id in refused:
        return Barred()
    return Shared(leader, first, (min(until, leader.until) - first).days)


def _shorter(each: WaitingNeed, nights: int) -> WaitingNeed:
    return replace(each, need=replace(each.need, nights=nights, latest_date=None))


def _sooner(each: WaitingNeed, begin: date) -> WaitingNeed:
    """All its nights before that day."""
    return replace(each, need=replace(each.need, latest_date=begin - timedelta(days=each.need.nights)))


def one_of_each(waiting: Mapping[UUID, list[WaitingNeed]]) -> tuple[list[WaitingNeed], list[WaitingNeed]]:
    """Of the needs of each household those of the case that comes first, and those that are looked at after it."""
    first, later = [], []
    for needs in waiting.values():
        case_id: CaseId = min(needs, key=lambda each: each.priority).need.case_id
        first += [each for each in needs if each.need.case_id == case_id]
        later += [each for each in needs if each.need.case_id != case_id]
    return first, later


class Step(Enum):
    """What becomes of a referral that shares the place of another one."""

    NOTHING = "nothing"
    TAKES_OVER = "takes over"
    REJECTED = "rejected"
    LEFT = "left"
    EXPIRED = "expired"


def step(sharing: Referral, leader: Referral, left: bool) -> Step:
    """After the leader changed; `left`: its household moved in, and has left.

    The household keeps its place when only the other case's wish for it has ended; not when the provider said no.
    A yes, and an arrival, are each case's own: that two entries are of one household is only what was entered.
    """
    if leader.state is ReferralState.REJECTED:
        return Step.LEFT if sharing.occupied else Step.REJECTED
    if left:
        return Step.LEFT if sharing.occupied else Step.EXPIRED
    if leader.state not in LIVE:
        return Step.TAKES_OVER
    return Step.NOTHING
