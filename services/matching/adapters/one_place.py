"""Which case has a household's place of a night, in PostgreSQL; the key of `one_place_night` forbids a second one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.application.views import HouseholdNights
from services.matching.domain.ids import CaseId, NeedId, ReferralId
from services.matching.domain.one_place import Leader, nights_of
from services.matching.domain.referrals import Referral

# Two looks at the index, before and after the case that asks: what it has itself, which may be much, is not read.
LED_ELSEWHERE = """
CROSS JOIN LATERAL (
    SELECT * FROM referral AS before WHERE before.one_place = asking.key AND before.case_id < asking.case_id
      AND before.shares IS NULL AND before.state IN ('proposed', 'accepted')
    UNION ALL
    SELECT * FROM referral AS after WHERE after.one_place = asking.key AND after.case_id > asking.case_id
      AND after.shares IS NULL AND after.state IN ('proposed', 'accepted')
) AS r
JOIN household AS h ON h.case_id = r.case_id AND NOT h.confidential
LEFT JOIN occupancy AS lived ON lived.referral_id = r.referral_id
"""
HAS_NIGHTS = """
lived.ended IS NOT TRUE AND r.from_date < $2 AND COALESCE(lived.until_date, r.from_date + r.nights) > $1
"""
_LEADERS = f"""
SELECT {rows.REFERRAL_COLUMNS}, {rows.OFFER_COLUMNS},
       COALESCE(lived.until_date, r.from_date + r.nights) AS until
FROM unnest($3::uuid[], $4::uuid[]) AS asking (key, case_id)
{LED_ELSEWHERE}
JOIN offer AS o ON o.offer_id = r.offer_id
WHERE {HAS_NIGHTS}
ORDER BY r.from_date, r.referral_id
"""
_SHARING = f"""
SELECT {rows.REFERRAL_COLUMNS} FROM referral AS r
WHERE r.shares = $1 AND r.state IN ('proposed', 'accepted')
ORDER BY r.provider_said_yes DESC, r.client_said_yes DESC, r.proposed_at, r.referral_id
"""
_HIDING = f"""
SELECT {rows.REFERRAL_COLUMNS} FROM referral AS r JOIN household AS h USING (case_id)
WHERE r.case_id = ANY($1) AND h.confidential AND r.one_place IS NOT NULL AND r.state IN ('proposed', 'accepted')
ORDER BY r.referral_id
"""
# A provider who was silent to the end did not confirm.
_REFUSED = """
SELECT need_id, shares FROM referral
WHERE case_id = ANY($1) AND shares IS NOT NULL
  AND (state IN ('declined', 'rejected') OR state = 'expired' AND client_said_yes AND NOT provider_said_yes)
"""
# A night that another case has leaves its row as it is, and so too few rows are written.
_TAKE = """
INSERT INTO one_place_night (one_place, on_night, case_id, places)
SELECT one_place, on_night, case_id, places
FROM unnest($1::uuid[], $2::date[], $3::uuid[], $4::integer[]) AS t (one_place, on_night, case_id, places)
ON CONFLICT (one_place, on_night) DO UPDATE SET places = one_place_night.places + EXCLUDED.places
WHERE one_place_night.case_id = EXCLUDED.case_id
"""
# First whatever is the last, then whatever is not.
_RELEASE_LAST = """
DELETE FROM one_place_night
USING unnest($1::uuid[], $2::date[], $3::uuid[], $4::integer[]) AS t (one_place, on_night, case_id, places)
WHERE one_place_night.one_place = t.one_place AND one_place_night.on_night = t.on_night
  AND one_place_night.case_id = t.case_id AND one_place_night.places <= t.places
"""
_RELEASE = """
UPDATE one_place_night SET places = one_place_night.places - t.places
FROM unnest($1::uuid[], $2::date[], $3::uuid[], $4::integer[]) AS t (one_place, on_night, case_id, places)
WHERE one_place_night.one_place = t.one_place AND one_place_night.on_night = t.on_night
  AND one_place_night.case_id = t.case_id AND one_place_night.places > t.places
"""


class PostgresOnePlaces:
    """Only who holds the lock of the places may call anything here."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def leaders(
        self, asking: Mapping[UUID, CaseId], from_date: date, until: date
    ) -> Mapping[UUID, Sequence[Leader]]:
        found: defaultdict[UUID, list[Leader]] = defaultdict(list)
        pairs = list(asking), list(asking.values())
        for row in await self._work.connection.fetch(_LEADERS, from_date, until, *pairs):
            leader = Leader(rows.referral(row), rows.offer(row), row["until"])
            found[row["one_place"]].append(leader)
        return found

    async def sharing(self, leader: ReferralId) -> Sequence[Referral]:
        return [rows.referral(row) for row in await self._work.connection.fetch(_SHARING, leader)]

    async def hiding(self, case_ids: Collection[CaseId]) -> Sequence[Referral]:
        if not case_ids:
            return []
        return [rows.referral(row) for row in await self._work.connection.fetch(_HIDING, list(case_ids))]

    async def refused(self, case_ids: Collection[CaseId]) -> Mapping[NeedId, Collection[ReferralId]]:
        found: defaultdict[NeedId, set[ReferralId]] = defaultdict(set)
        for row in await self._work.connection.fetch(_REFUSED, list(case_ids)):
            found[NeedId(row["need_id"])].add(ReferralId(row["shares"]))
        return found

    def take(self, taken: Sequence[HouseholdNights], *, or_leave: bool = False) -> None:
        columns = _columns(taken)
        if columns[0]:
            self._work.write(_TAKE, *columns, expect=None if or_leave else len(columns[0]))

    def release(self, taken: Sequence[HouseholdNights]) -> None:
        columns = _columns(taken)
        if columns[0]:
            self._work.write(_RELEASE_LAST, *columns)
            self._work.write(_RELEASE, *columns)

    def take_over(self, heir: Referral, followers: Collection[ReferralId]) -> None:
        """It has the place from now on; the others share it with this one."""
        self._work.write(
            "UPDATE referral SET shares = NULL, units = $2 WHERE referral_id = $1",
            heir.referral_id,
            heir.units,
        )
        self._work.write("UPDATE hold SET units = $2 WHERE referral_id = $1", heir.referral_id, heir.units)
        if followers:
            self._work.write(
                "UPDATE referral SET shares = $2 WHERE referral_id = ANY($1)",
                list(followers),
                heir.referral_id,
            )

    def forget(self, case_id: CaseId) -> None:
        self._work.write("UPDATE referral SET one_place = NULL WHERE case_id = $1", case_id)
        self._work.write("DELETE FROM one_place_night WHERE case_id = $1", case_id)

    def forget_past(self, today: date) -> None:
        self._work.write("DELETE FROM one_place_night WHERE on_night < $1", today)

    def rename(self, referral_id: ReferralId, key: UUID) -> None:
        self._work.write("UPDATE referral SET one_place = $2 WHERE referral_id = $1", referral_id, key)


def _columns(
    taken: Sequence[HouseholdNights],
) -> tuple[list[UUID], list[date], list[CaseId], list[int]]:
    """One row for each night of a household, however often it is taken."""
    places = Counter(
        (each.key, night, each.case_id) for each in taken for night in nights_of(each.first, each.until)
    )
    keys, nights, cases = zip(*places, strict=True) if places else ((), (), ())
    return list(keys), list(nights), list(cases), list(places.values())
