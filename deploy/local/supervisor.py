"""Start the parts of the stack, restart what dies or does nothing any more, stop all of it, and leave nothing behind.

Every process hangs on a tether (`tether.py`): it goes down with this process even when this one is killed
with -9. The kernel ties that tether to the *thread* that forks, so processes are only ever started from the
event loop's thread, which must be the main one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from deploy.local.errors import CannotStartError, MissingProgramError
from deploy.local.part import Launch, Part, tethered
from deploy.local.paths import State
from deploy.local.watchdog import given_up

PROBE_SECONDS = 0.05
FIRST_BACKOFF, LONGEST_BACKOFF, STEADY = 0.2, 10.0, 5.0
ATTEMPTS = 3
GRACE_SECONDS = 30.0

Change = Literal[
    "preparing",
    "starting",
    "ready",
    "skipped",
    "stuck",
    "died",
    "held",
    "stopping",
    "stopped",
    "killed",
    "failed",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened to a part, told to whoever watches."""

    part: str
    change: Change
    detail: str = ""
    seconds: float = 0.0


Say = Callable[[Notice], None]


class Keeper:
    """Keeps one part alive."""

    def __init__(self, part: Part, state: State, say: Say, patience: float) -> None:
        """`patience`: seconds until a part that is not ready counts as one that cannot start."""
        self.part, self._state, self._say, self._patience = part, state, say, patience
        self.log = state.log / f"{part.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._launch: Launch | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Prepare, start, wait until ready, settle; from then on restart it whenever it dies."""
        began = time.monotonic()
        self._tell("preparing")
        try:
            self._launch = await asyncio.to_thread(self.part.prepare)
        except MissingProgramError as missing:
            self._tell("skipped", str(missing))
            return
        self._tell("starting")
        try:
            async with asyncio.timeout(self._patience):
                await self._come_up()
        except TimeoutError:
            reason = f"not ready after {self._patience:g} s"
            raise CannotStartError(self.part.name, reason, self.log) from None
        await self.part.settle()
        self._tell("ready", since=began)
        self._watch = asyncio.create_task(self._restart_whenever_dead(), name=f"keep {self.part.name}")

    async def _come_up(self) -> None:
        """A first exit may be a stale lock or a neighbour still dying; a third one is meant."""
        for attempt in range(1, ATTEMPTS + 1):
            process = await self._spawn()
            if await self._ready(process):
                return
            if attempt == ATTEMPTS:
                raise CannotStartError(self.part.name, _ending(process.returncode), self.log)
            await asyncio.sleep(FIRST_BACKOFF * 2**attempt)

    async def _ready(self, process: asyncio.subprocess.Process) -> bool:
        """True once it is ready, False once it has ended."""
        ended = asyncio.create_task(process.wait())
        try:
            while not await self.part.ready():
                done, _ = await asyncio.wait({ended}, timeout=PROBE_SECONDS)
                if done:
                    return False
            return process.returncode is None
        finally:
            ended.cancel()

    async def _spawn(self) -> asyncio.subprocess.Process:
        launch = self._launch
        if launch is None or threading.current_thread() is not threading.main_thread():
            raise RuntimeError("parts are started from the main thread, after they were prepared")
        with self.log.open("ab") as log:
            log.write(f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.part.name} starts\n".encode())
            log.flush()
            self._process = await asyncio.create_subprocess_exec(
                *tethered(launch.command, launch.user, launch.orphaned),
                env={**_inherited(), **launch.environment}, cwd=launch.folder,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._state.pid(self.part.name).write_text(str(self._process.pid))
        return self._process

    async def _restart_whenever_dead(self) -> None:
        backoff = FIRST_BACKOFF
        serving = True
        while self._process is not None:
            began = time.monotonic()
            await (self._end_of(self._process) if serving else self._process.wait())
            self._state.pid(self.part.name).unlink(missing_ok=True)
            if time.monotonic() - began > STEADY:
                backoff = FIRST_BACKOFF
            if not await self._held():
                ending = _ending(self._process.returncode)
                self._tell("died", f"{ending}; again in {backoff:g} s; log: {self.log}")
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF)
            began = time.monotonic()
            try:
                serving = await self._ready(await self._spawn())
            except OSError as error:  # no memory or no disk for a moment is no reason to leave it down
                serving = False
                self._tell("failed", f"cannot be started: {error}; log: {self.log}")
            if serving:
                self._tell("ready", "again", since=began)

    async def _end_of(self, process: asyncio.subprocess.Process) -> None:
        """Wait until it ends; one that runs and does nothing is ended."""
        ended, idle = asyncio.create_task(process.wait()), asyncio.create_task(given_up(self.part))
        try:
            await asyncio.wait({ended, idle}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._tell("stuck", f"{idle.result()}; killed, to be started again; log: {self.log}")
                process.kill()
            await ended
        finally:
            ended.cancel()
            idle.cancel()

    async def _held(self) -> bool:
        """Wait as long as somebody wants the part stopped; whether somebody did."""
        hold = self._state.held / self.part.name
        if not hold.exists():
            return False
        self._tell("held", "until it is resumed")
        while hold.exists():  # noqa: ASYNC110 -- another process removes it
            await asyncio.sleep(PROBE_SECONDS)
        return True

    async def stop(self) -> None:
        """Ask it to stop, wait, and kill it when it does not."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        process, launch = self._process, self._launch
        if process is None or launch is None:
            return
        began = time.monotonic()
        self._tell("stopping")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(launch.stop)
        change = await self._end(process)
        self._state.pid(self.part.name).unlink(missing_ok=True)
        self._tell(change, since=began)

    @staticmethod
    async def _end(process: asyncio.subprocess.Process) -> Change:
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return "killed"
        return "stopped"

    def _tell(self, change: Change, detail: str = "", since: float | None = None) -> None:
        seconds = 0.0 if since is None else time.monotonic() - since
        self._say(Notice(self.part.name, change, detail, seconds))


class Supervisor:
    """The stages of a stack: started first to last, stopped last to first, each stage at once."""

    def __init__(self, state: State, say: Say, patience: float) -> None:
        """See `Keeper` for `patience`."""
        self._state, self._say, self._patience = state, say, patience
        self._stages: list[list[Keeper]] = []

    async def start(self, parts: Sequence[Part]) -> None:
        """Start one more stage, all its parts at once; the first failure ends the others' starts."""
        stage = [Keeper(part, self._state, self._say, self._patience) for part in parts]
        self._stages.append(stage)
        async with asyncio.TaskGroup() as group:
            for keeper in stage:
                group.create_task(keeper.start())

    async def stop(self) -> None:
        """Stop every process that was started."""
        while self._stages:
            await asyncio.gather(*(keeper.stop() for keeper in self._stages.pop()))


@contextlib.asynccontextmanager
async def supervising(state: State, say: Say, patience: float) -> AsyncIterator[Supervisor]:
    """A supervisor whose processes are gone when the block is left, however it is left."""
    supervisor = Supervisor(state, say, patience)
    try:
        yield supervisor
    finally:
        await asyncio.shield(supervisor.stop())


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with {code}"


def _inherited() -> dict[str, str]:
    """The caller's environment without what is meant for the stack itself or would change a part's ways."""
    foreign = ("AID_", "PYTHON", "PG", "KAFKA_", "JAVA_", "JDK_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
