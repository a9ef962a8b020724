"""Free the places whose holds ran out, however it came to that."""

from __future__ import annotations

from collections.abc import Collection

from services.matching.application.ports import MatchingWork
from services.matching.application.release import let_go
from services.matching.application.timers import REST_ENDS
from services.matching.domain.events import ReferralExpired
from services.matching.domain.ids import ReferralId
from services.matching.domain.referrals import Referral


async def expire_holds(work: MatchingWork, referral_ids: Collection[ReferralId]) -> None:
    """Nothing happens to a hold that is gone or was prolonged: the time on its row counts, not the timer's.

    The caller has the needs and the places locked.
    """
    for referral_id in sorted(referral_ids):
        held = await work.referrals.get(referral_id)
        if held is not None and held.expired(work.now) != held:
            await _expire(work, held)


async def _expire(work: MatchingWork, held: Referral) -> None:
    """A household whose provider was silent is sought another place at once, without that one. One that did
    not answer itself, or did not come, rests: otherwise its silence would block one place after another.
    """
    work.concern(held.case_id)
    let_go(work, held, held.expired(work.now))
    work.say(ReferralExpired(held.case_id, held.referral_id, held.need_id), hidden=held.hidden)
    if held.client_said_yes and not held.provider_said_yes:
        work.needs.wait_again(held.need_id, without=held.offer_id)
        work.agenda.seeking.add(held.need_id)
    else:
        rests_until = work.now + work.terms.rest_after_silence
        work.needs.wait_again(held.need_id, rests_until=rests_until)
        await work.arm(REST_ENDS, str(held.need_id), rests_until)
