"""Commands that come at one time are written in one transaction: most of what one costs is its commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from google.protobuf.message import Message

from services.chassis import discretion, idempotency
from services.chassis.call import Call
from services.chassis.database import passing
from services.chassis.idempotency import Command
from services.intake.application.ports import IntakeWork
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.door import Door

MOST_TOGETHER = 100
# While several come at a time: the door takes calls up one after the other, and a fuller transaction costs each
# of them less. Whoever comes alone does not wait.
WINDOW_S = 0.002
# After as many commands the process does what else there is to do.
TURN = 8

R = TypeVar("R", bound=Message)
C = TypeVar("C")
A = TypeVar("A", bound=Message)


@dataclass(frozen=True, slots=True)
class Asked(Generic[R, C]):
    """One command, as it is remembered by the key of its call; `mark` is the call's."""

    request: R
    call: Call
    command: C
    remembered: Command
    mark: discretion.Mark = field(default_factory=discretion.current)


@dataclass(frozen=True, slots=True)
class Deed(Generic[C, A]):
    """What is done on commands of one kind: `look_ahead` reads in a few looks what all of them have to know, `act`
    does one of them. What it refuses, it refuses before it has promised any effect."""

    answer: type[A]
    look_ahead: Callable[[IntakeWork, Sequence[C]], Awaitable[None]]
    act: Callable[[IntakeWork, C], Awaitable[A]]


@dataclass(slots=True)
class _Lane(Generic[R, C, A]):
    """Those of one scope: their rows are seen by no transaction of another one."""

    waiting: list[tuple[Asked[R, C], asyncio.Future[A | None]]] = field(default_factory=list)
    serving: asyncio.Task[None] | None = None


class Admission(Generic[R, C, A]):
    """One transaction of a deed in flight for each scope; whoever comes meanwhile goes into the next."""

    def __init__(self, door: Door, deed: Deed[C, A]) -> None:
        self._door = door
        self._deed = deed
        self._lanes: dict[str, _Lane[R, C, A]] = {}

    async def admit(self, asked: Asked[R, C]) -> A:
        """Answered when it is committed. One that cannot go with the others holds up none of them."""
        scope = self._door.scope(asked.call)
        lane = self._lanes.get(scope)
        if lane is None:
            lane = self._lanes[scope] = _Lane()
        answer: asyncio.Future[A | None] = asyncio.get_running_loop().create_future()
        lane.waiting.append((asked, answer))
        if lane.serving is None:
            lane.serving = asyncio.create_task(self._serve(scope, lane), name="admission")
        return await answer or await self._alone(asked)

    async def admit_all(self, together: Sequence[Asked[R, C]]) -> list[A | None]:
        """Together, all of one scope. None: not in this transaction, for whatever reason; it is to be done by
        itself, which tells the reason. Raises what says nothing about any one of them: the database is away."""

        async def act(work: IntakeWork) -> list[A | None]:
            done = set(await _known(work, together))
            await self._deed.look_ahead(work, [each.command for each in together])
            answers: list[A | None] = []
            for each in together:
                answers.append(None if each.remembered.which in done else await self._done(work, each))
                done.add(each.remembered.which)
                if len(answers) % TURN == 0:
                    await asyncio.sleep(0)
            work.in_step()
            return answers

        try:
            return await self._door.within(together[0].call).run(act, attempts=3)
        except Exception as error:
            if passing(error):
                raise
            # One command that cannot be written must not hold up the others.
            return [None] * len(together)

    async def _done(self, work: IntakeWork, asked: Asked[R, C]) -> A | None:
        """None for what is refused, of which nothing is written."""
        discretion.resume(asked.mark)
        work.cause = asked.call
        try:
            answer = await self._deed.act(work, asked.command)
        except Refusal:
            return None
        idempotency.remember(work, asked.remembered, answer.SerializeToString(deterministic=True))
        return answer

    async def _alone(self, asked: Asked[R, C]) -> A:
        async def act(work: IntakeWork) -> A:
            return await self._deed.act(work, asked.command)

        return await self._door.once(asked.request, asked.call, self._deed.answer, act)

    async def _serve(self, scope: str, lane: _Lane[R, C, A]) -> None:
        several = False
        while lane.waiting:
            if several:
                await asyncio.sleep(WINDOW_S)
            together, lane.waiting = lane.waiting[:MOST_TOGETHER], lane.waiting[MOST_TOGETHER:]
            # Whoever does not wait any more has nothing written on their account.
            together = [(asked, answer) for asked, answer in together if not answer.done()]
            several = len(together) > 1
            if together:
                await self._settle(together)
        del self._lanes[scope]

    async def _settle(self, together: Sequence[tuple[Asked[R, C], asyncio.Future[A | None]]]) -> None:
        waiting = [answer for _, answer in together]
        try:
            answers = await self.admit_all([asked for asked, _ in together])
        except Exception as error:  # noqa: BLE001 - told to each who waits
            for each in waiting:
                if not each.done():
                    each.set_exception(error)
            return
        for each, answer in zip(waiting, answers, strict=True):
            if not each.done():
                each.set_result(answer)


async def _known(work: IntakeWork, together: Sequence[Asked[R, C]]) -> frozenset[tuple[str, str]]:
    """Which of these came before. One that comes alone finds out when it is written, at no cost to anybody."""
    if len(together) == 1:
        return frozenset()
    return await idempotency.known(work, [each.remembered for each in together])
