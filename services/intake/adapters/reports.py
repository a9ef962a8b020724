"""Counts for reports, over all agencies, and reports as they were published.

Households in hiding and those that were erased are in no count. An area of the region is the household's own as it
is now.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date

import asyncpg

from services.chassis.work import Work
from services.intake.application.reports_ports import Report
from services.intake.domain.reports import (
    Cell,
    Counts,
    Indicator,
    Period,
    days_band,
    destination_class,
    in_areas,
    nights_band,
)

_COUNTED = "NOT confidential AND erased_at IS NULL"
# Where each household was last known to have gone within the period: by an export, or as a worker recorded it.
_OUTCOMES = f"""
SELECT DISTINCT ON (household_id) area, code
FROM (SELECT case_id, exited_on AS day, destination AS code FROM outcome
      UNION ALL SELECT case_id, on_date, code FROM living_situation) AS gone
JOIN case_file USING (case_id) JOIN household USING (household_id)
WHERE {_COUNTED} AND day BETWEEN $1 AND $2
ORDER BY household_id, day DESC, code DESC
"""
# Households that came to live in a home of their own within the period, and for how long they had none until then.
_DAYS_HOMELESS = f"""
SELECT area, min(day) - min(opened_at AT TIME ZONE $3)::date AS days
FROM (SELECT case_id, exited_on AS day FROM outcome WHERE destination / 100 = 4
      UNION ALL SELECT case_id, on_date FROM living_situation WHERE code / 100 = 4) AS home
JOIN case_file USING (case_id) JOIN household USING (household_id)
WHERE {_COUNTED}
GROUP BY household_id, area HAVING min(day) BETWEEN $1 AND $2
"""
# Cases of the period that asked for a place, and when they first slept in one.
_FIRST_NIGHT = f"""
SELECT area, min(from_date) - (opened_at AT TIME ZONE $3)::date AS nights
FROM case_file JOIN household USING (household_id)
LEFT JOIN stay ON stay.case_id = case_file.case_id AND from_date >= (opened_at AT TIME ZONE $3)::date
WHERE {_COUNTED} AND (opened_at AT TIME ZONE $3)::date BETWEEN $1 AND $2
  AND EXISTS (SELECT FROM need WHERE need.case_id = case_file.case_id AND kind = 'lodging')
GROUP BY case_file.case_id, area
"""
_RETURNS = f"""
SELECT DISTINCT household_id, area
FROM living_situation JOIN case_file USING (case_id) JOIN household USING (household_id)
WHERE {_COUNTED} AND returned AND on_date BETWEEN $1 AND $2
"""
_FOLLOW_UPS = f"""
SELECT area, split_part(about, ':', 2) AS days, coalesce(outcome = 'reached', false) AS reached
FROM task JOIN case_file USING (case_id) JOIN household USING (household_id)
WHERE {_COUNTED} AND task.kind = 'follow-up' AND due_on BETWEEN $1 AND $2
"""
_PUBLISH = "INSERT INTO report (period, published_at, cells) VALUES ($1, $2, $3)"
_PERIODS = "SELECT period FROM report ORDER BY period DESC"
_FIND = "SELECT published_at, cells FROM report WHERE period = $1"


class PostgresReports:
    def __init__(self, work: Work, zone: str) -> None:
        self._work = work
        self._zone = zone

    async def count(self, period: Period, areas: Sequence[str]) -> Mapping[Indicator, Counts]:
        within = (period.first_day, period.last_day)
        outcomes = await self._rows(_OUTCOMES, *within)
        homeless = await self._rows(_DAYS_HOMELESS, *within, self._zone)
        nights = await self._rows(_FIRST_NIGHT, *within, self._zone)
        returns = await self._rows(_RETURNS, *within)
        asked = await self._rows(_FOLLOW_UPS, *within)
        found = {
            Indicator.OUTCOME: [(row["area"], destination_class(row["code"])) for row in outcomes],
            Indicator.DAYS_HOMELESS: [(row["area"], days_band(row["days"])) for row in homeless],
            Indicator.FIRST_NIGHT: [(row["area"], nights_band(row["nights"])) for row in nights],
            Indicator.RETURNS: [(row["area"], "returned to the street") for row in returns],
            Indicator.FOLLOW_UPS: [
                (row["area"], f"{row['days']} days {'reached' if row['reached'] else 'missed'}")
                for row in asked
            ],
        }
        return {indicator: _tally(rows, areas) for indicator, rows in found.items()}

    async def newest(self) -> Period | None:
        periods = await self.periods()
        return periods[0] if periods else None

    def publish(self, report: Report) -> None:
        cells = {
            indicator.value: [[cell.area, cell.category, cell.count] for cell in cells]
            for indicator, cells in report.cells.items()
        }
        self._work.write(_PUBLISH, report.period.name, report.published_at, json.dumps(cells))

    async def periods(self) -> Sequence[Period]:
        return [Period.parse(row["period"]) for row in await self._work.peek(_PERIODS)]

    async def find(self, period: Period) -> Report | None:
        rows = await self._work.peek(_FIND, period.name)
        if not rows:
            return None
        kept = json.loads(rows[0]["cells"])
        cells = {Indicator(name): [Cell(*each) for each in kept[name]] for name in kept}
        return Report(period, rows[0]["published_at"], cells)

    async def _rows(self, query: str, *arguments: date | str) -> list[asyncpg.Record]:
        return await self._work.peek(query, *arguments)


def _tally(rows: Sequence[tuple[str, str]], areas: Sequence[str]) -> Counts:
    counts: Counts = {}
    for area, category in rows:
        cell = (in_areas(area, areas), category)
        counts[cell] = counts.get(cell, 0) + 1
    return counts
