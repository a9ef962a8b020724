"""Keep up with what intake says of stays: a search that becomes urgent, a place that was left, a case that goes on."""

from __future__ import annotations

from services.matching.application.agenda import Left
from services.matching.application.ports import MatchingWork
from services.matching.application.settle import settle
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId

SOON_DAYS = 3


async def case_reopened(work: MatchingWork, case_id: CaseId, facts: Facts, arrival_code: str) -> None:
    """Whatever its closing left to do is done first: both may be heard of in one batch."""
    await settle(work)
    work.households.reopen(case_id)
    work.households.learn(case_id, facts, arrival_code)


def stay_ending(work: MatchingWork, case_id: CaseId, need_id: NeedId, days_left: int) -> None:
    """The search for the next place: it no longer rests, and within days it is no plan any more."""
    work.needs.hurry(case_id, need_id, soon=days_left <= SOON_DAYS)
    work.touch(case_id, need_id)


def stay_ended(work: MatchingWork, left: Left) -> None:
    """A place that still counts as taken is free. Matching itself has mostly told of the end before."""
    work.agenda.left.add(left)
