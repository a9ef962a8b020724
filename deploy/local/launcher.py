"""The process that holds the stack: brings it up, keeps it up, takes it down. The stack lives as long."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass

from deploy.kafka.topics import read as read_topics
from deploy.local import clock, people, topics
from deploy.local.errors import CannotStartError, StackError
from deploy.local.identity import RENEWED_EVERY
from deploy.local.parts import PARTS, Plan, plan
from deploy.local.paths import State
from deploy.local.ports import HOST, Ports
from deploy.local.progress import Progress
from deploy.local.service import PROGRAMS
from deploy.local.supervisor import Notice, Supervisor, supervising
from deploy.local.users import Users


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked of `up`. `patience`: seconds until a part that is not ready has failed. `people`: whether the
    ready-made agencies and users are made known to intake.
    """

    wanted: tuple[str, ...] = PARTS
    stepped: bool = False
    patience: float = 90.0
    people: bool = True


async def launch(state: State, options: Options, progress: Progress) -> None:
    """Bring the stack up, and hold it until a signal comes or whoever waits for it goes away."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    progress.on_abandoned(stop.set)
    state.create()
    with _alone(state), contextlib.closing(Ports(state.folder / "ports.json")) as ports:
        stepped = clock.prepare(state, options.stepped)
        parts = plan(state, ports, options.wanted, stepped, progress.note)
        async with (
            _fresh_tokens(parts),
            supervising(state, progress.say, options.patience) as supervisor,
        ):
            if await _unless_stopped(stop, _bring_up(supervisor, parts, options, progress)):
                parts.record().write(state)
                progress.ready()
                await stop.wait()


@contextlib.contextmanager
def _alone(state: State) -> Iterator[None]:
    """Hold the state folder: one launcher at a time, told apart from a dead one by the kernel's own lock."""
    with state.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"a stack already runs in {state.folder}; `make status` shows it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _forget_the_last_run(state)
        try:
            yield
        finally:
            state.record.unlink(missing_ok=True)


def _forget_the_last_run(state: State) -> None:
    """A launcher that was killed could not tidy up."""
    for left in (state.record, *state.log.glob("*.pid"), *state.held.iterdir()):
        left.unlink(missing_ok=True)


async def _bring_up(supervisor: Supervisor, parts: Plan, options: Options, progress: Progress) -> None:
    """First what everything stands on, then the topics, then the services, then who works with them."""
    try:
        await supervisor.start(parts.infrastructure)
        if parts.broker is not None:
            made = await topics.create(parts.broker.bootstrap, read_topics())
            progress.say(Notice("topics", "ready", f"{len(made)} made" if made else ""))
        await supervisor.start(parts.services)
    except ExceptionGroup as failures:
        raise _most_telling(failures) from failures
    intake = next((service for service in parts.services if service.name == "intake"), None)
    if intake is not None and options.people:
        door = f"http://{HOST}:{intake.around.doors[intake.name].http}"
        known = await people.register(door, parts.issuer, Users.read(), parts.state.people)
        progress.say(Notice("people", "ready", known))


def _most_telling(failures: ExceptionGroup[Exception]) -> Exception:
    """Of several failures that came together, the one that names a part; they say the same otherwise."""
    named, _ = failures.split(CannotStartError)
    chosen: Exception = named or failures
    while isinstance(chosen, ExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do the work unless a stop is asked for first; whether it was done."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False


@contextlib.asynccontextmanager
async def _fresh_tokens(parts: Plan) -> AsyncIterator[None]:
    """Keep the services' own tokens from expiring, however long the stack runs."""
    names = tuple(program.name for program in PROGRAMS)

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEWED_EVERY.total_seconds())
            parts.issuer.publish(names)

    parts.issuer.publish(names)
    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
