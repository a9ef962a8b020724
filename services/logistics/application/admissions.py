"""Donors who come together are admitted together: one transaction in flight per line, however many knock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from services.logistics.application.admit_pledges import admit_pledges
from services.logistics.application.ports import Work, Works
from services.logistics.domain.ids import LineId
from services.logistics.domain.pledges import Admitted, Ask
from services.logistics.domain.refusal import Refusal

Answer = Admitted | Refusal
Waiting = tuple[Ask, asyncio.Future[Admitted]]


class Admissions:
    """Collects callers while their line's transaction is in flight and takes them all into the next one.

    Nobody waits for a window: a lone donor is admitted at once. Each is answered after the commit that holds
    their promise; one who was not answered (a killed process) asks again with the same key and loses nothing.
    """

    def __init__(self, works: Works, patience: timedelta, most: int = 256) -> None:
        self._works = works
        self._patience = patience
        self._most = most
        self._queues: dict[LineId, list[Waiting]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def pledge(self, ask: Ask) -> Admitted:
        """Raises Refusal when nothing is open on the line."""
        answer: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(ask.line_id)
        if queue is not None:
            queue.append((ask, answer))
        else:
            self._queues[ask.line_id] = [(ask, answer)]
            task = asyncio.create_task(self._drain(ask.line_id))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await answer

    async def _drain(self, line_id: LineId) -> None:
        """Until nobody waits at this line."""
        queue = self._queues[line_id]
        while queue:
            batch, queue[:] = queue[: self._most], queue[self._most :]
            await self._admit(line_id, batch)
        del self._queues[line_id]

    async def _admit(self, line_id: LineId, batch: Sequence[Waiting]) -> None:
        """One bad ask must not fail those beside it: a batch that fails is taken apart."""
        try:
            answers = await self._commit(line_id, [ask for ask, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is handed to the one who asked
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for waiting in batch:
                await self._admit(line_id, [waiting])
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            _settle(future, answer)

    async def _commit(self, line_id: LineId, asks: Sequence[Ask]) -> list[Answer]:
        async def act(work: Work) -> list[Answer]:
            return await admit_pledges(work, line_id, asks, self._patience)

        return await self._works.run(act)


def _settle(future: asyncio.Future[Admitted], answer: Admitted | Exception) -> None:
    """Answer the caller, if it is still there."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
