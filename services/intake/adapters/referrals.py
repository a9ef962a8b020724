"""Referrals and stays in PostgreSQL, as matching tells of them."""

from collections.abc import Sequence
from datetime import date

from services.chassis.work import Work
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.outcomes import Referral, ReferralState

# A proposal does not turn back a referral that has moved on already: a snapshot tells both at once.
_PROPOSED = """
INSERT INTO referral (referral_id, case_id, need_id, state, from_date, nights, expires_at)
VALUES ($1, $2, $3, 'proposed', $4, $5, $6)
ON CONFLICT (referral_id) DO UPDATE
SET from_date = EXCLUDED.from_date, nights = EXCLUDED.nights, expires_at = EXCLUDED.expires_at,
    version = referral.version + 1
"""
_MOVED = """
INSERT INTO referral (referral_id, case_id, need_id, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (referral_id) DO UPDATE SET state = EXCLUDED.state, version = referral.version + 1
"""
_KEEP_ONLY = "DELETE FROM referral WHERE case_id = $1 AND referral_id <> ALL ($2::uuid[])"
_STAY_STARTED = """
INSERT INTO stay (case_id, referral_id, from_date, last_night) VALUES ($1, $2, $3, $4)
ON CONFLICT (referral_id) DO UPDATE SET from_date = EXCLUDED.from_date, last_night = EXCLUDED.last_night
"""
_STAY_IMPORTED = """
INSERT INTO stay (case_id, from_date, last_night) VALUES ($1, $2, $3)
ON CONFLICT (case_id, from_date) WHERE referral_id IS NULL DO UPDATE SET last_night = EXCLUDED.last_night
"""
_STAY_ENDED = "UPDATE stay SET ended_on = $3 WHERE case_id = $1 AND referral_id = $2"
_IMPORTED_STAY_ENDED = """
UPDATE stay SET ended_on = $2 WHERE case_id = $1 AND referral_id IS NULL AND ended_on IS NULL AND from_date
       <= $2
"""


class PostgresReferrals:
    def __init__(self, work: Work) -> None:
        self._work = work

    def proposed(self, case_id: CaseId, referral: Referral) -> None:
        self._work.write(
            _PROPOSED, referral.referral_id, case_id, referral.need_id, referral.from_date, referral.nights,
            referral.expires_at,
        )  # fmt: skip

    def moved(self, case_id: CaseId, referral_id: ReferralId, need_id: NeedId, to: ReferralState) -> None:
        self._work.write(_MOVED, referral_id, case_id, need_id, to.value)

    def keep_only(self, case_id: CaseId, referral_ids: Sequence[ReferralId]) -> None:
        self._work.write(_KEEP_ONLY, case_id, list(referral_ids))

    def stay_started(
        self, case_id: CaseId, referral_id: ReferralId | None, from_date: date, last_night: date | None
    ) -> None:
        if referral_id is None:
            self._work.write(_STAY_IMPORTED, case_id, from_date, last_night)
        else:
            self._work.write(_STAY_STARTED, case_id, referral_id, from_date, last_night)

    def stay_ended(self, case_id: CaseId, referral_id: ReferralId | None, until: date) -> None:
        if referral_id is None:
            self._work.write(_IMPORTED_STAY_ENDED, case_id, until)
        else:
            self._work.write(_STAY_ENDED, case_id, referral_id, until)
