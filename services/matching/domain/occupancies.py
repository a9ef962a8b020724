"""A place taken, night by night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, OccupancyId, OfferId, ReferralId
from services.matching.domain.offers import Offer, Request, failed_rules
from services.matching.domain.refusal import invalid


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Units of an offer that a household lives in from `from_date` on; `until` is the first night not slept
    there, None while no end is known (an import). One that began with a referral has that referral's id.
    """

    occupancy_id: OccupancyId
    offer_id: OfferId
    case_id: CaseId
    referral_id: ReferralId | None
    units: int
    from_date: date
    until: date | None
    ended: bool = False

    def end(self, asked: date | None, today: date) -> date:
        """The first night not slept there, when the household leaves; tonight unless said otherwise.

        Raises Refusal `until-date-outside-stay` for a day before the stay began or after it was to end; one
        that was to go on for ever ends today at the latest.
        """
        if asked is None:
            day = max(self.from_date, today)
            return day if self.until is None else min(day, self.until)
        if asked < self.from_date or asked > (self.until or today):
            raise invalid("until-date-outside-stay", "The day is not one of the stay.")
        return asked


def too_small(offer: Offer, units: int, from_date: date, until: date, facts: Facts) -> bool:
    """Whether a household that lives in a place, in so many of its units, has grown out of it. Only what comes of
    its growing counts: a rule that says no for another reason is nothing that a larger place mends.
    """
    request = Request(offer.kind, from_date, (until - from_date).days, facts)
    crowded = "max-persons" in failed_rules(offer, request) or request.units_of(offer.unit) > units
    return crowded or (not offer.rules.children and facts.with_children(request.last_night))


def last_night(from_date: date, nights: int) -> date:
    return from_date + timedelta(days=nights - 1)
