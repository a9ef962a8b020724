"""What intake said of households and needs, written together: a few statements for a batch of any size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.chassis.work import Work
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId
from services.matching.domain.needs import Need, NeedState, Tier

_FACTS = (
    "revision", "adults", "children", "infants", "newborn_week", "wheelchair", "pets", "unsheltered",
    "confidential", "area", "avoid",
)  # fmt: skip
_NAMES = ("one_place", "one_place_revision")


def _newer(column: str, revision: str, told: str = "") -> str:
    """What the column becomes: as told, unless what stands has the higher revision."""
    told = told or f"EXCLUDED.{column}"
    stands = f"household.{column}"
    return f"{column} = CASE WHEN EXCLUDED.{revision} < household.{revision} THEN {stands} ELSE {told} END"


# Older facts are ignored. Equal ones may still bring the arrival code, which a case is opened without. The name of the
# household's one place has a revision of its own.
_LEARN = f"""
INSERT INTO household (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets,
                       unsheltered, confidential, area, arrival_code, avoid, one_place, one_place_revision)
SELECT case_id, revision, adults, children, infants, newborn_week, wheelchair, pets, unsheltered,
       confidential, area, arrival_code, string_to_array(avoid, ','), one_place, one_place_revision
FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::text[],
            $7::boolean[], $8::boolean[], $9::boolean[], $10::boolean[], $11::text[], $12::text[], $13::text[],
            $14::uuid[], $15::bigint[])
    AS told (case_id, revision, adults, children, infants, newborn_week, wheelchair, pets, unsheltered,
             confidential, area, arrival_code, avoid, one_place, one_place_revision)
ON CONFLICT (case_id) DO UPDATE
SET {", ".join(_newer(column, "revision") for column in _FACTS)},
    {_newer("arrival_code", "revision", "COALESCE(NULLIF(EXCLUDED.arrival_code, ''), household.arrival_code)")},
    {", ".join(_newer(column, "one_place_revision") for column in _NAMES)}
WHERE NOT household.closed
  AND (household.revision < EXCLUDED.revision
       OR household.revision = EXCLUDED.revision
          AND EXCLUDED.arrival_code NOT IN ('', household.arrival_code)
       OR household.one_place_revision < EXCLUDED.one_place_revision)
"""
# A need that is known already stays as it is.
_REPORT = """
INSERT INTO need (need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, size, latest_date,
                  constraints, state, tier, waiting_since)
SELECT need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, size, latest_date,
       string_to_array(constraints, ','), $14::text, tier, waiting_since
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::date[],
            $8::integer[], $9::text[], $10::date[], $11::text[], $12::smallint[], $13::timestamptz[])
    AS told (need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, size, latest_date,
             constraints, tier, waiting_since)
ON CONFLICT (need_id) DO NOTHING
"""
# What a stay's end made urgent goes on being a plan only in intake's word.
_URGENCY = "CASE WHEN need.hurried AND told.urgency = 'planned' THEN 'soon' ELSE told.urgency END"
# Why nothing was found for it before says nothing of what it is now, and whoever changed it asks again.
_CHANGE = f"""
UPDATE need
SET urgency = {_URGENCY}, item_id = told.item_id, quantity = told.quantity, from_date = told.from_date,
    nights = told.nights, size = told.size, latest_date = told.latest_date,
    constraints = string_to_array(told.constraints, ','), reason = NULL, would_change = NULL, rests_until = NULL
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::date[],
            $8::integer[], $9::text[], $10::date[], $11::text[])
    AS told (need_id, case_id, kind, urgency, item_id, quantity, from_date, nights, size, latest_date,
             constraints)
WHERE need.need_id = told.need_id AND need.case_id = told.case_id AND need.kind = told.kind
  AND need.state <> 'closed'
  AND (need.urgency, need.item_id, need.quantity, need.from_date, need.nights, need.size, need.latest_date,
       need.constraints)
      IS DISTINCT FROM ({_URGENCY}, told.item_id, told.quantity, told.from_date, told.nights, told.size,
                        told.latest_date, string_to_array(told.constraints, ','))
"""
_CLOSE = """
UPDATE need SET state = 'closed'
FROM unnest($1::uuid[], $2::uuid[]) AS gone (case_id, need_id)
WHERE need.case_id = gone.case_id AND (gone.need_id IS NULL OR need.need_id = gone.need_id)
  AND need.state <> 'closed'
