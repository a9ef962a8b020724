"""What logistics hears from matching, and what it does about it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from aid.matching.v1 import events_pb2 as heard

from services.chassis.apply import Handler, PermanentError
from services.chassis.envelope import Received
from services.chassis.metrics import Metrics
from services.logistics.application.allocate import reserve_allocation, withdraw_allocation
from services.logistics.application.ports import Work
from services.logistics.domain.allocations import Proposal
from services.logistics.domain.ids import AllocationId, Area, ItemId, Packs, Pieces


class Hearing:
    """Handlers of matching's events; each acts in the transaction of its offset."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def handlers(self) -> Mapping[str, Handler[Work]]:
        return {
            "aid.matching.v1.AllocationProposed": self.proposed,
            "aid.matching.v1.AllocationWithdrawn": self.withdrawn,
            "aid.matching.v1.AllocationSnapshot": self.snapshot,
            "aid.matching.v1.ShortfallChanged": self.shortfall,
        }

    async def proposed(self, event: Received, work: Work) -> None:
        await self._reserve(heard.AllocationProposed.FromString(event.payload), work)

    async def withdrawn(self, event: Received, work: Work) -> None:
        told = heard.AllocationWithdrawn.FromString(event.payload)
        await self._withdraw(told.allocation_id, work)

    async def snapshot(self, event: Received, work: Work) -> None:
        """The allocation as matching sees it now: whatever of it was missed is done now."""
        told = heard.AllocationSnapshot.FromString(event.payload)
        if told.withdrawn:
            await self._withdraw(told.proposal.allocation_id, work)
        else:
            await self._reserve(told.proposal, work)

    async def shortfall(self, event: Received, work: Work) -> None:
        """Remembered, and public with the next tick at the earliest."""
        told = heard.ShortfallChanged.FromString(event.payload)
        if told.packs < 0:
            raise PermanentError("packs-negative")
        work.lines.note_shortfall(Area(told.area), ItemId(told.item_id), Packs(told.packs))

    async def _reserve(self, told: heard.AllocationProposed, work: Work) -> None:
        proposal = Proposal(
            AllocationId(UUID(told.allocation_id)), ItemId(told.item_id), Pieces(told.quantity),
            Area(told.area), told.week, told.size,
        )  # fmt: skip
        outcome = await reserve_allocation(work, proposal)
        if outcome is not None:
            work.after_commit(self._metrics.allocations_total.labels(outcome).inc)

    async def _withdraw(self, allocation_id: str, work: Work) -> None:
        if await withdraw_allocation(work, AllocationId(UUID(allocation_id))):
            work.after_commit(self._metrics.allocations_total.labels("withdrawn").inc)
