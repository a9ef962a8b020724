"""Needs, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.adapters.reports import Reports
from services.matching.application.views import StandingNeed
from services.matching.domain.goods import WantedGoods
from services.matching.domain.ids import CaseId, NeedId, OfferId, ReferralId
from services.matching.domain.needs import Kind, Need, Priority, Tier, Unmatched

_CLOSE_OTHERS = (
    "UPDATE need SET state = 'closed' WHERE case_id = $1 AND need_id <> ALL($2) AND state <> 'closed'"
)
# A need that is closed still counts while something is held or set aside for it.
_TOUCHED = f"""
SELECT {rows.NEED_COLUMNS}
FROM need AS n JOIN household AS h USING (case_id)
WHERE (n.need_id = ANY($1) OR n.case_id = ANY($2))
  AND (n.state <> 'closed'
       OR EXISTS (SELECT FROM referral AS r
                  WHERE r.need_id = n.need_id AND r.state IN ('proposed', 'accepted'))
       OR EXISTS (SELECT FROM allocation AS a
                  WHERE a.need_id = n.need_id AND a.state IN ('proposed', 'reserved')))
ORDER BY n.need_id
FOR UPDATE OF n
"""
# Those that share a place follow the one that has it, so their needs are part of it.
_LOCK = """
SELECT FROM need WHERE need_id IN (
    SELECT need_id FROM referral WHERE referral_id = ANY($1)
    UNION ALL
    SELECT need_id FROM referral WHERE shares = ANY($1) AND state IN ('proposed', 'accepted')
)
ORDER BY need_id FOR UPDATE
"""
_HURRY = """
UPDATE need
SET rests_until = NULL, hurried = hurried OR $3,
    urgency = CASE WHEN $3 AND urgency = 'planned' THEN 'soon' ELSE urgency END
WHERE need_id = $1 AND case_id = $2 AND state <> 'closed'
"""
_WAITING = f"""
SELECT {rows.NEED_COLUMNS}
FROM need AS n JOIN household AS h USING (case_id)
WHERE n.state = 'waiting' AND n.kind = ANY($1) AND (n.rests_until IS NULL OR n.rests_until <= $2)
ORDER BY n.tier, n.waiting_since, n.need_id
LIMIT 5000
FOR UPDATE OF n SKIP LOCKED
"""
# Some of the hard rules, to leave at home who surely cannot take what became free. So many at most: few places
# become free at once, and the turn of the day tries everybody.
_WAITING_FOR = f"""
SELECT {rows.NEED_COLUMNS}
FROM need AS n JOIN household AS h USING (case_id)
WHERE n.state = 'waiting' AND n.kind IN ('lodging', 'food') AND (n.rests_until IS NULL OR n.rests_until <= $2)
  AND EXISTS (
    SELECT FROM offer AS o
    WHERE o.offer_id = ANY($1) AND o.kind = n.kind AND o.confidential = h.confidential
      AND (h.area = '' OR o.area IN ('', h.area)) AND (o.max_nights = 0 OR n.nights <= o.max_nights)
      AND (o.wheelchair OR NOT h.wheelchair) AND (o.pets OR NOT h.pets) AND o.offer_id <> ALL(n.excluded)
  )
ORDER BY n.tier, n.waiting_since, n.need_id
LIMIT 1000
"""
_CLAIM = """
SELECT need_id FROM need WHERE need_id = ANY($1) AND state = 'waiting' ORDER BY need_id
FOR UPDATE SKIP LOCKED
"""
_WAIT_AGAIN = """
UPDATE need
SET state = 'waiting', reason = NULL, would_change = NULL, rests_until = $3,
    excluded = CASE WHEN $2::uuid IS NULL THEN excluded ELSE array_append(excluded, $2) END
WHERE need_id = $1 AND state = 'referred'
"""
_REFER = """
UPDATE need SET state = 'referred', reason = NULL, would_change = NULL, rests_until = NULL
WHERE need_id = ANY($1)
"""
_WANTED_GOODS = """
SELECT n.need_id, n.case_id, n.item_id, n.size, n.tier, n.waiting_since, n.reason, h.area, h.confidential,
       n.quantity - a.covered AS missing
