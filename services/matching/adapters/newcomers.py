"""Needs that this work was told of first, and what is free for them, in one look that holds up nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from services.chassis.work import Work
from services.matching.adapters import rows
from services.matching.adapters.one_place import HAS_NIGHTS, LED_ELSEWHERE
from services.matching.adapters.places import NIGHTS, PostgresPlaces
from services.matching.adapters.reports import Reports
from services.matching.application.views import Taken
from services.matching.domain.ids import CaseId, NeedId
from services.matching.domain.needs import Priority, WaitingNeed
from services.matching.domain.places import Book

# `fresh`: nobody has heard of the needs, nobody knows better of their households, none of these has a place through
# another case, or hides now and still has one by its key. `known`: all that is told of the households stands there.
_GLANCE = f"""
WITH told AS (
    SELECT told.*, h.closed, h.revision AS known_revision, h.one_place_revision AS known_place_revision,
           h.arrival_code AS known_code
    FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::boolean[])
        AS told (case_id, revision, one_place_revision, arrival_code, hides)
    LEFT JOIN household AS h USING (case_id)
)
SELECT {rows.OFFER_COLUMNS}, o.standing, n.nights, n.free,
    NOT EXISTS (SELECT FROM need WHERE need_id = ANY($9))
    AND NOT EXISTS (
        SELECT FROM told
        WHERE closed OR known_revision > revision OR known_place_revision > one_place_revision
           OR (arrival_code = '' AND known_code <> '')
           OR (hides AND EXISTS (
                SELECT FROM referral AS r
                WHERE r.case_id = told.case_id AND r.one_place IS NOT NULL AND r.state IN ('proposed', 'accepted'))))
    AND NOT EXISTS (
        SELECT FROM unnest($10::uuid[], $11::uuid[]) AS asking (key, case_id) {LED_ELSEWHERE} WHERE {HAS_NIGHTS})
    AS fresh,
    NOT EXISTS (
        SELECT FROM told
        WHERE (known_revision, known_place_revision, known_code)
              IS DISTINCT FROM (revision, one_place_revision, arrival_code))
    AS known
FROM offer AS o
{NIGHTS}
WHERE o.kind = ANY($3)
"""


class PostgresNewcomers:
    def __init__(self, work: Work, reports: Reports, places: PostgresPlaces) -> None:
        self._work = work
        self._reports = reports
        self._places = places
        self._known = False

    def told(self, need_ids: Collection[NeedId]) -> Sequence[WaitingNeed]:
        learned = self._reports.learned()
        newcomers = []
        for need, tier, now in self._reports.only_reported(need_ids):
            facts, arrival_code = learned[need.case_id]
            newcomers.append(WaitingNeed(need, facts, Priority(tier, now, need.need_id), arrival_code))
        return newcomers

    async def glance(
        self, newcomers: Sequence[WaitingNeed], asking: Mapping[UUID, CaseId], from_date: date, until: date
    ) -> Book | None:
        told = [
            (case_id, facts.revision, facts.one_place_revision, arrival_code, facts.confidential)
            for case_id, (facts, arrival_code) in self._reports.learned().items()
        ]
        need_ids = [each.need.need_id for each in newcomers]
        kinds = list({each.need.kind for each in newcomers})
        households = map(list, zip(*told, strict=True))
        pairs = list(asking), list(asking.values())
        found = await self._work.peek(_GLANCE, from_date, until, kinds, *households, need_ids, *pairs)
        if not found or not found[0]["fresh"]:
            return None
        self._known = found[0]["known"]
        return self._places.seen([rows.place(row) for row in found])

    def refer(self) -> None:
        self._reports.flush_referred(known=self._known)

    def take(self, taken: Sequence[Taken]) -> None:
        self._places.take_at_once(taken)
