"""What is done to a stack from outside its launcher: start it in the background, stop it, hold one part."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from deploy.local.errors import StackError, tail
from deploy.local.paths import PROJECT, State
from deploy.local.record import launcher
from deploy.local.supervisor import Notice

STOP_SECONDS = 90.0
LOOK_SECONDS = 0.05


def start_in_background(state: State, options: Sequence[str], say: Callable[[Notice], None]) -> None:
    """Start a launcher of its own session and return when its stack is ready.

    The launcher goes away by itself when this process does before that: it then has nobody to tell.
    """
    state.create()
    errors = state.log / "launcher.errors"
    command = [sys.executable, "-m", "deploy.local", "up", "--foreground", "--progress", "json", *options]
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            env={**os.environ, "PYTHONPATH": str(PROJECT)}, start_new_session=True, text=True,
        )  # fmt: skip
    try:
        _follow(process, say)
    except KeyboardInterrupt:
        process.terminate()
        process.communicate()
        raise
    except StackError as error:
        process.communicate()
        words = "\n".join(tail(errors))
        raise StackError(f"{error}\n{words}".rstrip()) from error


def _follow(process: subprocess.Popen[str], say: Callable[[Notice], None]) -> None:
    """Pass notices on until the stack is ready; raise in the launcher's own words when it fails."""
    failure = "the launcher ended before the stack was ready"
    for line in process.stdout or ():
        notice = Notice(**json.loads(line))
        if notice.change == "failed":
            failure = notice.detail
            continue
        say(notice)
        if notice.part == "stack" and notice.change == "ready":
            return
    raise StackError(failure)


def stop(state: State) -> bool:
    """Ask the launcher to take the stack down and wait until it has; whether there was one."""
    pid = launcher(state)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _until(lambda: launcher(state) is None, STOP_SECONDS):
        os.kill(pid, signal.SIGKILL)  # its parts hang on it and go with it
        raise StackError(f"the launcher {pid} did not stop within {STOP_SECONDS:g} s and was killed")
    return True


def clean(state: State) -> None:
    """Forget everything: rows, records, keys and passwords."""
    if launcher(state) is not None:
        raise StackError("the stack is running; `make down` first")
    if state.folder.exists():
        shutil.rmtree(state.folder)
    if state.pointer is not None:
        state.pointer.unlink(missing_ok=True)


def hold(state: State, part: str) -> None:
    """Stop one part and keep it stopped until it is resumed: what the others do without it can be seen."""
    pid = _pid(state, part)
    (state.held / part).touch()
    stop_signal = signal.SIGINT if part.startswith("postgres") else signal.SIGTERM
    os.kill(pid, stop_signal)
    if not _until(lambda: not state.pid(part).exists(), STOP_SECONDS):
        raise StackError(f"{part} did not stop within {STOP_SECONDS:g} s")


def resume(state: State, part: str) -> None:
    """Let the supervisor start a held part again; returns at once."""
    hold_file = state.held / part
    if not hold_file.exists():
        raise StackError(f"{part} is not held")
    hold_file.unlink()


def _pid(state: State, part: str) -> int:
    file = state.pid(part)
    if launcher(state) is None or not file.exists():
        running = ", ".join(sorted(path.stem for path in state.log.glob("*.pid"))) or "none"
        raise StackError(f"no part {part!r} is running; running: {running}")
    return int(file.read_text())


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
