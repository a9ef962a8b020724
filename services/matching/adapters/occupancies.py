"""Places taken, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.application.views import Dwelling
from services.matching.domain.ids import CaseId, NeedId, OccupancyId, ReferralId
from services.matching.domain.occupancies import Occupancy

_COLUMNS = "occupancy_id, offer_id, case_id, referral_id, units, from_date, until_date, ended"
_START = f"""
INSERT INTO occupancy ({_COLUMNS}, source_id, source_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_SAVE = """
UPDATE occupancy SET offer_id = $2, units = $3, from_date = $4, until_date = $5, ended = $6
WHERE occupancy_id = $1
"""

_TELL_AGAIN = """
UPDATE occupancy SET told_as_of = greatest(told_as_of, $3) WHERE source_id = $1 AND source_key = ANY ($2::text[])
"""
_LODGED = f"""
SELECT y.occupancy_id, y.offer_id, y.case_id, y.referral_id, y.units, y.from_date, y.until_date, y.ended,
    y.outgrown_persons, r.need_id, {rows.OFFER_COLUMNS}, {rows.FACTS_COLUMNS}
FROM occupancy AS y
JOIN referral AS r USING (referral_id)
JOIN offer AS o ON o.offer_id = y.offer_id
JOIN household AS h ON h.case_id = y.case_id
WHERE y.case_id = ANY ($1) AND NOT y.ended AND y.until_date > $2 AND r.shares IS NULL AND o.kind = 'lodging'
  AND NOT h.closed
ORDER BY y.occupancy_id
"""


class PostgresOccupancies:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def get(self, occupancy_id: OccupancyId) -> Occupancy | None:
        found = await self._where("occupancy_id = $1", occupancy_id)
        return found[0] if found else None

    async def of_referral(self, referral_id: ReferralId) -> Occupancy | None:
        found = await self._where("referral_id = $1", referral_id)
        return found[0] if found else None

    async def standing_of(self, case_id: CaseId) -> Sequence[Occupancy]:
        return await self._where("case_id = $1 AND until_date IS NULL AND NOT ended", case_id)

    async def imported(self, source_id: str, source_keys: Collection[str]) -> Mapping[str, Occupancy]:
        found = await self._work.connection.fetch(
            f"SELECT {_COLUMNS}, source_key FROM occupancy WHERE source_id = $1 AND source_key = ANY($2)",
            source_id,
            list(source_keys),
        )
        return {row["source_key"]: rows.occupancy(row) for row in found}

    def tell_again(self, source_id: str, source_keys: Collection[str], as_of: date) -> None:
        """An export as of that day tells of these."""
        self._work.write(_TELL_AGAIN, source_id, list(source_keys), as_of)

    async def untold(self, source_id: str, as_of: date) -> Sequence[Occupancy]:
        """Those that go on, though no export of that day or later tells of them."""
        return await self._where(
            "source_id = $1 AND NOT ended AND (told_as_of IS NULL OR told_as_of < $2)", source_id, as_of
        )

    def start(self, occupancy: Occupancy, source: tuple[str, str] | None = None) -> None:
        source_id, source_key = source or (None, None)
        self._work.write(
            _START, occupancy.occupancy_id, occupancy.offer_id, occupancy.case_id, occupancy.referral_id,
            occupancy.units, occupancy.from_date, occupancy.until, occupancy.ended, source_id, source_key,
        )  # fmt: skip

    def save(self, occupancy: Occupancy) -> None:
        self._work.write(
            _SAVE, occupancy.occupancy_id, occupancy.offer_id, occupancy.units, occupancy.from_date,
            occupancy.until, occupancy.ended,
        )  # fmt: skip

    async def lodged(self, case_ids: Collection[CaseId], today: date) -> Sequence[Dwelling]:
        found = await self._work.connection.fetch(_LODGED, list(case_ids), today)
        return [
            Dwelling(
                rows.occupancy(row),
                NeedId(row["need_id"]),
                rows.offer(row),
                rows.facts(row),
                row["outgrown_persons"],
            )
            for row in found
        ]

    def tell_outgrown(self, occupancy_id: OccupancyId, persons: int | None) -> None:
        self._work.write(
            "UPDATE occupancy SET outgrown_persons = $2 WHERE occupancy_id = $1", occupancy_id, persons
        )

    async def _where(self, condition: str, *arguments: object) -> list[Occupancy]:
        found = await self._work.connection.fetch(
            f"SELECT {_COLUMNS} FROM occupancy WHERE {condition}", *arguments
        )
        return [rows.occupancy(row) for row in found]
