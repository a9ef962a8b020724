"""Prometheus: the one on PATH, else the Debian package unpacked without installing it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

import httpx

from deploy.local.errors import MissingProgramError, StackError
from deploy.local.part import Launch, listening
from deploy.local.paths import PROJECT, State, cache
from deploy.local.ports import HOST

TEMPLATE = PROJECT / "deploy" / "prometheus" / "prometheus.yml"
PROGRAM = Path("usr/bin/prometheus")
KEPT_FOR = "7d"
FETCH_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The metrics store, as a part of the stack. `targets`: HTTP port by service."""

    port: int
    targets: Mapping[str, int]
    token: Path
    state: State
    say: Callable[[str], None]
    name: str = "prometheus"

    @property
    def folder(self) -> Path:
        """Configuration and data."""
        return self.state.folder / "prometheus"

    def prepare(self) -> Launch:
        """Write the configuration, which names today's ports."""
        program = find(self.say)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o700)
        targets = self.folder / "targets.json"
        targets.write_text(json.dumps([
            {"targets": [f"{HOST}:{port}"], "labels": {"service": service}}
            for service, port in self.targets.items()
        ]))  # fmt: skip
        values = {"targets": targets, "token": self.token, "itself": f"{HOST}:{self.port}"}
        quoted = {name: json.dumps(str(value)) for name, value in values.items()}
        configuration = self.folder / "prometheus.yml"
        configuration.write_text(Template(TEMPLATE.read_text()).substitute(quoted))
        return Launch(
            (
                str(program),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--storage.tsdb.retention.time={KEPT_FOR}",
                f"--web.listen-address={HOST}:{self.port}",
                "--log.level=warn",
            ),
            folder=self.folder,
        )

    async def ready(self) -> bool:
        """Whether it has its data at hand."""
        if not await listening(HOST, self.port):
            return False
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(f"http://{HOST}:{self.port}/-/ready", timeout=2)
            except httpx.TransportError:
                return False
        return answer.is_success

    async def complaint(self) -> str:
        """Nothing is asked: nobody waits for it."""
        return ""

    async def settle(self) -> None:
        """Nothing more."""


def find(say: Callable[[str], None]) -> Path:
    """The program; a stack can do without it on a workstation, but not where the project is checked."""
    installed = shutil.which("prometheus")
    if installed is not None:
        return Path(installed)
    try:
        return _unpacked(say)
    except (OSError, subprocess.SubprocessError) as error:
        message = (
            f"no Prometheus on PATH and its Debian package cannot be had ({_reason(error)}); metrics are not"
            " kept until one of the two is there"
        )
        if os.environ.get("CI") == "true":
            raise StackError(message) from error
        raise MissingProgramError(message) from error


def _unpacked(say: Callable[[str], None]) -> Path:
    """The program of the cached package; apt checked the package, the digest beside it checks the rest."""
    folder = cache() / "prometheus"
    program, digest = folder / PROGRAM, folder / "sha256"
    if not digest.exists() or _sha256(program) != digest.read_text():
        say("fetching the Debian package")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            package = _download(Path(scratch))
            _run(["dpkg-deb", "-x", str(package), f"{scratch}/unpacked"], Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            (unpacked / "sha256").write_text(_sha256(unpacked / PROGRAM))
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.rename(folder)
    return program


def _download(scratch: Path) -> Path:
    """Fetch the package; when apt knows no packages yet, let it learn them in a folder of our own."""
    try:
        _run(["apt-get", "download", "prometheus"], scratch)
    except subprocess.CalledProcessError:
        lists = scratch / "lists"
        (lists / "partial").mkdir(parents=True)
        ours = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={scratch}"]
        _run(["apt-get", *ours, "update"], scratch)
        _run(["apt-get", *ours, "download", "prometheus"], scratch)
    return next(scratch.glob("prometheus_*.deb"))


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH_SECONDS)


def _reason(error: Exception) -> str:
    """The program's own last words where it left some; without them only its exit code would be told."""
    words = (
        error.stderr.decode(errors="replace").split("\n")
        if isinstance(error, subprocess.CalledProcessError)
        else []
    )
    return next((line for line in reversed(words) if line.strip()), str(error))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
