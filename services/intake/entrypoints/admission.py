"""Cases that are opened at one time are written in one transaction: most of what a case costs is its commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from aid.intake.v1 import intake_pb2 as intake

from services.chassis import discretion, idempotency
from services.chassis.call import Call
from services.chassis.database import passing
from services.chassis.idempotency import Command
from services.intake.application.open_case import OpenCase, look_ahead, open_case
from services.intake.application.ports import IntakeWork
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.door import Door

MOST_TOGETHER = 100
# While several come at a time: the door takes calls up one after the other, and a fuller transaction costs each
# of them less. Whoever comes alone does not wait.
WINDOW_S = 0.002
# After as many cases the process does what else there is to do.
TURN = 8

Answer = intake.OpenCaseResponse | None
"""None: not in this transaction, for whatever reason; it is to be opened by itself, which tells the reason."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One case to be opened, as it is remembered by the key of its call; `mark` is the call's."""

    request: intake.OpenCaseRequest
    call: Call
    command: OpenCase
    remembered: Command
    mark: discretion.Mark = field(default_factory=discretion.current)


@dataclass(slots=True)
class _Lane:
    """Those of one scope: their rows are seen by no transaction of another one."""

    waiting: list[tuple[Opening, asyncio.Future[Answer]]] = field(default_factory=list)
    serving: asyncio.Task[None] | None = None


class Admission:
    """One transaction in flight for each scope; whoever comes meanwhile goes into the next."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._lanes: dict[str, _Lane] = {}

    async def open(self, opening: Opening) -> intake.OpenCaseResponse:
        """Answered when it is committed. One that cannot go with the others holds up none of them."""
        scope = self._door.scope(opening.call)
        lane = self._lanes.setdefault(scope, _Lane())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        lane.waiting.append((opening, answer))
        if lane.serving is None:
            lane.serving = asyncio.create_task(self._serve(scope, lane), name="admission")
        return await answer or await self._alone(opening)

    async def open_all(self, openings: Sequence[Opening]) -> list[Answer]:
        """Together, all of one caller. Raises what says nothing about any one of them: the database is away."""

        async def act(work: IntakeWork) -> list[Answer]:
            commands = [each.remembered for each in openings]
            known = await idempotency.known(work, commands) if len(commands) > 1 else frozenset()
            await look_ahead(work, [each.command for each in openings])
            answers: list[Answer] = []
            for each in openings:
                answers.append(None if each.remembered.which in known else await _opened(work, each))
                if len(answers) % TURN == 0:
                    await asyncio.sleep(0)
            work.in_step()
            return answers

        try:
            return await self._door.within(openings[0].call).run(act, attempts=3)
        except Exception as error:
            if passing(error):
                raise
            # One case that cannot be written must not hold up the others.
            return [None] * len(openings)

    async def _alone(self, opening: Opening) -> intake.OpenCaseResponse:
        async def act(work: IntakeWork) -> intake.OpenCaseResponse:
            return await _answer(work, opening.command)

        return await self._door.once(opening.request, opening.call, intake.OpenCaseResponse, act)

    async def _serve(self, scope: str, lane: _Lane) -> None:
        several = False
        while lane.waiting:
            if several:
                await asyncio.sleep(WINDOW_S)
            together, lane.waiting = lane.waiting[:MOST_TOGETHER], lane.waiting[MOST_TOGETHER:]
            # Whoever does not wait any more has nothing written on their account.
            together = [(opening, answer) for opening, answer in together if not answer.done()]
            several = len(together) > 1
            if together:
                await self._settle(together)
        del self._lanes[scope]

    async def _settle(self, together: Sequence[tuple[Opening, asyncio.Future[Answer]]]) -> None:
        waiting = [answer for _, answer in together]
        try:
            answers = await self.open_all([opening for opening, _ in together])
        except Exception as error:  # noqa: BLE001 - told to each who waits
            for each in waiting:
                if not each.done():
                    each.set_exception(error)
            return
        for each, answer in zip(waiting, answers, strict=True):
            if not each.done():
                each.set_result(answer)


async def _opened(work: IntakeWork, opening: Opening) -> Answer:
    """None for what is refused, of which nothing is written."""
    discretion.resume(opening.mark)
    work.cause = opening.call
    try:
        answer = await _answer(work, opening.command)
    except Refusal:
        return None
    idempotency.remember(work, opening.remembered, answer.SerializeToString(deterministic=True))
    return answer


async def _answer(work: IntakeWork, command: OpenCase) -> intake.OpenCaseResponse:
    opened = await open_case(work, command)
    return intake.OpenCaseResponse(
        case_id=str(opened.case_id), need_ids=[str(need_id) for need_id in opened.need_ids]
    )
