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
    SAID_WITHIN,
    Cell,
    Counts,
    Indicator,
    Period,
    days_band,
    destination_class,
    in_areas,
    nights_band,
)

# Every case that is counted, and the household that it is with: cases that were merged are one. Its area is that of
# the case that goes on, unless nobody is left there. Its work began with the first of them, and is over with the last.
_COUNTED = """
WITH file AS (
    SELECT case_file.case_id, coalesce(case_merge.case_id, case_file.case_id) AS whole, area, confidential, erased_at,
           (opened_at AT TIME ZONE $3)::date AS opened_on, (closed_at AT TIME ZONE $3)::date AS closed_on
    FROM case_file JOIN household USING (household_id)
    LEFT JOIN case_merge ON merged_case_id = case_file.case_id AND undone_at IS NULL
), counted AS (
    SELECT * FROM (
        SELECT case_id, whole, erased_at,
               bool_or(confidential) OVER household AS hides,
               first_value(area) OVER (household ORDER BY erased_at IS NOT NULL, case_id <> whole, case_id) AS area,
               min(opened_on) OVER household AS opened_on,
               CASE WHEN bool_and(closed_on IS NOT NULL) OVER household THEN max(closed_on) OVER household END AS closed_on
        FROM file WINDOW household AS (PARTITION BY whole)
    ) AS known WHERE NOT hides AND erased_at IS NULL
)
"""
# Where households went: by an export; into a home of their own, as a worker recorded it since the case was opened;
# and what was first said within a week of a stay's end or of the case's, unless they live in another place by then.
# Any other word of where a household lives is no outcome: it is asked at every meeting.
_GONE = f"""{_COUNTED}, lived AS (
    SELECT whole, from_date, last_night, ended_on FROM stay JOIN counted USING (case_id)
), said AS (
    SELECT whole, opened_on, on_date, code, recorded_at FROM living_situation JOIN counted USING (case_id)
), over AS (
    SELECT whole, ended_on AS day FROM lived WHERE ended_on IS NOT NULL
    UNION SELECT whole, closed_on FROM counted WHERE closed_on IS NOT NULL
), said_then AS (
    SELECT DISTINCT ON (whole, day) whole, on_date, code
    FROM over JOIN said USING (whole) WHERE on_date BETWEEN day AND day + {SAID_WITHIN.days}
    ORDER BY whole, day, on_date, recorded_at DESC
), gone AS (
    SELECT whole, exited_on AS day, destination AS code FROM outcome JOIN counted USING (case_id)
    UNION ALL SELECT whole, on_date, code FROM said WHERE code / 100 = 4 AND on_date > opened_on
    UNION ALL SELECT whole, on_date, code FROM said_then WHERE NOT EXISTS (
        SELECT FROM lived
        WHERE lived.whole = said_then.whole AND from_date <= on_date
          AND on_date < coalesce(ended_on, last_night + 1, 'infinity')
    )
)
"""
# The last of them within the period.
_OUTCOMES = f"""{_GONE}
SELECT DISTINCT ON (whole) area, code FROM gone JOIN counted USING (whole)
WHERE day BETWEEN $1 AND $2
ORDER BY whole, day DESC, code DESC
"""
# Households that came to live in a home of their own within the period, and for how long they had none until then.
_DAYS_HOMELESS = f"""{_GONE}
SELECT area, min(day) - opened_on AS days FROM gone JOIN counted USING (whole)
WHERE code / 100 = 4
GROUP BY whole, area, opened_on HAVING min(day) BETWEEN $1 AND $2
"""
# Households met in the period that asked for a place, and when they first slept in one.
_FIRST_NIGHT = f"""{_COUNTED}
SELECT area, min(from_date) - opened_on AS nights
FROM counted LEFT JOIN stay ON stay.case_id = counted.case_id AND from_date >= opened_on
WHERE opened_on BETWEEN $1 AND $2
GROUP BY whole, area, opened_on
HAVING bool_or(EXISTS (SELECT FROM need WHERE need.case_id = counted.case_id AND kind = 'lodging'))
"""
# Who never had a place did not return to the street: they were met there.
_RETURNS = f"""{_GONE}, housed AS (
    SELECT whole, from_date AS day FROM lived
    UNION ALL SELECT whole, day FROM gone WHERE code / 100 IN (2, 3, 4)
)
SELECT DISTINCT whole, area FROM living_situation JOIN counted USING (case_id)
WHERE returned AND on_date BETWEEN $1 AND $2
  AND EXISTS (SELECT FROM housed WHERE housed.whole = counted.whole AND housed.day <= on_date)
"""
# A household is asked once for each of its cases: one answer will do.
_FOLLOW_UPS = f"""{_COUNTED}
SELECT area, split_part(about, ':', 2) AS days, bool_or(coalesce(outcome = 'reached', false)) AS reached
FROM task JOIN counted USING (case_id)
WHERE task.kind = 'follow-up' AND due_on BETWEEN $1 AND $2
GROUP BY whole, area, days
"""
_PUBLISH = "INSERT INTO report (period, published_at, cells) VALUES ($1, $2, $3)"
_PERIODS = "SELECT period FROM report ORDER BY period DESC"
_FIND = "SELECT published_at, cells FROM report WHERE period = $1"


class PostgresReports:
    def __init__(self, work: Work, zone: str) -> None:
        self._work = work
        self._zone = zone

    async def count(self, period: Period, areas: Sequence[str]) -> Mapping[Indicator, Counts]:
        within = (period.first_day, period.last_day, self._zone)
        outcomes = await self._rows(_OUTCOMES, *within)
        homeless = await self._rows(_DAYS_HOMELESS, *within)
        nights = await self._rows(_FIRST_NIGHT, *within)
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
