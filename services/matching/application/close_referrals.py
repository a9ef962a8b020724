"""Close referrals that the household allows no more: a consent that they stood on has ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.matching.application.ports import MatchingWork
from services.matching.application.release import let_go
from services.matching.domain.events import ReferralWithdrawn
from services.matching.domain.ids import CaseId, ReferralId


def consent_changed(work: MatchingWork, case_id: CaseId, closed: Sequence[ReferralId]) -> None:
    work.concern(case_id)
    work.agenda.closing.update(closed)


async def close_referrals(work: MatchingWork, referral_ids: Collection[ReferralId]) -> None:
    """The place is free at once, and the need is sought another one, without that provider's.

    Where the household lives already it stays; only the telling has ended. The caller has the needs and the
    places locked.
    """
    for referral_id in sorted(referral_ids):
        held = await work.referrals.get(referral_id)
        if held is None or not held.holding:
            continue
        let_go(work, held, held.withdrawn())
        work.say(ReferralWithdrawn(held.case_id, held.referral_id, held.need_id), hidden=held.hidden)
        work.needs.wait_again(held.need_id, without=held.offer_id)
        work.agenda.seeking.add(held.need_id)
