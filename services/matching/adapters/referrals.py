"""Referrals and the holds behind them, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.adapters.offers import SEEN
from services.matching.application.terms import Shown
from services.matching.application.views import Viewer
from services.matching.domain.ids import CaseId, NeedId, ReferralId
from services.matching.domain.offers import Offer
from services.matching.domain.referrals import Referral

_PROPOSE = """
INSERT INTO referral (referral_id, case_id, need_id, offer_id, state, from_date, nights, units, head_count,
                      place_handle, arrival_code, expires_at, proposed_at, provider_said_yes, one_place, shares)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::date[], $7::integer[],
                     $8::integer[], $9::integer[], $10::uuid[], $11::text[], $12::timestamptz[],
                     $13::timestamptz[], $14::boolean[], $15::uuid[], $16::uuid[])
"""
_HOLD = """
INSERT INTO hold (referral_id, offer_id, units, from_date, until_date, expires_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::date[], $5::date[], $6::timestamptz[])
"""
_SAVE = """
UPDATE referral
SET state = $2, expires_at = $3, client_said_yes = $4, provider_said_yes = $5, occupied = $6
WHERE referral_id = $1
"""
_LIVE = f"""
SELECT {rows.REFERRAL_COLUMNS}, {rows.OFFER_COLUMNS}
FROM referral AS r JOIN offer AS o USING (offer_id)
WHERE r.need_id = ANY($1) AND r.state IN ('proposed', 'accepted')
"""
_OF_CASE = f"""
SELECT {rows.REFERRAL_COLUMNS}, {rows.OFFER_COLUMNS}
FROM referral AS r JOIN offer AS o USING (offer_id)
WHERE r.case_id = $1 AND r.referral_id = ANY($2)
"""
_SHOWN = f"""
SELECT {rows.REFERRAL_COLUMNS}, o.name, o.contact
FROM referral AS r JOIN offer AS o USING (offer_id)
WHERE {SEEN} AND (CASE WHEN $3 = '' THEN r.state IN ('proposed', 'accepted') ELSE r.state = $3 END)
ORDER BY r.proposed_at DESC, r.referral_id DESC
LIMIT 500
"""


class PostgresReferrals:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def get(self, referral_id: ReferralId) -> Referral | None:
        row = await self._work.connection.fetchrow(
            f"SELECT {rows.REFERRAL_COLUMNS} FROM referral AS r WHERE r.referral_id = $1", referral_id
        )
        return None if row is None else rows.referral(row)

    async def live(self, need_ids: Collection[NeedId]) -> Sequence[tuple[Referral, Offer]]:
        found = await self._work.connection.fetch(_LIVE, list(need_ids))
        return [(rows.referral(row), rows.offer(row)) for row in found]

    def propose(self, referrals: Sequence[Referral], now: datetime) -> None:
        columns = [
            (
                each.referral_id, each.case_id, each.need_id, each.offer_id, each.state, each.from_date,
                each.nights, each.units, each.head_count, each.place_handle, each.arrival_code,
                each.expires_at, now, each.provider_said_yes, each.one_place, each.shares,
            )
            for each in referrals
        ]  # fmt: skip
        self._work.write(_PROPOSE, *map(list, zip(*columns, strict=True)), expect=len(columns))
        held = [
            (each.referral_id, each.offer_id, each.units, each.from_date, each.until, each.expires_at)
            for each in referrals
        ]
        self._work.write(_HOLD, *map(list, zip(*held, strict=True)), expect=len(held))

    def save(self, referral: Referral) -> None:
        self._work.write(
            _SAVE, referral.referral_id, referral.state, referral.expires_at, referral.client_said_yes,
            referral.provider_said_yes, referral.occupied,
        )  # fmt: skip
        if referral.holding:
            self._work.write(
                "UPDATE hold SET expires_at = $2 WHERE referral_id = $1",
                referral.referral_id,
                referral.expires_at,
            )
        else:
            self._work.write("DELETE FROM hold WHERE referral_id = $1", referral.referral_id)

    async def of_case(
        self, case_id: CaseId, referral_ids: Collection[ReferralId]
    ) -> Sequence[tuple[Referral, Offer]]:
        found = await self._work.connection.fetch(_OF_CASE, case_id, list(referral_ids))
        return [(rows.referral(row), rows.offer(row)) for row in found]

    async def shown(self, viewer: Viewer, state: str) -> Sequence[Shown]:
        found = await self._work.connection.fetch(_SHOWN, viewer.agency, viewer.hub, state)
        return [Shown(rows.referral(row), row["name"], row["contact"]) for row in found]
