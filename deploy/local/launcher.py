"""The process that holds the stack: brings it up, keeps it up, takes it down; the stack lives exactly as long."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.kafka.topics import FILE as TOPICS
from deploy.kafka.topics import read as read_topics
from deploy.local import topics
from deploy.local.errors import CannotStart, StackError
from deploy.local.parts import Plan
from deploy.local.paths import State
from deploy.local.progress import Progress
from deploy.local.supervisor import Notice, Supervisor, supervising


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `up`."""

    infra_only: bool = False
    stepped: bool = False
    patience: float = 90.0


@contextlib.contextmanager
def alone(state: State) -> Iterator[None]:
    """Hold the state folder: one launcher at a time, told apart from a dead one by the kernel's own lock."""
    with state.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"a stack already runs in {state.folder}; `make status` shows it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            state.record.unlink(missing_ok=True)


async def launch(state: State, options: Options, progress: Progress) -> None:
    """Bring the stack up, and hold it until a signal comes or the one who waits for it goes away."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    state.create()
    with alone(state), Plan.for_state(state, options.infra_only, options.stepped, progress.note) as plan:
        async with supervising(state, progress.say, options.patience) as supervisor:
            progress.on_abandoned(stop.set)
            if await _unless_stopped(stop, _bring_up(supervisor, plan)):
                plan.record().write(state)
                progress.ready()
                await stop.wait()


async def _bring_up(supervisor: Supervisor, plan: Plan) -> None:
    try:
        await supervisor.start(plan.infrastructure)
        await make_topics(plan)
        if plan.services:
            await supervisor.start(plan.services)
    except ExceptionGroup as failures:
        raise _first(failures) from failures


async def make_topics(plan: Plan) -> None:
    """The declared topics, once Kafka is there."""
    if TOPICS.exists():
        made = await topics.create(plan.broker.bootstrap, read_topics())
        plan.say(Notice("topics", "ready", f"{len(made)} made" if made else "all there"))


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """The most telling of several failures that came together."""
    flat: list[Exception] = []
    for failure in failures.exceptions:
        flat.append(_first(failure) if isinstance(failure, ExceptionGroup) else failure)
    return next((failure for failure in flat if isinstance(failure, CannotStart)), flat[0])


async def _unless_stopped(stop: asyncio.Event, work: asyncio.Future[None] | object) -> bool:
    """Do the work unless a stop is asked for first; whether it was done."""
    doing = asyncio.ensure_future(work)  # type: ignore[arg-type,var-annotated]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False
