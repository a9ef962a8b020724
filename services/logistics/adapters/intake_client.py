"""Intake, asked for the one thing logistics may know of a hand-off, and only for its carrier."""

from __future__ import annotations

from aid.intake.v1 import intake_pb2

from services.chassis import errors
from services.chassis.rpc_client import RpcClient
from services.logistics.domain.ids import AllocationId

SERVICE = "aid.intake.v1.IntakeService"
LONGEST_S = 3.0


class IntakeHandoffs:
    """The answer goes to the carrier and is kept nowhere. Without an intake all else is served."""

    def __init__(self, client: RpcClient | None) -> None:
        self._client = client

    async def of(self, allocation_id: AllocationId, patience_s: float) -> tuple[str, str]:
        if self._client is None:
            raise errors.unavailable("intake-unknown", "This service was not told where intake is.")
        answer = await self._client.call(
            "GetHandoff",
            intake_pb2.GetHandoffRequest(allocation_id=str(allocation_id)),
            intake_pb2.GetHandoffResponse,
            timeout=min(LONGEST_S, patience_s),
        )
        return answer.point, answer.slot