"""


class Reports:
    """Facts, needs, their changes and their ends, in that order: within a work no need is reported after its end.

    `flush` is called before anything else is asked of the database, so a work sees what it was told.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._learned: dict[CaseId, tuple[Facts, str]] = {}
        self._reported: dict[NeedId, tuple[Need, Tier, datetime]] = {}
        self._changed: dict[NeedId, Need] = {}
        self._closed: list[tuple[CaseId, NeedId | None]] = []

    def learn(self, case_id: CaseId, facts: Facts, arrival_code: str) -> None:
        before = self._learned.get(case_id)
        if before is not None:
            facts, arrival_code = _newest(before[0], facts), arrival_code or before[1]
        self._learned[case_id] = facts, arrival_code

    def report(self, need: Need, tier: Tier, now: datetime) -> None:
        self._reported.setdefault(need.need_id, (need, tier, now))

    def change(self, need: Need) -> None:
        """The last word on a need holds, also on one that is reported in the same work."""
        self._changed[need.need_id] = need

    def close(self, case_id: CaseId, need_id: NeedId | None) -> None:
        """That need, or with None every need of the case."""
        self._closed.append((case_id, need_id))

    def only_reported(self, need_ids: Collection[NeedId]) -> Sequence[tuple[Need, Tier, datetime]]:
        """Those needs, when nothing was said of any need but that it is there, and nothing of it is written yet."""
        if self._changed or self._closed or self._reported.keys() != set(need_ids):
            return []
        return list(self._reported.values())

    def learned(self) -> Mapping[CaseId, tuple[Facts, str]]:
        """Facts and arrival code of the households that were spoken of, as far as it is not written yet."""
        return self._learned

    def flush_referred(self, *, known: bool) -> None:
        """Write needs that are proposed a place at once, none of which may be there; `known`: of their households
        the same stands there already."""
        if known:
            self._learned = {}
        self._flush_learned()
        self._flush_reported(NeedState.REFERRED)

    def flush(self) -> None:
        self._flush_learned()
        self._flush_reported(NeedState.WAITING)
        if self._changed:
            changed = [_said(need) for need in self._changed.values()]
            self._changed = {}
            self._work.write(_CHANGE, *map(list, zip(*changed, strict=True)))
        if self._closed:
            closed, self._closed = self._closed, []
            self._work.write(_CLOSE, *map(list, zip(*closed, strict=True)))

    def _flush_learned(self) -> None:
        if self._learned:
            learned = [_household(case_id, *told) for case_id, told in self._learned.items()]
            self._learned = {}
            self._work.write(_LEARN, *map(list, zip(*learned, strict=True)))

    def _flush_reported(self, state: NeedState) -> None:
        if self._reported:
            reported = [_need(*told) for told in self._reported.values()]
            self._reported = {}
            new = len(reported) if state is NeedState.REFERRED else None
            self._work.write(_REPORT, *map(list, zip(*reported, strict=True)), state, expect=new)


def _newest(before: Facts, facts: Facts) -> Facts:
    """Of both the facts, and the name of the one place, that have the higher revision."""
    newest = before if before.revision > facts.revision else facts
    named = facts if facts.one_place_revision > before.one_place_revision else before
    if newest.one_place_revision == named.one_place_revision:
        return newest
    return replace(newest, one_place=named.one_place, one_place_revision=named.one_place_revision)


def _household(case_id: CaseId, facts: Facts, arrival_code: str) -> tuple[object, ...]:
    return (
        case_id, facts.revision, facts.adults, facts.children, facts.infants, facts.newborn_week,
        facts.wheelchair, facts.pets, facts.unsheltered, facts.confidential, facts.area, arrival_code,
        ",".join(sorted(facts.avoid)), facts.one_place, facts.one_place_revision,
    )  # fmt: skip


def _need(need: Need, tier: Tier, now: datetime) -> tuple[object, ...]:
    return *_said(need), int(tier), now


def _said(need: Need) -> tuple[object, ...]:
    return (
        need.need_id, need.case_id, need.kind, need.urgency, need.item_id, need.quantity, need.from_date,
        need.nights, need.size, need.latest_date, ",".join(need.constraints),
    )  # fmt: skip
