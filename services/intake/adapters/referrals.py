"""Referrals in PostgreSQL, as matching tells of them."""

from collections.abc import Sequence

from services.chassis.work import Work
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.outcomes import Referral, ReferralState

# A proposal does not turn back a referral that has moved on already: a snapshot tells both at once.
_PROPOSED = """
INSERT INTO referral (referral_id, case_id, need_id, state, from_date, nights, expires_at)
SELECT referral_id, case_id, need_id, 'proposed', from_date, nights, expires_at
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::integer[], $6::timestamptz[])
     WITH ORDINALITY AS told (referral_id, case_id, need_id, from_date, nights, expires_at, nth)
ORDER BY nth
ON CONFLICT (referral_id) DO UPDATE
SET from_date = EXCLUDED.from_date, nights = EXCLUDED.nights, expires_at = EXCLUDED.expires_at,
    version = referral.version + 1
"""
_MOVED = """
INSERT INTO referral (referral_id, case_id, need_id, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (referral_id) DO UPDATE SET state = EXCLUDED.state, version = referral.version + 1
"""
_KEEP_ONLY = "DELETE FROM referral WHERE case_id = $1 AND referral_id <> ALL ($2::uuid[])"


class PostgresReferrals:
    def __init__(self, work: Work) -> None:
        self._work = work

    def proposed(self, case_id: CaseId, referral: Referral) -> None:
        self._work.collect(
            _PROPOSED, referral.referral_id, case_id, referral.need_id, referral.from_date, referral.nights,
            referral.expires_at,
        )  # fmt: skip

    def moved(self, case_id: CaseId, referral_id: ReferralId, need_id: NeedId, to: ReferralState) -> None:
        self._work.write(_MOVED, referral_id, case_id, need_id, to.value)

    def keep_only(self, case_id: CaseId, referral_ids: Sequence[ReferralId]) -> None:
        self._work.write(_KEEP_ONLY, case_id, list(referral_ids))
