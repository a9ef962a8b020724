"""The full state of any key of matching's topics, for consumers that missed something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from aid.matching.v1 import events_pb2 as said
from asyncpg import Record
from google.protobuf.message import Message

from services.chassis.clock import Clock
from services.chassis.database import Connection
from services.chassis.envelope import Announcement
from services.matching.adapters import rows
from services.matching.adapters.wire import (
    ALLOCATIONS,
    REFERRALS,
    SHORTFALLS,
    Wire,
    occupancy_started,
    proposal,
    unmatched,
)
from services.matching.application.terms import Terms
from services.matching.domain import events
from services.matching.domain.ids import CaseId, NeedId

# Whatever has state has spoken, so the streams are the keys.
_KEYS = "SELECT key FROM stream WHERE topic = $1 ORDER BY key"
_REFERRALS = f"""
SELECT {rows.REFERRAL_COLUMNS}
FROM referral AS r
WHERE r.case_id = $1 ORDER BY r.proposed_at, r.referral_id
"""
_ALLOCATIONS = """
SELECT allocation_id, need_id, quantity FROM allocation
WHERE case_id = $1 AND state IN ('proposed', 'reserved', 'handed over') ORDER BY proposed_at, allocation_id
"""
_OCCUPANCIES = """
SELECT o.referral_id, r.need_id, o.from_date, o.until_date
FROM occupancy AS o LEFT JOIN referral AS r USING (referral_id)
WHERE o.case_id = $1 AND NOT o.ended ORDER BY o.from_date, o.occupancy_id
"""
_UNMATCHED = """
SELECT need_id, reason, would_change FROM need
WHERE case_id = $1 AND state = 'waiting' AND reason IS NOT NULL ORDER BY need_id
"""


class Snapshots:
    """One topic. Read under the lock of the key's stream, so no event can pass it."""

    topic: str

    def __init__(self, wire: Wire, clock: Clock, terms: Terms) -> None:
        self._wire = wire
        self._clock = clock
        self._terms = terms

    async def keys(self, connection: Connection) -> AsyncIterator[str]:
        for row in await connection.fetch(_KEYS, self.topic):
            yield row["key"]

    async def snapshot(self, connection: Connection, key: str) -> Announcement | None:
        state = await self._state(connection, key)
        return None if state is None else self._wire.stated(self.topic, key, state, self._clock.now())

    async def _state(self, connection: Connection, key: str) -> Message | None:
        raise NotImplementedError


class ReferralSnapshots(Snapshots):
    topic = REFERRALS

    async def _state(self, connection: Connection, key: str) -> Message | None:
        case_id = CaseId(UUID(key))
        return said.ReferralsSnapshot(
            case_id=key,
            referrals=await self._referrals(connection, case_id),
            allocations=[
                said.NeedAllocated(
                    case_id=key,
                    need_id=str(row["need_id"]),
                    allocation_id=str(row["allocation_id"]),
                    quantity=row["quantity"],
                )
                for row in await connection.fetch(_ALLOCATIONS, case_id)
            ],
            unmatched=[
                unmatched(events.NeedUnmatched(case_id, NeedId(row["need_id"]), found))
                for row in await connection.fetch(_UNMATCHED, case_id)
                if (found := rows.unmatched(row))
            ],
            occupancies=[
                occupancy_started(_occupancy(case_id, row))
                for row in await connection.fetch(_OCCUPANCIES, case_id)
            ],
        )

    async def _referrals(self, connection: Connection, case_id: CaseId) -> list[said.ReferralState]:
        states = []
        for row in await connection.fetch(_REFERRALS, case_id):
            referral = rows.referral(row)
            proposed = proposal(events.ReferralProposed(referral, self._terms.hub_contact))
            states.append(
                said.ReferralState(proposal=proposed, state=referral.state, occupied=referral.occupied)
            )
        return states


def _occupancy(case_id: CaseId, row: Record) -> events.OccupancyStarted:
    until = row["until_date"]
    return events.OccupancyStarted(
        case_id=case_id,
        referral_id=row["referral_id"],
        need_id=row["need_id"],
        from_date=row["from_date"],
        last_night=None if until is None else until - timedelta(days=1),
    )


class AllocationSnapshots(Snapshots):
    topic = ALLOCATIONS

    async def _state(self, connection: Connection, key: str) -> Message | None:
        row = await connection.fetchrow(
            "SELECT item_id, quantity, area, week, size, state = 'withdrawn' AND NOT untold AS withdrawn"
            " FROM allocation WHERE allocation_id = $1",
            UUID(key),
        )
        if row is None:
            return None
        asked = said.AllocationProposed(
            allocation_id=key,
            item_id=row["item_id"],
            quantity=row["quantity"],
            area=row["area"],
            week=row["week"],
            size=row["size"],
        )
        # What is taken back shows on the next round, like everything that shows at one moment.
        return said.AllocationSnapshot(proposal=asked, withdrawn=row["withdrawn"])


class ShortfallSnapshots(Snapshots):
    topic = SHORTFALLS

    async def _state(self, connection: Connection, key: str) -> Message | None:
        area, _, item_id = key.partition(":")
        row = await connection.fetchrow(
            "SELECT packs, revision FROM shortfall WHERE area = $1 AND item_id = $2", area, item_id
        )
        if row is None:
            return None
        return said.ShortfallChanged(area=area, item_id=item_id, **row)


def snapshots(wire: Wire, clock: Clock, terms: Terms) -> dict[str, Snapshots]:
    """By topic."""
    kinds = (ReferralSnapshots, AllocationSnapshots, ShortfallSnapshots)
    return {kind.topic: kind(wire, clock, terms) for kind in kinds}
