"""Say where referrals lead, to whoever may show it to the household: topics do not."""

from __future__ import annotations

from collections.abc import Collection

from services.chassis import discretion
from services.matching.application.ports import MatchingWork
from services.matching.application.terms import Shown, as_told
from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.refusal import invalid

MOST = 100


async def describe_referrals(
    work: MatchingWork, case_id: CaseId, referral_ids: Collection[ReferralId]
) -> list[Shown]:
    """Those that are the case's; the rest is as if absent. Raises Refusal `too-many-referrals`."""
    if len(referral_ids) > MOST:
        raise invalid("too-many-referrals", f"At most {MOST} referrals are described at once.")
    found = await work.referrals.of_case(case_id, referral_ids)
    if any(offer.confidential for _, offer in found):
        discretion.hush()
    return [as_told(work.terms, referral, offer) for referral, offer in found]
