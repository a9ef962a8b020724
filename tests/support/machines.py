"""State machines on a real PostgreSQL: one database and one loop for all examples, empty at each start."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from services.chassis.database import Connection, Database
from tests.support.messaging import prepared
from tests.support.stack import RunningStack

T = TypeVar("T")

_EMPTY = """
TRUNCATE stream, outbox, consumer_position, inbox, waiting, parked, timer, idempotency, said, heard
RESTART IDENTITY;
UPDATE lineage SET epoch = 1;
"""


class CrashError(BaseException):
    """The process is gone: nothing after this line happens, nothing catches it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a machine stands on."""

    runner: asyncio.Runner
    database: Database
    owner: Connection

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(act)


class OnDatabase(RuleBasedStateMachine):
    """A machine whose every example starts with empty tables."""

    ground: ClassVar[Ground]

    def __init__(self) -> None:
        super().__init__()
        self.database = self.ground.database
        self.run(self.ground.owner.execute(_EMPTY))

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        return self.ground.run(act)


@contextmanager
def ground(stack: RunningStack) -> Iterator[Ground]:
    with asyncio.Runner() as runner:
        resources = AsyncExitStack()

        async def open_() -> Ground:
            prepared_settings = await prepared(stack)
            database = await resources.enter_async_context(Database.connect(prepared_settings))
            owner = await asyncpg.connect(
                prepared_settings.owner_dsn, password=prepared_settings.owner_password()
            )
            resources.push_async_callback(owner.close)
            return Ground(runner, database, owner)

        opened = runner.run(open_())
        try:
            yield opened
        finally:
            runner.run(resources.aclose())


def explore(stack: RunningStack, machine: type[OnDatabase], examples: int = 40, steps: int = 30) -> None:
    """Run the machine; a failure shows the shortest sequence of steps that leads to it."""
    with ground(stack) as here:
        grounded = type(machine.__name__, (machine,), {"ground": here})
        run_state_machine_as_test(
            grounded,
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
