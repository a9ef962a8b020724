"""How many places are held and taken now, counted for the metrics at intervals."""

from __future__ import annotations

import asyncio

import asyncpg

from services.chassis import logs
from services.chassis.clock import Clock
from services.chassis.database import LOST, Database
from services.chassis.metrics import Metrics
from services.matching.domain.calendar import Calendar

_log = logs.logger("gauges")

EVERY_S = 10.0
# Without confidential places: one more place held there is one household that hides tonight.
_COUNT = """
SELECT (SELECT count(*) FROM hold JOIN offer USING (offer_id) WHERE NOT confidential) AS holds,
       (SELECT count(*) FROM occupancy JOIN offer USING (offer_id)
        WHERE NOT confidential AND NOT ended AND from_date <= $1 AND (until_date IS NULL OR until_date > $1)) AS occupied
"""


class Gauges:
    """A part of the process that only looks; a database that is away for a while is looked at later."""

    name = "gauges"

    def __init__(self, database: Database, clock: Clock, calendar: Calendar, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._calendar = calendar
        self._metrics = metrics

    async def start(self) -> None:
        await self.count()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.count()
            except (*LOST, asyncpg.PostgresError) as error:
                _log.warning("gauges-lost-database", error)

    async def count(self) -> None:
        async with self._database.lend() as connection:
            row = await connection.fetchrow(_COUNT, self._calendar.today(self._clock.now()))
        if row is not None:
            self._metrics.holds_open.set(row["holds"])
            self._metrics.occupancies_open.set(row["occupied"])

    async def drain(self) -> None:
        """There is nothing to finish: `watch` is cancelled by who runs it."""
