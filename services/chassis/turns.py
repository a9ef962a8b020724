"""Partitions share transactions: what waits while one runs goes into the next, all of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from services.chassis.apply import Applier, Batch
from services.chassis.envelope import Record
from services.chassis.inbox import Position
from services.chassis.work import Work

W = TypeVar("W", bound=Work)

# Records in one transaction, unless a single partition brings more.
BATCH = 500


class Turn:
    """One partition's batch, while it waits and while it is applied. `more(offset)`: what has come meanwhile."""

    def __init__(self, batch: Batch, more: Callable[[int], Awaitable[Sequence[Record]]]) -> None:
        self.begun = False
        self.moved: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._batch = batch
        self._more = more

    def __len__(self) -> int:
        return len(self._batch.records)

    async def begin(self) -> Batch:
        """The batch with all that has come for it: a larger one costs hardly more."""
        more = await self._more(self._batch.records[-1].offset + 1)
        self._batch = replace(self._batch, records=[*self._batch.records, *more])
        return self._batch

    def took_all(self, moved: Position) -> bool:
        """Whether nothing of the batch is left for another turn."""
        return moved.next_offset > self._batch.records[-1].offset

    def end(self, outcome: Position | BaseException) -> None:
        """Tell the partition, unless it has been taken away in the meantime."""
        if self.moved.done():
            return
        if isinstance(outcome, Position):
            self.moved.set_result(outcome)
        else:
            self.moved.set_exception(outcome)


class Turns(Generic[W]):
    """One transaction of a consumer at a time: partitions that wait for it cost half as much together.

    Nobody waits for a batch to fill: whoever comes while nothing runs goes at once.
    """

    def __init__(self, applier: Applier[W]) -> None:
        self._applier = applier
        self._waiting: list[Turn] = []
        self._task: asyncio.Task[None] | None = None

    async def take(self, turn: Turn) -> Position:
        """Wait for the turn and its end; raises what `Applier.batch` raises."""
        self._waiting.append(turn)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve(), name="turns")
        return await turn.moved

    async def _serve(self) -> None:
        while turns := self._next():
            try:
                outcomes = await self._applier.batches([await turn.begin() for turn in turns])
            except BaseException as error:
                for turn in turns:
                    turn.end(error)
                raise
            for turn, outcome in zip(turns, outcomes, strict=True):
                turn.end(outcome)

    def _next(self) -> list[Turn]:
        """Those that came first; who was stopped while it waited does not wait any more."""
        waiting = [turn for turn in self._waiting if not turn.moved.done()]
        many, records = 0, 0
        while many < len(waiting) and records < BATCH:
            records += len(waiting[many])
            many += 1
        self._waiting = waiting[many:]
        for turn in waiting[:many]:
            turn.begun = True
        return waiting[:many]
