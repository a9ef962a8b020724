"""Offers, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.application.views import Listed, NightView, Viewer
from services.matching.domain.ids import OfferId
from services.matching.domain.offers import Offer

# What is taken is not a term of the offer: `standing` stays.
_PUT = """
INSERT INTO offer (offer_id, agency, kind, name, contact, area, unit, capacity, max_nights, max_persons,
                   children, without_children, wheelchair, pets, confidential, capacity_set_at,
                   source_id, source_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
ON CONFLICT (offer_id) DO UPDATE
SET name = EXCLUDED.name, contact = EXCLUDED.contact, area = EXCLUDED.area, capacity = EXCLUDED.capacity,
    max_nights = EXCLUDED.max_nights, max_persons = EXCLUDED.max_persons, children = EXCLUDED.children,
    without_children = EXCLUDED.without_children, wheelchair = EXCLUDED.wheelchair, pets = EXCLUDED.pets,
    confidential = EXCLUDED.confidential, capacity_set_at = EXCLUDED.capacity_set_at
"""
# `Viewer.sees`, as a condition.
SEEN = "((o.agency <> '' AND o.agency = $1) OR ($2 AND (o.confidential OR o.agency = '')))"
_LISTED = f"""
SELECT {rows.OFFER_COLUMNS}, o.capacity_set_at, o.standing, n.nights, n.capacities, n.takens
FROM offer AS o
CROSS JOIN LATERAL (
    SELECT array_agg(night) AS nights, array_agg(capacity) AS capacities, array_agg(taken) AS takens
    FROM night WHERE offer_id = o.offer_id AND night = ANY($3)
) AS n
WHERE {SEEN}
ORDER BY o.name, o.offer_id
"""
# Whatever of it is confidential does not exist here.
_NAMED = f"""
SELECT {rows.OFFER_COLUMNS}
FROM offer AS o
WHERE NOT o.confidential AND position(lower($1) IN lower(o.name)) > 0 AND $2 IN ('', o.area)
ORDER BY o.name, o.offer_id LIMIT 100
"""


class PostgresOffers:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def get(self, offer_id: OfferId) -> Offer | None:
        row = await self._work.connection.fetchrow(
            f"SELECT {rows.OFFER_COLUMNS} FROM offer AS o WHERE o.offer_id = $1", offer_id
        )
        return None if row is None else rows.offer(row)

    async def named(self, part: str, area: str) -> Sequence[Offer]:
        return [rows.offer(row) for row in await self._work.connection.fetch(_NAMED, part, area)]

    def put(self, offer: Offer, now: datetime) -> None:
        self._put(offer, now, None, None)

    def put_imported(self, source_id: str, source_key: str, offer: Offer, now: datetime) -> None:
        self._put(offer, now, source_id, source_key)

    def confirm(self, offer_id: OfferId, now: datetime) -> None:
        self._work.write("UPDATE offer SET capacity_set_at = $2 WHERE offer_id = $1", offer_id, now)

    async def listed(self, viewer: Viewer, nights: Sequence[date]) -> Sequence[Listed]:
        found = await self._work.connection.fetch(_LISTED, viewer.agency, viewer.hub, list(nights))
        listed = []
        for row in found:
            written = zip(row["nights"] or (), row["capacities"] or (), row["takens"] or (), strict=True)
            known = {night: NightView(night, capacity, taken) for night, capacity, taken in written}
            views = [
                known.get(night) or NightView(night, row["capacity"], row["standing"]) for night in nights
            ]
            listed.append(Listed(rows.offer(row), row["capacity_set_at"], tuple(views)))
        return listed

    async def imported(self, source_id: str, source_keys: Collection[str]) -> Mapping[str, Offer]:
        found = await self._work.connection.fetch(
            f"SELECT o.source_key, {rows.OFFER_COLUMNS} FROM offer AS o"
            " WHERE o.source_id = $1 AND o.source_key = ANY($2)",
            source_id,
            list(source_keys),
        )
        return {row["source_key"]: rows.offer(row) for row in found}

    def _put(self, offer: Offer, now: datetime, source_id: str | None, source_key: str | None) -> None:
        rules = offer.rules
        self._work.write(
            _PUT, offer.offer_id, offer.agency, offer.kind, offer.name, offer.contact, offer.area, offer.unit,
            offer.capacity, offer.max_nights, rules.max_persons, rules.children, rules.without_children,
            rules.wheelchair, rules.pets, offer.confidential, now, source_id, source_key,
        )  # fmt: skip
