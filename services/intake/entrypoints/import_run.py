"""The steps of an import: offers, then households with their places, then what became of their needs."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from aid.matching.v1 import matching_pb2 as matching

from services.intake.domain.hmis_import import Household
from services.intake.entrypoints.import_account import Account
from services.intake.entrypoints.import_doors import Doors
from services.intake.entrypoints.import_outcomes import Outcomes
from services.intake.entrypoints.import_parcels import Parcels

OFFERS_AT_ONCE = 200
HOUSEHOLDS_AT_ONCE = 200
# The next batch is made and sent while intake writes this one.
UNDER_WAY = 3
LOOK_EVERY_S, LOOK_AT_LEAST_EVERY_S = 0.5, 8.0

T = TypeVar("T")
At = Callable[[str, int, int], None]


class Import:
    """`sent` counts the households that are wholly taken over, in the order of sending: on a loss of the
    connection all up to there is committed, and what comes after may be sent again."""

    def __init__(self, parcels: Parcels, doors: Doors, account: Account, at: At) -> None:
        self._parcels = parcels
        self._doors = doors
        self._account = account
        self._at = at
        self.of = parcels.reading.report.households_accepted
        self.sent = 0

    async def run(self, resume_from: int) -> None:
        """All of it; from household `resume_from` on in the order of sending, counted from 1.

        Only a run over the whole of an export can tell which places of an earlier one it does not tell of.
        """
        await self._offers()
        self.sent = min(resume_from - 1, self.of)
        households = islice(self._parcels.households(), self.sent, None)
        under_way: deque[asyncio.Task[int]] = deque()
        try:
            for some in batches(households, HOUSEHOLDS_AT_ONCE):
                under_way.append(asyncio.create_task(self._take_over(some)))
                if len(under_way) == UNDER_WAY:
                    await self._landed(under_way.popleft())
            while under_way:
                await self._landed(under_way.popleft())
            if resume_from == 1:
                parcels = self._parcels
                self._account.ended += await self._doors.end_untold_occupancies(
                    parcels.source_id, parcels.as_of
                )
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _landed(self, task: asyncio.Task[int]) -> None:
        """In the order of sending: what landed before one that failed may be sent again."""
        self.sent += await task
        self._at("send households", self.sent, self.of)

    async def outcomes(self, wait_s: float) -> Outcomes:
        """What became of the needs: as soon as each has an answer, at the latest after `wait_s`."""
        until = asyncio.get_running_loop().time() + wait_s
        pause = LOOK_EVERY_S
        while True:
            found = await self._doors.outcomes(self._parcels.source_id)
            late = asyncio.get_running_loop().time() >= until
            if found.answered == found.total or late:
                self._at("look for places", found.total, found.total)
                return found
            self._at("look for places", found.answered, found.total)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_AT_LEAST_EVERY_S)

    async def _offers(self) -> None:
        offers = list(self._parcels.offers())
        sent = 0
        for some in batches(offers, OFFERS_AT_ONCE):
            answer = await self._doors.import_offers(self._parcels.source_id, self._parcels.as_of, some)
            for result in answer.results:
                self._account.took(
                    "offer", self._account.offers, result.outcome, result.reason, result.source_key
                )
            sent += len(some)
            self._at("send offers", sent, len(offers))

    async def _take_over(self, households: list[Household]) -> int:
        """A batch, with its places; returns how many households it has."""
        agencies = {each.source_key: each for each in map(self._parcels.agency, households)}
        answer = await self._doors.import_households(
            self._parcels.source_id,
            self._parcels.as_of,
            list(agencies.values()),
            [self._parcels.household(household) for household in households],
        )
        taken: list[matching.ImportedOccupancy] = []
        for household, result in zip(households, answer.results, strict=True):
            self._account.household(household, result)
            place = self._parcels.occupancy(household, result.case_id) if result.case_id else None
            if place is not None:
                taken.append(place)
        if taken:
            await self._occupancies(taken)
        return len(households)

    async def _occupancies(self, taken: list[matching.ImportedOccupancy]) -> None:
        answer = await self._doors.import_occupancies(self._parcels.source_id, self._parcels.as_of, taken)
        for result in answer.results:
            self._account.took(
                "place of", self._account.occupancies, result.outcome, result.reason, result.source_key
            )
        self._account.above_capacity = answer.above_capacity


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """The things in lists of that size; the last one may be shorter."""
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some
