"""What the region decided and the code does not: how long promises last, who the hub is, how few are few."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.matching.domain.calendar import Calendar
from services.matching.domain.offers import Offer
from services.matching.domain.referrals import Referral


@dataclass(frozen=True, slots=True)
class Terms:
    """`households_behind_a_line`: fewer than these, and a shortfall is not told. `rest_after_silence`: how
    long a household that let a hold run out is not proposed anything, unless it asks.
    `victim_service_providers`: agencies, as tokens name them, every place of which is a confidential one.
    """

    calendar: Calendar
    hub_contact: str
    households_behind_a_line: int
    goods_round_every: timedelta
    rest_after_silence: timedelta
    victim_service_providers: frozenset[str] = frozenset()

    def next_goods_round(self, now: datetime) -> datetime:
        """The next multiple of the interval: rounds fall on the same minutes whenever a process starts."""
        every = self.goods_round_every.total_seconds()
        return datetime.fromtimestamp((now.timestamp() // every + 1) * every, now.tzinfo)


@dataclass(frozen=True, slots=True)
class Shown:
    """A referral with what one side may know of the place."""

    referral: Referral
    place: str
    contact: str


def as_told(terms: Terms, referral: Referral, offer: Offer) -> Shown:
    """As anybody outside may know it: a confidential place has no name, and its contact is the hub. So has one that
    the household shares, until its provider has confirmed this entry of it."""
    if offer.confidential or not referral.confirmed:
        return Shown(referral, place="", contact=terms.hub_contact)
    return Shown(referral, place=offer.name, contact=offer.contact)
