"""One place a night for one household: what a case does whose household has a place through another case."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from uuid import UUID

from services.matching.domain.ids import CaseId
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
    """The household has a place, and this case must not, or does not want to, be sent there."""


def apportion(each: WaitingNeed, today: date, leaders: Collection[Leader]) -> Alone | Shared | Barred:
    """What is looked for, given the places that the household has through other cases.

    Nights before such a place begins are looked for as nights of their own.
    """
    first = max(each.need.from_date or today, today)
    until = first + timedelta(days=each.need.nights)
    others = [leader for leader in leaders if leader.referral.case_id != each.need.case_id]
    leader = next((leader for leader in others if leader.on(first)), None)
    if leader is None:
        begin = min(
            (one.referral.from_date for one in others if first < one.referral.from_date), default=until
        )
        nights = (min(begin, until) - first).days
        return Alone(each if nights == each.need.nights else _shorter(each, nights))
    offer = leader.offer
    if offer.offer_id in each.excluded or not each.facts.avoid.isdisjoint(
        (str(offer.offer_id), offer.agency)
    ):
        return Barred()
    return Shared(leader, first, (min(until, leader.until) - first).days)


def _shorter(each: WaitingNeed, nights: int) -> WaitingNeed:
    return replace(each, need=replace(each.need, nights=nights, latest_date=None))


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
    ACCEPTED = "accepted"
    MOVED_IN = "moved in"
    TAKES_OVER = "takes over"
    REJECTED = "rejected"
    LEFT = "left"
    EXPIRED = "expired"


def keeping_up(sharing: Referral, leader: Referral) -> Referral:
    """The provider says yes once, to the household."""
    heard = replace(sharing, provider_said_yes=sharing.provider_said_yes or leader.provider_said_yes)
    both = heard.client_said_yes and heard.provider_said_yes
    return replace(heard, state=ReferralState.ACCEPTED if both else heard.state)


def step(sharing: Referral, leader: Referral, left: bool) -> Step:
    """After the leader changed; `left`: its household moved in, and has left.

    The household keeps its place when only the other case's wish for it has ended; not when the provider said no.
    """
    if leader.state is ReferralState.REJECTED:
        return Step.LEFT if sharing.occupied else Step.REJECTED
    if left:
        return Step.LEFT if sharing.occupied else Step.EXPIRED
    if leader.state not in LIVE:
        return Step.TAKES_OVER
    heard = keeping_up(sharing, leader)
    if leader.occupied and heard.state is ReferralState.ACCEPTED and not sharing.occupied:
        return Step.MOVED_IN
    return Step.ACCEPTED if heard != sharing else Step.NOTHING
