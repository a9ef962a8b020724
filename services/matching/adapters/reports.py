"""What intake said of households and needs, written together: three statements for a batch of any size."""

from __future__ import annotations

from datetime import datetime

from services.chassis.work import Work
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId
from services.matching.domain.needs import Need, Tier

# Older facts are ignored. Equal ones may still bring the arrival code, which a case is opened without.
_LEARN = """
INSERT INTO household (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets,
                       unsheltered, confidential, area, arrival_code)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::text[],
                     $7::boolean[], $8::boolean[], $9::boolean[], $10::boolean[], $11::text[], $12::text[])
ON CONFLICT (case_id) DO UPDATE
SET revision = EXCLUDED.revision, adults = EXCLUDED.adults, children = EXCLUDED.children,
    infants = EXCLUDED.infants, newborn_week = EXCLUDED.newborn_week, wheelchair = EXCLUDED.wheelchair,
    pets = EXCLUDED.pets, unsheltered = EXCLUDED.unsheltered, confidential = EXCLUDED.confidential,
    area = EXCLUDED.area,
    arrival_code = COALESCE(NULLIF(EXCLUDED.arrival_code, ''), household.arrival_code)
WHERE NOT household.closed
  AND (household.revision < EXCLUDED.revision
       OR household.revision = EXCLUDED.revision
          AND EXCLUDED.arrival_code NOT IN ('', household.arrival_code))
"""
# A need that is known already stays as it is.
_REPORT = """
INSERT INTO need (need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, state, tier,
                  waiting_since)
SELECT need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, 'waiting', tier, waiting_since
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::date[],
            $8::integer[], $9::smallint[], $10::timestamptz[])
    AS told (need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, tier, waiting_since)
ON CONFLICT (need_id) DO NOTHING
"""
_CLOSE = """
UPDATE need SET state = 'closed'
FROM unnest($1::uuid[], $2::uuid[]) AS gone (case_id, need_id)
WHERE need.case_id = gone.case_id AND (gone.need_id IS NULL OR need.need_id = gone.need_id)
  AND need.state <> 'closed'
"""


class Reports:
    """Facts, needs and their ends, in that order: within a work no need is reported after its end.

    `flush` is called before anything else is asked of the database, so a work sees what it was told.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._learned: dict[CaseId, tuple[Facts, str]] = {}
        self._reported: dict[NeedId, tuple[Need, Tier, datetime]] = {}
        self._closed: list[tuple[CaseId, NeedId | None]] = []

    def learn(self, case_id: CaseId, facts: Facts, arrival_code: str) -> None:
        known, code = self._learned.get(case_id, (facts, ""))
        newest = known if known.revision > facts.revision else facts
        self._learned[case_id] = (newest, arrival_code or code)

    def report(self, need: Need, tier: Tier, now: datetime) -> None:
        self._reported.setdefault(need.need_id, (need, tier, now))

    def close(self, case_id: CaseId, need_id: NeedId | None) -> None:
        """That need, or with None every need of the case."""
        self._closed.append((case_id, need_id))

    def flush(self) -> None:
        if self._learned:
            learned = [_household(case_id, *told) for case_id, told in self._learned.items()]
            self._learned = {}
            self._work.write(_LEARN, *map(list, zip(*learned, strict=True)))
        if self._reported:
            reported = [_need(*told) for told in self._reported.values()]
            self._reported = {}
            self._work.write(_REPORT, *map(list, zip(*reported, strict=True)))
        if self._closed:
            closed, self._closed = self._closed, []
            self._work.write(_CLOSE, *map(list, zip(*closed, strict=True)))


def _household(case_id: CaseId, facts: Facts, arrival_code: str) -> tuple[object, ...]:
    return (
        case_id, facts.revision, facts.adults, facts.children, facts.infants, facts.newborn_week,
        facts.wheelchair, facts.pets, facts.unsheltered, facts.confidential, facts.area, arrival_code,
    )  # fmt: skip


def _need(need: Need, tier: Tier, now: datetime) -> tuple[object, ...]:
    return (
        need.need_id, need.case_id, need.kind, need.urgency, need.item_id, need.quantity, need.from_date,
        need.nights, int(tier), now,
    )  # fmt: skip
