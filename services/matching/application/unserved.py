"""Say of needs that no matcher here can find anything for that there is nothing, and let them wait."""

from __future__ import annotations

from collections.abc import Sequence

from services.matching.application.ports import MatchingWork
from services.matching.application.views import StandingNeed
from services.matching.domain.events import NeedUnmatched
from services.matching.domain.needs import UNSERVED_KINDS, NeedState, Reason, Unmatched

NOBODY_OFFERS_IT = Unmatched(Reason.NO_ELIGIBLE_PLACE)


def tell_unserved(work: MatchingWork, touched: Sequence[StandingNeed]) -> None:
    """Once for each such need, and again when it has become another. Demand is recorded, whether it can be met or
    not.
    """
    for each in touched:
        waits = each.need.kind in UNSERVED_KINDS and each.state is NeedState.WAITING
        if waits and each.waiting.told != NOBODY_OFFERS_IT:
            work.needs.tell(each.need.need_id, NOBODY_OFFERS_IT)
            unmatched = NeedUnmatched(each.need.case_id, each.need.need_id, NOBODY_OFFERS_IT)
            work.say(unmatched, hidden=each.waiting.facts.confidential)
