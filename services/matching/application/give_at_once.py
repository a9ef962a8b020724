"""Give places to needs that nobody has heard of before, while whoever else gives places goes on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.matching.application.ports import MatchingWork
from services.matching.application.propose import proposed, taken_by
from services.matching.application.share_place import nights_held
from services.matching.application.views import Taken
from services.matching.domain.ids import CaseId
from services.matching.domain.matcher import Placement, match, window
from services.matching.domain.needs import PLACE_KINDS, WaitingNeed, tier
from services.matching.domain.one_place import key_of


async def gave_at_once(work: MatchingWork) -> bool:
    """Whether the agenda held only such needs, and each got a place; if not, nothing has changed.

    What is free is seen without the lock of the places, which the one statement takes that writes it all. Of what may
    have changed by then the database says three things: units that went meanwhile, a household's night that another of
    its cases got, a need that was heard of on another way. Each fails the work (StaleError), and it decides again,
    under the lock then (`Contention`).

    It says nothing of what else may have changed: rules of an offer, facts of a household that came with another
    question count here as if they came a moment later. A place that was given stays given when rules change; newer
    facts come again as an event of the case, and that looks at all its needs.

    A need for which nothing is free is told so only under the lock, so that it is seen by who frees a place.
    """
    if not work.agenda.asks_only_for_needs():
        return False
    newcomers = work.newcomers.told(work.agenda.needs)
    asking = _asking(newcomers)
    if asking is None or not all(_is_simple(work, each) for each in newcomers):
        return False
    book = await work.newcomers.glance(newcomers, asking, *window(newcomers, work.today))
    if book is None:
        return False
    found = list(match(book, newcomers, work.today, (), work.agenda.needs))
    placed = [(each, what) for each, what in found if isinstance(what, Placement)]
    if len(placed) < len(found) or not work.places.are_written([_taken(what) for _, what in placed]):
        return False
    await _apply(work, placed)
    return True


async def _apply(work: MatchingWork, placed: Sequence[tuple[WaitingNeed, Placement]]) -> None:
    """Needs first, then places, as everybody does."""
    work.newcomers.refer()
    referrals = [
        await proposed(work, each, what.place.offer, what.request, what.units) for each, what in placed
    ]
    work.newcomers.take(taken_by(referrals))
    work.one_places.take([nights for each in referrals for nights in nights_held(each)])
    work.referrals.propose(referrals, work.now)


def _asking(newcomers: Sequence[WaitingNeed]) -> dict[UUID, CaseId] | None:
    """By the key of each household the case that asks; None when there are two, or there is nobody."""
    asking: dict[UUID, CaseId] = {}
    for each in newcomers:
        key = key_of(each)
        if key is not None and asking.setdefault(key, each.need.case_id) != each.need.case_id:
            return None
    return asking if newcomers else None


def _is_simple(work: MatchingWork, each: WaitingNeed) -> bool:
    """A place is sought, and of its household nothing else was told since."""
    return each.need.kind in PLACE_KINDS and each.priority.tier is tier(each.facts, work.today)


def _taken(what: Placement) -> Taken:
    request = what.request
    return Taken(what.place.offer.offer_id, request.from_date, request.until, what.units)
