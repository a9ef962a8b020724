"""The stack runs in any folder and for any user; what only root can enter moves to where PostgreSQL can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.paths import PROJECT, State, cache, enterable, unprivileged
from deploy.local.record import Record
from tests.support.stack import all_gone, family, temporary_state

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Elsewhere:
    """A copy of what the stack consists of, in a folder with spaces, with an interpreter and downloads."""

    folder: Path
    python: Path
    cache: Path

    def belongs_to(self, uid: int, gid: int) -> None:
        """Give what is written to at a start to that user."""
        for path in (self.folder, self.cache, self.cache / "kafka"):
            os.chown(path, uid, gid)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with temporary_state() as folder:
        copy = folder / "a network of aid"
        shutil.copytree(PROJECT / "deploy", copy / "deploy", ignore=shutil.ignore_patterns("node_modules"))
        shutil.copytree(cache() / "kafka", copy / "cache" / "kafka", copy_function=_link_or_copy)
        yield Elsewhere(copy, environment_for_everybody(copy), copy / "cache")


def environment_for_everybody(folder: Path) -> Path:
    """A virtual environment with our packages that the unprivileged user can run; its interpreter."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin"))
    base = next((path for path in candidates if path and enterable(Path(path).resolve().parent)), None)
    if base is None:
        pytest.skip(f"no {version} on this machine that an unprivileged user can run")
    subprocess.run([base, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    ours = folder / ".venv" / "lib" / version / "site-packages"
    shutil.copytree(Path(psutil.__file__).parents[1], ours, copy_function=_link_or_copy, dirs_exist_ok=True)
    return folder / ".venv" / "bin" / "python"


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@pytest.mark.parametrize("place", ["ours", "nobody's", "hidden"])
def test_any_folder_any_user(elsewhere: Elsewhere, place: str) -> None:
    """In a path with spaces: as the user of the tests, as an unprivileged one, and where only we can go."""
    identity: dict[str, Any] = {}
    if place == "nobody's" and (nobody := unprivileged()) is not None:
        identity = {"user": nobody.uid, "group": nobody.gid, "extra_groups": []}
        elsewhere.belongs_to(nobody.uid, nobody.gid)
    else:
        elsewhere.belongs_to(os.geteuid(), os.getegid())
    folder = elsewhere.folder
    folder.parent.chmod(0o700 if place == "hidden" else 0o711)

    def stack(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [elsewhere.python, "-m", "deploy.local", *arguments], cwd=folder, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "AID_CACHE": str(elsewhere.cache)}, check=False, **identity,
        )  # fmt: skip

    processes: list[psutil.Process] = []
    try:
        up = stack("up", "--only", "kafka", "postgres")
        assert up.returncode == 0, up.stdout + up.stderr
        processes = family(Record.read(State((folder / ".state").resolve())))
        assert (folder / ".state").is_symlink() == (place == "hidden" and unprivileged() is not None)
        owners = {process.username() for process in processes}
        assert "nobody" in owners or unprivileged() is None
        assert "root" not in owners or place != "nobody's"
    finally:
        down = stack("down")
        forgotten = stack("clean-data")
    assert down.stdout == "the stack is down\n"
    assert all_gone(processes)
    assert forgotten.returncode == 0, forgotten.stderr
    assert not (folder / ".state").exists()
    assert not (folder / ".state").is_symlink()
