"""The hub's desk: open confidential requests, read from PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.application.terms import Shown
from services.matching.application.views import DeskEntry
from services.matching.domain.matcher import request_of

# A request is open until the household has moved in.
_REQUESTS = f"""
SELECT {rows.NEED_COLUMNS}
FROM need AS n JOIN household AS h USING (case_id)
WHERE h.confidential AND n.kind IN ('lodging', 'food') AND n.state IN ('waiting', 'referred')
ORDER BY n.waiting_since, n.need_id
LIMIT 500
"""
_REFERRALS = f"""
SELECT {rows.REFERRAL_COLUMNS}, o.name, o.contact
FROM referral AS r JOIN offer AS o USING (offer_id)
WHERE r.need_id = ANY($1) AND r.state IN ('proposed', 'accepted')
"""


class PostgresDesk:
    """The hub sees which place it is: it is the one that sends the household there."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def entries(self, today: date) -> Sequence[DeskEntry]:
        requests = [rows.standing_need(row) for row in await self._work.connection.fetch(_REQUESTS)]
        found = await self._work.connection.fetch(_REFERRALS, [each.need.need_id for each in requests])
        held = {row["need_id"]: Shown(rows.referral(row), row["name"], row["contact"]) for row in found}
        entries = []
        for each in requests:
            asked = request_of(each.need, each.waiting.facts, today)
            shown = held.get(each.need.need_id)
            entries.append(
                DeskEntry(
                    arrival_code=each.waiting.arrival_code,
                    head_count=shown.referral.head_count if shown else asked.persons,
                    from_date=shown.referral.from_date if shown else asked.from_date,
                    nights=shown.referral.nights if shown else asked.nights,
                    referral=shown,
                    none=None if shown else each.waiting.told,
                )
            )
        return entries
