"""Start the parts of the stack, restart what dies, stop all of it, and leave nothing behind.

Every process hangs on a tether (`tether.py`): it goes down with this process even when this one is killed with -9.
The kernel ties that tether to the *thread* that forks, so processes are only ever started from the event loop's
thread, which must be the main one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from deploy.local.errors import CannotStart
from deploy.local.part import Launch, Part
from deploy.local.paths import State

TETHER = Path(__file__).with_name("tether.py")
PROBE_SECONDS = 0.05
FIRST_BACKOFF, LONGEST_BACKOFF, STEADY = 0.2, 10.0, 30.0
ATTEMPTS = 3
GRACE_SECONDS = 25.0

Change = Literal["preparing", "starting", "ready", "died", "stopping", "stopped", "killed", "failed"]


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
        self._say(Notice(self.part.name, "preparing"))
        await asyncio.to_thread(self.part.prepare)
        self._launch = await asyncio.to_thread(self.part.launch)
        self._say(Notice(self.part.name, "starting"))
        try:
            async with asyncio.timeout(self._patience):
                await self._come_up()
        except TimeoutError:
            raise CannotStart(self.part.name, f"not ready after {self._patience:g} s", self.log) from None
        await self.part.settle()
        self._say(Notice(self.part.name, "ready", seconds=time.monotonic() - began))
        self._watch = asyncio.create_task(self._restart_whenever_dead(), name=f"keep {self.part.name}")

    async def _come_up(self) -> None:
        """A first exit may be a stale lock or a neighbour still dying; a third one is meant."""
        for attempt in range(1, ATTEMPTS + 1):
            process = await self._spawn()
            if await self._ready(process):
                return
            if attempt < ATTEMPTS:
                await asyncio.sleep(FIRST_BACKOFF * 2**attempt)
            else:
                raise CannotStart(self.part.name, _ending(process.returncode), self.log)

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
        user = (-1, -1) if launch.user is None else (launch.user.uid, launch.user.gid)
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), str(int(launch.orphaned))]
        with self.log.open("ab") as log:
            log.write(f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {self.part.name} starts\n".encode())
            log.flush()
            self._process = await asyncio.create_subprocess_exec(
                *tether, *map(str, user), *launch.command,
                env={**_inherited(), **launch.environment}, cwd=launch.folder,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        (self._state.log / f"{self.part.name}.pid").write_text(str(self._process.pid))
        return self._process

    async def _restart_whenever_dead(self) -> None:
        backoff = FIRST_BACKOFF
        while self._process is not None:
            began = time.monotonic()
            await self._process.wait()
            if time.monotonic() - began > STEADY:
                backoff = FIRST_BACKOFF
            ending = _ending(self._process.returncode)
            self._say(Notice(self.part.name, "died", f"{ending}; again in {backoff:g} s, log: {self.log}"))
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            process = await self._spawn()
            if await self._ready(process):
                self._say(Notice(self.part.name, "ready", seconds=time.monotonic() - began))

    async def stop(self) -> None:
        """Ask it to stop, wait, and kill it when it does not."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        process = self._process
        if process is None or self._launch is None:
            return
        began = time.monotonic()
        self._say(Notice(self.part.name, "stopping"))
        change: Change = "stopped"
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self._launch.stop)
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
        except TimeoutError:
            change = "killed"
            process.kill()
            await process.wait()
        (self._state.log / f"{self.part.name}.pid").unlink(missing_ok=True)
        self._say(Notice(self.part.name, change, seconds=time.monotonic() - began))


class Supervisor:
    """The stages of a stack: started first to last, stopped last to first, each stage at once."""

    def __init__(self, state: State, say: Say, patience: float) -> None:
        """See `Keeper` for `patience`."""
        self._state, self._say, self._patience = state, say, patience
        self._stages: list[list[Keeper]] = []

    async def start(self, parts: Sequence[Part]) -> None:
        """Start one more stage; raises the first failure when every start has come to its end."""
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
    """The caller's environment without what is meant for the stack itself or would change its Python."""
    foreign = ("AID_", "PYTHON", "PG", "KAFKA_", "JAVA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
