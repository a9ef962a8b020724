"""Nights and what is taken on them, in PostgreSQL; the constraint on `night` is what forbids overbooking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.application.views import Taken
from services.matching.domain.ids import OfferId
from services.matching.domain.needs import Kind
from services.matching.domain.places import Book, Place

# Any number will do, as long as everybody who changes nights takes the same one.
_LOCK = 7_320_114_101

# What is free from $1 on, before $2.
NIGHTS = """
CROSS JOIN LATERAL (
    SELECT array_agg(night) AS nights, array_agg(capacity - taken) AS free
    FROM night WHERE offer_id = o.offer_id AND night >= $1 AND night < $2
) AS n
"""
_BOOK = f"""
SELECT {rows.OFFER_COLUMNS}, o.standing, n.nights, n.free
FROM offer AS o
{NIGHTS}
WHERE o.kind = ANY($3) AND ($4::uuid[] IS NULL OR o.offer_id = ANY($4))
"""
# A night comes into being with what stands on it already.
_WRITE_DOWN = """
INSERT INTO night (offer_id, night, capacity, taken, excess)
SELECT o.offer_id, t.night, o.capacity, o.standing, GREATEST(0, o.standing - o.capacity)
FROM unnest($1::uuid[], $2::date[]) AS t (offer_id, night) JOIN offer AS o USING (offer_id)
ON CONFLICT (offer_id, night) DO NOTHING
"""
# `excess` is left as it is, on purpose: above capacity the constraint refuses the row.
_TAKE = """
UPDATE night SET taken = night.taken + t.units
FROM unnest($1::uuid[], $2::date[], $3::integer[]) AS t (offer_id, night, units)
WHERE night.offer_id = t.offer_id AND night.night = t.night
"""
# The same for who has not waited for the lock: it is taken before the first row is changed.
_TAKE_AT_ONCE = f"""
UPDATE night SET taken = night.taken + t.units
FROM (SELECT pg_advisory_xact_lock({_LOCK})) AS locked,
     unnest($1::uuid[], $2::date[], $3::integer[]) AS t (offer_id, night, units)
WHERE night.offer_id = t.offer_id AND night.night = t.night
"""
_RELEASE = """
UPDATE night
SET taken = night.taken - t.units, excess = GREATEST(0, night.taken - t.units - night.capacity)
FROM unnest($1::uuid[], $2::date[], $3::integer[]) AS t (offer_id, night, units)
WHERE night.offer_id = t.offer_id AND night.night = t.night
"""
# From a date until before another (null: for ever), by so many units, above capacity or below.
_SHIFT = """
UPDATE night SET taken = taken + $4, excess = GREATEST(0, taken + $4 - capacity)
WHERE offer_id = $1 AND night >= $2 AND ($3::date IS NULL OR night < $3)
"""
_SET_CAPACITY = """
INSERT INTO night (offer_id, night, capacity, taken, excess, said)
SELECT o.offer_id, t.night, $3, o.standing, GREATEST(0, o.standing - $3), true
FROM unnest($2::date[]) AS t (night) JOIN offer AS o ON o.offer_id = $1
ON CONFLICT (offer_id, night) DO UPDATE
SET capacity = EXCLUDED.capacity, excess = GREATEST(0, night.taken - EXCLUDED.capacity), said = true
"""
_CHANGE_DEFAULT = """
UPDATE night SET capacity = $2, excess = GREATEST(0, taken - $2)
WHERE offer_id = $1 AND night >= $3 AND NOT said
"""


class PostgresPlaces:
    """Only who has called `lock` may change anything here, but for `take_at_once`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._locked = False
        # Nights that were seen to have a row, which never goes; nobody else can add one while the lock is held.
        self._written: set[tuple[OfferId, date]] = set()

    async def lock(self) -> None:
        if not self._locked:
            await self._work.connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            self._locked = True

    async def book(
        self, kinds: Collection[Kind], from_date: date, until: date, only: Collection[OfferId] | None
    ) -> Book:
        offers = None if only is None else list(only)
        found = await self._work.connection.fetch(_BOOK, from_date, until, list(kinds), offers)
        return self.seen([rows.place(row) for row in found])

    def seen(self, places: Sequence[Place]) -> Book:
        """Remember which of their nights have a row."""
        for each in places:
            self._written.update((each.offer.offer_id, night) for night in each.nights)
        return Book(places)

    async def write_down(self, offer_ids: Collection[OfferId], night: date) -> None:
        await self._work.connection.execute(_WRITE_DOWN, list(offer_ids), [night] * len(offer_ids))

    def are_written(self, taken: Sequence[Taken]) -> bool:
        return all(each in self._written for each in _by_night(taken))

    def take(self, taken: Sequence[Taken]) -> None:
        self._check_locked()
        units = _by_night(taken)
        if missing := [each for each in units if each not in self._written]:
            self._work.write(_WRITE_DOWN, *map(list, zip(*missing, strict=True)))
            self._written.update(missing)
        self._work.write(_TAKE, *_columns(units), expect=len(units))

    def take_at_once(self, taken: Sequence[Taken]) -> None:
        units = _by_night(taken)
        self._work.write(_TAKE_AT_ONCE, *_columns(units), expect=len(units))

    def take_over(self, offer_id: OfferId, from_date: date, units: int) -> None:
        self._check_locked()
        self._stand(offer_id, units)
        self._work.write(_SHIFT, offer_id, from_date, None, units)

    def release(self, taken: Sequence[Taken]) -> None:
        self._check_locked()
        units = _by_night(taken)
        self._work.write(_RELEASE, *_columns(units), expect=len(units))

    def release_standing(self, offer_id: OfferId, from_date: date, until: date | None, units: int) -> None:
        self._check_locked()
        self._stand(offer_id, -units)
        self._work.write(_SHIFT, offer_id, from_date if until is None else until, None, -units)

    def set_capacity(self, offer_id: OfferId, from_date: date, until: date, capacity: int) -> None:
        self._check_locked()
        nights = list(_nights(from_date, until))
        self._work.write(_SET_CAPACITY, offer_id, nights, capacity)

    def change_default(self, offer_id: OfferId, capacity: int, today: date) -> None:
        self._check_locked()
        self._work.write(_CHANGE_DEFAULT, offer_id, capacity, today)

    async def excess(self, night: date) -> int:
        return int(
            await self._work.connection.fetchval(
                "SELECT COALESCE(sum(excess), 0) FROM night WHERE night = $1", night
            )
        )

    def _stand(self, offer_id: OfferId, units: int) -> None:
        self._work.write("UPDATE offer SET standing = standing + $2 WHERE offer_id = $1", offer_id, units)

    def _check_locked(self) -> None:
        if not self._locked:
            raise AssertionError("places are changed only under their lock")


def _nights(from_date: date, until: date) -> Iterable[date]:
    return (from_date + timedelta(days=n) for n in range((until - from_date).days))


def _by_night(taken: Sequence[Taken]) -> Counter[tuple[OfferId, date]]:
    """Units by offer and night: one row is changed once, however many take it."""
    units: Counter[tuple[OfferId, date]] = Counter()
    for each in taken:
        for night in _nights(each.from_date, each.until):
            units[each.offer_id, night] += each.units
    return units


def _columns(units: Counter[tuple[OfferId, date]]) -> tuple[list[OfferId], list[date], list[int]]:
    return (
        [offer_id for offer_id, _ in units],
        [night for _, night in units],
        list(units.values()),
    )
