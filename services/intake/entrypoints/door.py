"""What all services of intake share at their doors: who asks, and that a command happens once."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message

from services.chassis.call import Call
from services.chassis.idempotency import Command, once
from services.chassis.metrics import Metrics
from services.chassis.work import WorkFactory
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import scope_of
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import WorkerName

A = TypeVar("A", bound=Message)


class Door:
    """Runs commands once per key of their caller."""

    def __init__(self, works: WorkFactory[IntakeWork], fingerprints: bytes, metrics: Metrics) -> None:
        """`works` speak for nobody: `within` makes them the caller's. `fingerprints` is the secret behind the
        fingerprints of commands, which hold names."""
        self.works = works
        self._fingerprints = fingerprints
        self._metrics = metrics

    def within(self, call: Call) -> WorkFactory[IntakeWork]:
        """Works that see and write what this caller's may: their agency's rows, or for the region all."""
        return self.works.within(self.scope(call))

    def scope(self, call: Call) -> str:
        """For whom the works of this caller speak."""
        return scope_of(asker(call))

    def command(self, request: Message, call: Call) -> Command:
        """The command that this call is; refused when its key is missing or no key."""
        return Command.of(call, request, self._fingerprints)

    async def once(
        self,
        request: Message,
        call: Call,
        answer: type[A],
        act: Callable[[IntakeWork], Awaitable[A]],
    ) -> A:
        """What `act` answers, or answered when the same command came before; within the caller's scope."""

        async def acted(work: IntakeWork) -> bytes:
            work.cause = call
            return (await act(work)).SerializeToString(deterministic=True)

        return answer.FromString(
            await once(self.within(call), self.command(request, call), acted, self._metrics)
        )


def asker(call: Call) -> Asker:
    who = call.principal
    return Asker(WorkerName(who.subject), who.agency, who.roles)
