"""Hold a place for a household that somebody is standing in front of, or say why there is none."""

from __future__ import annotations

from services.matching.application.follow_case import need_reported
from services.matching.application.ports import MatchingWork
from services.matching.application.settle import settle
from services.matching.application.terms import Shown, as_told
from services.matching.domain.household import Facts
from services.matching.domain.needs import PLACE_KINDS, Need, NeedState, Unmatched
from services.matching.domain.refusal import invalid, refused


async def find_tonight(work: MatchingWork, need: Need, facts: Facts) -> Shown | Unmatched:
    """May overtake the report of the need, so it carries all of it. Asking again finds the place held.

    Raises Refusal for a household in hiding (`hub-only`: its answer must not depend on whether a place is
    free), for a need that is over (`need-closed`, `case-closed`), and for one that is placed already.
    """
    if need.kind not in PLACE_KINDS:
        raise invalid("not-a-place", "Only lodging and food are found by the night.")
    if facts.confidential:
        raise refused("hub-only", "Only the hub arranges a place for this household.")
    need_reported(work, need, facts)
    # It may overtake the event that the need has become another, too.
    work.needs.change(need)
    work.needs.ask_again(need.need_id)
    household = await work.households.get(need.case_id)
    if household is None or household.closed:
        raise refused("case-closed", "The case is closed.")
    if household.facts.confidential:
        raise refused("hub-only", "Only the hub arranges a place for this household.")
    await settle(work)
    standing = await work.needs.get(need.need_id)
    if standing is None or standing.need.case_id != need.case_id or standing.state is NeedState.CLOSED:
        raise refused("need-closed", "Nothing is sought for this need any more.")
    for referral, offer in await work.referrals.live([need.need_id]):
        return as_told(work.terms, referral, offer)
    if standing.state is NeedState.PLACED:
        raise refused("need-closed", "The household had a place, and has left it.")
    if standing.waiting.told is None:
        raise AssertionError("a need that was tried and not matched was told why")
    return standing.waiting.told
