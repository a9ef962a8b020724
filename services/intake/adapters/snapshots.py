"""Cases as they are now, for `reseed`: fills gaps, seeds new consumers, begins an epoch."""

from collections.abc import AsyncIterator
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.database import Connection
from services.chassis.envelope import Announcement
from services.chassis.topics import Topic
from services.intake.adapters import places
from services.intake.adapters.facts import ONE_PLACE, facts_in
from services.intake.adapters.needs import need_in
from services.intake.adapters.wire import announcement
from services.intake.domain.events import CaseSnapshot
from services.intake.domain.ids import ArrivalCode, CaseId

_KEYS = "SELECT case_id FROM case_file WHERE case_id > $1 ORDER BY case_id LIMIT 1000"
_CASE = f"""
SELECT closed_at IS NOT NULL AS closed, arrival_code, adults, children, infants, newborn_space_from_week,
       wheelchair, pets, unsheltered, confidential, area, revision, avoid, {ONE_PLACE}
FROM case_file JOIN household USING (household_id) WHERE case_id = $1
"""
_OPEN_NEEDS = """
SELECT need_id, kind, item_id, quantity, from_date, nights, urgency, size, latest_date, constraints, norm
FROM need
WHERE case_id = $1 AND withdrawn_at IS NULL AND met_at IS NULL ORDER BY ordinal
"""


class CaseSnapshots:
    def __init__(self, topic: Topic, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock

    async def keys(self, connection: Connection) -> AsyncIterator[str]:
        """Every case, open or closed, a page at a time; then place requests."""
        last = UUID(int=0)
        while rows := await connection.fetch(_KEYS, last):
            for row in rows:
                yield str(row["case_id"])
            last = rows[-1]["case_id"]
        for row in await connection.fetch(places.KEYS):
            yield str(row["request_id"])

    async def snapshot(self, connection: Connection, key: str) -> Announcement | None:
        """The case with that id, or None when there is none. The caller holds the lock of its stream."""
        case_id = CaseId(UUID(key))
        row = await connection.fetchrow(_CASE, case_id)
        if row is None:
            return await self._place_request(connection, case_id)
        needs = await connection.fetch(_OPEN_NEEDS, case_id)
        code = row["arrival_code"]
        event = CaseSnapshot(
            case_id=case_id,
            facts=facts_in(row),
            open_needs=tuple(need_in(need) for need in needs),
            arrival_code=None if code is None else ArrivalCode(code),
            closed=row["closed"],
        )
        return self._said(event)

    async def _place_request(self, connection: Connection, request_id: CaseId) -> Announcement | None:
        """Matching knows it as it knows a case."""
        row = await connection.fetchrow(places.SNAPSHOT, request_id)
        return None if row is None else self._said(places.place_snapshot(row))

    def _said(self, event: CaseSnapshot) -> Announcement:
        now = self._clock.now()
        return announcement(self._topic, event, occurred_at=now, recorded_at=now, cause=None)
