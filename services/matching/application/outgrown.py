"""Say of places that households live in that they are too small now. What is looked for then is intake's to say."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from services.matching.application.ports import MatchingWork
from services.matching.application.views import Dwelling
from services.matching.domain.events import PlaceOutgrown
from services.matching.domain.ids import CaseId
from services.matching.domain.occupancies import too_small


async def tell_outgrown(work: MatchingWork, case_ids: Collection[CaseId]) -> None:
    """Once for so many heads. A place that fits again, and then does not, is told of again."""
    for each in await work.occupancies.lodged(case_ids, work.today) if case_ids else ():
        persons = _outgrown_by(each)
        if persons == each.told_persons:
            continue
        lived = each.occupancy
        work.occupancies.tell_outgrown(lived.occupancy_id, persons)
        if persons is not None and lived.referral_id is not None:
            outgrown = PlaceOutgrown(lived.case_id, lived.referral_id, each.need_id)
            work.say(outgrown, hidden=each.offer.confidential)


def _outgrown_by(each: Dwelling) -> int | None:
    """The heads for which the place is too small, a newborn's among them; None while it is not."""
    lived = each.occupancy
    if lived.until is None or not too_small(
        each.offer, lived.units, lived.from_date, lived.until, each.facts
    ):
        return None
    return each.facts.persons(lived.until - timedelta(days=1))