FROM need AS n JOIN household AS h USING (case_id)
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(quantity), 0)::integer AS covered FROM allocation
    WHERE need_id = n.need_id AND state IN ('proposed', 'reserved', 'handed over')
) AS a
WHERE n.kind = 'goods' AND n.state = 'waiting' AND n.quantity > a.covered
FOR UPDATE OF n SKIP LOCKED
"""


class PostgresNeeds:
    def __init__(self, work: Work, reports: Reports) -> None:
        self._work = work
        self._reports = reports

    def report(self, need: Need, tier: Tier, now: datetime) -> None:
        self._reports.report(need, tier, now)

    def change(self, need: Need) -> None:
        self._reports.change(need)

    def close(self, case_id: CaseId, need_id: NeedId) -> None:
        self._reports.close(case_id, need_id)

    def close_all(self, case_id: CaseId) -> None:
        self._reports.close(case_id, None)

    def close_others(self, case_id: CaseId, open_ids: Collection[NeedId]) -> None:
        # Needs that are reported after this stay open: it comes after what was said before, and before the rest.
        self._reports.flush()
        self._work.write(_CLOSE_OTHERS, case_id, list(open_ids))

    def hurry(self, case_id: CaseId, need_id: NeedId, soon: bool) -> None:
        self._reports.flush()
        self._work.write(_HURRY, need_id, case_id, soon)

    def ask_again(self, need_id: NeedId) -> None:
        self._work.write(
            "UPDATE need SET rests_until = NULL WHERE need_id = $1 AND rests_until IS NOT NULL", need_id
        )

    async def get(self, need_id: NeedId) -> StandingNeed | None:
        row = await self._work.connection.fetchrow(
            f"SELECT {rows.NEED_COLUMNS} FROM need AS n JOIN household AS h USING (case_id)"
            " WHERE n.need_id = $1",
            need_id,
        )
        return None if row is None else rows.standing_need(row)

    async def touched(
        self, need_ids: Collection[NeedId], case_ids: Collection[CaseId]
    ) -> Sequence[StandingNeed]:
        if not need_ids and not case_ids:
            return []
        found = await self._work.connection.fetch(_TOUCHED, list(need_ids), list(case_ids))
        return [rows.standing_need(row) for row in found]

    async def lock(self, referral_ids: Collection[ReferralId]) -> None:
        if referral_ids:
            await self._work.connection.fetch(_LOCK, list(referral_ids))

    async def waiting(self, kinds: Collection[Kind], now: datetime) -> Sequence[StandingNeed]:
        found = await self._work.connection.fetch(_WAITING, list(kinds), now)
        return [rows.standing_need(row) for row in found]

    async def waiting_for(self, offer_ids: Collection[OfferId], now: datetime) -> Sequence[StandingNeed]:
        found = await self._work.connection.fetch(_WAITING_FOR, list(offer_ids), now)
        return [rows.standing_need(row) for row in found]

    async def claim(self, need_ids: Collection[NeedId]) -> set[NeedId]:
        if not need_ids:
            return set()
        return {NeedId(row["need_id"]) for row in await self._work.connection.fetch(_CLAIM, list(need_ids))}

    def refer(self, need_ids: Collection[NeedId]) -> None:
        self._work.write(_REFER, list(need_ids))

    def place(self, need_id: NeedId) -> None:
        self._work.write(
            "UPDATE need SET state = 'placed' WHERE need_id = $1 AND state = 'referred'", need_id
        )

    def wait_again(
        self, need_id: NeedId, without: OfferId | None = None, rests_until: datetime | None = None
    ) -> None:
        self._work.write(_WAIT_AGAIN, need_id, without, rests_until)

    def reprioritise(self, need_id: NeedId, tier: Tier) -> None:
        self._work.write("UPDATE need SET tier = $2 WHERE need_id = $1", need_id, int(tier))

    def tell(self, need_id: NeedId, unmatched: Unmatched | None) -> None:
        self._work.write(
            "UPDATE need SET reason = $2, would_change = $3 WHERE need_id = $1",
            need_id,
            unmatched.reason if unmatched else None,
            unmatched.would_change if unmatched else None,
        )

    async def wanted_goods(self) -> Sequence[WantedGoods]:
        return [
            WantedGoods(
                need_id=NeedId(row["need_id"]),
                case_id=CaseId(row["case_id"]),
                item_id=row["item_id"],
                size=row["size"],
                missing=row["missing"],
                area=row["area"],
                priority=Priority(Tier(row["tier"]), row["waiting_since"], NeedId(row["need_id"])),
                told_short=row["reason"] is not None,
                hidden=row["confidential"],
            )
            for row in await self._work.connection.fetch(_WANTED_GOODS)
        ]
