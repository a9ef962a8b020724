"""Fetch everything that a stack needs, and teach the Java runtime how Kafka starts.

The runtime keeps what it learnt in an archive beside the jars; with it the broker is up in half the time. The
archive is only a help: a runtime that finds another class path or version ignores it.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.artifacts import kafka_archive, postgres_programs
from deploy.local.errors import CannotStartError, MissingProgramError, tail
from deploy.local.kafka import STARTED, Broker
from deploy.local.part import tethered
from deploy.local.paths import State
from deploy.local.ports import Ports
from deploy.local.prometheus import find

START_SECONDS = 120.0
LOOK_SECONDS = 0.05


def warm(say: Callable[[str], None]) -> None:
    """Fetch and verify; learn once for each set of jars."""
    postgres_programs()
    try:
        find(say)
    except MissingProgramError as missing:
        say(str(missing))
    if not kafka_archive().exists():
        say("teaching the Java runtime how Kafka starts")
        with tempfile.TemporaryDirectory(prefix="aid-") as folder:
            _learn(State(Path(folder)), say)


def _learn(state: State, say: Callable[[str], None]) -> None:
    """Run a broker of its own once, recording; then make the archive of the record, and move it into place."""
    state.create()
    record, archive = state.folder / "record", state.folder / "archive"
    with contextlib.closing(Ports(state.folder / "ports.json")) as ports:
        broker = Broker(ports["kafka"], ports["kafka-controller"], state, say)
        java, *rest = broker.prepare().command
    recording = [java, "-XX:AOTMode=record", f"-XX:AOTConfiguration={record}", *rest]
    creating = [
        java,
        "-XX:AOTMode=create",
        f"-XX:AOTConfiguration={record}",
        f"-XX:AOTCache={archive}",
        *rest,
    ]
    log = state.folder / "log" / "kafka.log"
    with log.open("wb") as output:
        with subprocess.Popen(tethered(recording), stdout=output, stderr=output, cwd="/") as process:
            try:
                _wait_until_started(process, log)
            finally:
                process.terminate()
        done = subprocess.run(tethered(creating), stdout=output, stderr=output, cwd="/", check=False)
    if done.returncode != 0 or not archive.exists():
        say(
            "the Java runtime could not keep what it learnt; Kafka starts as before: "
            + " ".join(tail(log, 1))
        )
        return
    scratch = kafka_archive().with_suffix(".new")
    scratch.write_bytes(archive.read_bytes())
    scratch.replace(kafka_archive())


def _wait_until_started(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while STARTED not in log.read_text(errors="replace"):
        if process.poll() is not None:
            raise CannotStartError("kafka", f"exited with {process.returncode}", log)
        if time.monotonic() > deadline:
            raise CannotStartError("kafka", f"not started after {START_SECONDS:g} s", log)
        time.sleep(LOOK_SECONDS)
