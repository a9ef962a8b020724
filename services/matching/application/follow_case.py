"""Keep up with what intake says of cases; what follows for places and goods is drawn by `settle`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.matching.application.ports import MatchingWork
from services.matching.application.withdraw import withdraw_allocation
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId
from services.matching.domain.needs import Need, tier


def case_opened(work: MatchingWork, case_id: CaseId, facts: Facts) -> None:
    work.households.learn(case_id, facts)


def household_changed(work: MatchingWork, case_id: CaseId, facts: Facts) -> None:
    """Other facts may open places to a household, or close the one that is held for it."""
    work.households.learn(case_id, facts)
    work.touch(case_id)


def need_reported(work: MatchingWork, need: Need, facts: Facts, arrival_code: str = "") -> None:
    """May come after the same need was asked for tonight: what is known stays as it is."""
    work.households.learn(need.case_id, facts, arrival_code)
    work.needs.report(need, tier(facts, work.today), work.now)
    work.touch(need.case_id, need.need_id)


async def need_changed(work: MatchingWork, need: Need, facts: Facts) -> None:
    """The need is another than before. A place held for other nights is let go by `settle`; goods set aside stay,
    also more of them than are wanted now, unless they are of another item or size.
    """
    work.households.learn(need.case_id, facts)
    _learn(work, need, facts)
    work.touch(need.case_id, need.need_id)
    for allocation in await work.goods.live_of({need.need_id}):
        if (allocation.item_id, allocation.size) != (need.item_id, need.size):
            withdraw_allocation(work, allocation)


def _learn(work: MatchingWork, need: Need, facts: Facts) -> None:
    """The need as it is now, whether it is new or known from before."""
    work.needs.report(need, tier(facts, work.today), work.now)
    work.needs.change(need)


async def need_met(work: MatchingWork, case_id: CaseId, need_id: NeedId) -> None:
    """All its pieces met the household, also those of bags whose handover is still to be heard of: logistics
    tells of them on another topic, so intake's word may come first. They are not taken back.
    """
    need_gone(work, case_id, need_id)
    for allocation in await work.goods.live_of({need_id}):
        work.goods.save(replace(allocation, state="handed over"))


def need_gone(work: MatchingWork, case_id: CaseId, need_id: NeedId) -> None:
    """Withdrawn or met: nothing is sought or held for it any more."""
    work.needs.close(case_id, need_id)
    work.touch(case_id, need_id)


def case_closed(work: MatchingWork, case_id: CaseId) -> None:
    work.needs.close_all(case_id)
    work.touch(case_id)
    work.agenda.close(case_id)


def case_erased(work: MatchingWork, case_id: CaseId) -> None:
    """Closed, and nothing stays known of it but that it is."""
    case_closed(work, case_id)
    work.agenda.erased.add(case_id)


def case_seen(
    work: MatchingWork,
    case_id: CaseId,
    facts: Facts,
    open_needs: Sequence[Need],
    arrival_code: str,
    closed: bool,
) -> None:
    """The whole case at once, in place of events that were missed: needs that are not in it are gone."""
    if not closed:
        work.agenda.closed.discard(case_id)
        work.households.reopen(case_id)
    work.households.learn(case_id, facts, arrival_code)
    for need in open_needs:
        _learn(work, need, facts)
    work.needs.close_others(case_id, [need.need_id for need in open_needs])
    work.touch(case_id)
    if closed:
        case_closed(work, case_id)
