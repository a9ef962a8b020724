"""Tell a provider whom to expect: intake says what of it, on the strength of which consent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.chassis.call import Call
from services.matching.application.answer_referral import seen_by
from services.matching.application.ports import MatchingWork
from services.matching.application.views import Viewer
from services.matching.domain.ids import CaseId, ReferralId
from services.matching.domain.referrals import Referral, ReferralState
from services.matching.domain.refusal import missing, refused


@dataclass(frozen=True, slots=True)
class Guest:
    """A person as a provider may know them. `age_band`: infant, child, adult."""

    given_name: str = field(repr=False)
    family_name: str = field(repr=False)
    age_band: str


class Disclosures(Protocol):
    """The neighbour that knows who they are. What it tells goes to the caller and is kept nowhere."""

    async def of(self, case_id: CaseId, referral_id: ReferralId, call: Call) -> Sequence[Guest]:
        """Those who consented to be named to this provider; without a consent nobody."""
        ...


async def expected_referral(work: MatchingWork, viewer: Viewer, referral_id: ReferralId) -> Referral:
    """An accepted referral to one of the viewer's places. Raises Refusal `not-found`, `referral-not-accepted`."""
    referral = await work.referrals.get(referral_id)
    if referral is None:
        raise missing()
    await seen_by(work, viewer, referral)
    if referral.state is not ReferralState.ACCEPTED:
        raise refused("referral-not-accepted", "Whom to expect is told after both sides said yes.")
    return referral
