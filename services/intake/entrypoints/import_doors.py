"""The doors that an import goes through, with patience for a service that restarts."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import TypeVar

from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching
from google.protobuf.message import Message

from services.chassis.errors import AidError, Kind
from services.chassis.rpc_client import RpcClient
from services.intake.entrypoints.import_outcomes import Outcomes

TIMEOUT_S = 60.0
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED, Kind.CONFLICT})

R = TypeVar("R", bound=Message)


class Doors:
    """Everything that is sent here may be sent again: an import is idempotent by its rows' keys."""

    def __init__(self, intake_client: RpcClient, matching_client: RpcClient, patience_s: float) -> None:
        self._intake = intake_client
        self._matching = matching_client
        self._patience_s = patience_s

    async def import_offers(
        self, source_id: str, as_of: str, offers: Sequence[matching.ImportedOffer]
    ) -> matching.ImportOffersResponse:
        request = matching.ImportOffersRequest(source_id=source_id, as_of=as_of, offers=offers)
        return await self._ask(self._matching, "ImportOffers", request, matching.ImportOffersResponse)

    async def import_occupancies(
        self, source_id: str, as_of: str, occupancies: Sequence[matching.ImportedOccupancy]
    ) -> matching.ImportOccupanciesResponse:
        request = matching.ImportOccupanciesRequest(source_id=source_id, as_of=as_of, occupancies=occupancies)
        return await self._ask(
            self._matching, "ImportOccupancies", request, matching.ImportOccupanciesResponse
        )

    async def end_untold_occupancies(self, source_id: str, as_of: str) -> int:
        """The whole export has been told: how many places that it does not tell of have ended."""
        request = matching.ImportOccupanciesRequest(source_id=source_id, as_of=as_of, complete=True)
        answer = await self._ask(
            self._matching, "ImportOccupancies", request, matching.ImportOccupanciesResponse
        )
        return answer.ended

    async def import_households(
        self,
        source_id: str,
        as_of: str,
        agencies: Sequence[intake.ImportedAgency],
        households: Sequence[intake.ImportedHousehold],
    ) -> intake.ImportHouseholdsResponse:
        request = intake.ImportHouseholdsRequest(
            source_id=source_id, as_of=as_of, agencies=agencies, households=households
        )
        return await self._ask(self._intake, "ImportHouseholds", request, intake.ImportHouseholdsResponse)

    async def outcomes(self, source_id: str) -> Outcomes:
        """Of every need that the imports of this source reported, counted page by page."""
        found, after = Outcomes(), ""
        while True:
            request = intake.GetImportOutcomesRequest(source_id=source_id, after=after)
            page = await self._ask(
                self._intake, "GetImportOutcomes", request, intake.GetImportOutcomesResponse
            )
            if not page.outcomes:
                return found
            found.count(page.outcomes)
            after = page.outcomes[-1].source_key

    async def _ask(self, client: RpcClient, method: str, request: Message, answer: type[R]) -> R:
        """Ask until there is an answer, the patience is over, or the service refuses."""
        key = str(uuid.uuid4())
        until = asyncio.get_running_loop().time() + self._patience_s
        pause = 0.1
        while True:
            try:
                return await client.call(method, request, answer, timeout=TIMEOUT_S, idempotency_key=key)
            except AidError as error:
                if error.kind not in _PASSING or asyncio.get_running_loop().time() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 2.0)
