"""What is done to a stack from outside its launcher: start it, stop it, hold one part of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from deploy.kafka.topics import FILE as TOPICS
from deploy.local import backup
from deploy.local.backup import Say
from deploy.local.errors import StackError, tail
from deploy.local.identity import Issuer
from deploy.local.part import tethered
from deploy.local.paths import PROJECT, State, launcher
from deploy.local.record import Record
from deploy.local.service import PROGRAMS, Doors, Service, Surroundings
from deploy.local.supervisor import Notice

STOP_SECONDS = 90.0
# Which service has the key store, and what each has to do before it serves again. The epoch first: what is said
# before it would take numbers that were given to other events since the backup.
KEPT_BY = "intake"
AFTER_RESTORE = {
    "intake": (["raise-epoch"], ["forget-again"]),
    "matching": (["raise-epoch"],),
    "logistics": (["raise-epoch"],),
}
LOOK_SECONDS = 0.05


def _command(options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "deploy.local", "up", "--foreground", "--progress", "json", *options]


def _environment(state: State) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "AID_STATE": str(state.folder)}


def start_in_background(state: State, options: Sequence[str], say: Callable[[Notice], None]) -> None:
    """Start a launcher of its own session and return when its stack is ready.

    The launcher goes away by itself when this process does before that: it then has nobody to tell.
    """
    state.create()
    with _starting(state, _command(options)) as process:
        try:
            _follow(process, say)
        except BaseException:
            process.terminate()
            process.wait()
            raise


@contextlib.contextmanager
def launched(state: State, options: Sequence[str], say: Callable[[Notice], None]) -> Iterator[Record]:
    """A stack for the length of the block: stopped at its end, and gone with this process however it ends.

    Nobody is known to its intake yet: who works there is up to the block.
    """
    state.create()
    with _starting(state, tethered(_command([*options, "--without-people"]))) as process:
        try:
            _follow(process, say)
            yield Record.read(state)
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def _starting(state: State, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the command; when it fails, add what it wrote to its standard error."""
    errors = state.log / "launcher.errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            env=_environment(state), start_new_session=True, text=True,
        )  # fmt: skip
    try:
        yield process
    except StackError as error:
        words = "\n".join(tail(errors))
        raise StackError(f"{error}\n{words}".rstrip()) from error
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _follow(process: subprocess.Popen[str], say: Callable[[Notice], None]) -> None:
    """Pass notices on until the stack is ready; raise in the launcher's own words when it fails.

    From then on nobody reads the pipe, so it is closed: the launcher must not wait for a reader.
    """
    failure = "the launcher ended before the stack was ready"
    if process.stdout is None:
        raise ValueError("the launcher was started without a pipe")
    for line in process.stdout:
        notice = Notice(**json.loads(line))
        if notice.change == "failed":
            failure = notice.detail
            continue
        say(notice)
        if notice.part == "stack" and notice.change == "ready":
            process.stdout.close()
            return
    raise StackError(failure)


def run(state: State, record: Record, service: str, arguments: Sequence[str]) -> int:
    """Run a command of a service beside it, told what the service is told; the exit code."""
    program = next(program for program in PROGRAMS if program.name == service)
    clusters = {name: record.cluster(name, state) for name in record.postgres}
    doors = {program.name: Doors(0, 0) for program in PROGRAMS} | record.services
    around = Surroundings(state, record.bootstrap, clusters, doors, Issuer(state), record.stepped)
    told = Service(program, around).environment()
    command = [sys.executable, "-m", program.module, *arguments]
    return subprocess.run(command, env={**os.environ, **told}, check=False).returncode


def audit(state: State, record: Record) -> int:
    """Compare what each service said with what its readers have taken in; 1 if they differ for good."""
    clusters = [record.cluster(name, state) for name in record.postgres]
    doors = [
        f"{cluster.service}={cluster.dsn(cluster.service)}={cluster.password_file(cluster.service)}"
        for cluster in clusters
    ]
    command = [sys.executable, "-m", "services.chassis.audit", "--topics", str(TOPICS), *doors]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


def restore(
    state: State, record: Record, folder: Path, services: Sequence[str], keys: Path | None, say: Say
) -> None:
    """Put databases back as a backup has them. Their services are stopped meanwhile; a new epoch tells the neighbours
    everything anew, and whoever was erased since is erased again.

    A service whose database could not be put back stays stopped: it would serve, and tell, an empty one.
    """
    for service in services:
        if state.pid(service).exists():
            hold(state, service)
        try:
            _put_back(state, record, folder, service, keys if service == KEPT_BY else None, say)
        except StackError as error:
            again = f"`python -m deploy.local resume {service}` lets it run again"
            raise StackError(f"{error}\n{service} stays stopped; {again}") from error
        if (state.held / service).exists():
            resume(state, service)


def _put_back(state: State, record: Record, folder: Path, service: str, keys: Path | None, say: Say) -> None:
    """One database, and what its service has to do before it serves again."""
    cluster = record.cluster(service, state)
    asyncio.run(backup.restore(cluster, service, folder, keys, state.folder / "restoring", say))
    for command in AFTER_RESTORE[service]:
        if run(state, record, service, command):
            raise StackError(f"{command[0]} failed, see above")
    if service == KEPT_BY:
        state.people.unlink(missing_ok=True)  # the backup may be older than what intake was told of them


def stop(state: State) -> bool:
    """Ask the launcher to take the stack down and wait until it has; whether there was one."""
    pid = launcher(state)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _until(lambda: not _alive(pid), STOP_SECONDS):
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


def _alive(pid: int) -> bool:
    """Whether the process still does anything; one that only waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
