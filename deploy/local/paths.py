"""Where the stack keeps its state and its downloads, and which user may enter them.

PostgreSQL refuses to run as root, so a stack started by root runs it as `nobody`: the state folder must
then be one that `nobody` can enter. When the project lies where only root can go, the state moves to the
system's folder for temporary files that survive a reboot, and `.state` becomes a link to it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

PROJECT = Path(__file__).resolve().parents[2]
PERSISTENT = Path("/var/tmp")  # noqa: S108 -- who owns a folder in there is checked in `private`


@dataclass(frozen=True, slots=True)
class User:
    """An operating-system user that a part runs as."""

    uid: int
    gid: int


def unprivileged() -> User | None:
    """The user that PostgreSQL runs as when we are root; None when we are somebody ordinary already."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)


def enterable(folder: Path) -> bool:
    """Whether any user can walk down to this folder; of a folder yet to be made, to where it will be."""
    real = folder.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (real, *real.parents) if step.exists())


def public_folder() -> Path:
    """A folder every user can enter, kept over a reboot where the system has one."""
    candidates = (PERSISTENT, Path(tempfile.gettempdir()))
    for candidate in candidates:
        if candidate.is_dir() and enterable(candidate) and os.access(candidate, os.W_OK):
            return candidate
    raise StackError(f"no folder that every user can enter: looked at {candidates}; set AID_STATE to one")


def private(folder: Path) -> Path:
    """Make the folder, enterable but not listable by others; refuse one that somebody else laid there."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise StackError(f"{folder} belongs to another user; set AID_STATE to a folder of your own")
    folder.chmod(0o711)
    return folder


def cache() -> Path:
    """Downloads shared by all stacks of one user; each is checked whenever it is put in use."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(os.environ.get("AID_CACHE") or Path(home) / "regional-aid-network")


@dataclass(frozen=True, slots=True)
class State:
    """The one folder in which a stack remembers everything.

    `pointer`: the link that tells people where the folder is when it could not be in the project.
    """

    folder: Path
    pointer: Path | None = None

    @classmethod
    def locate(cls, project: Path = PROJECT) -> State:
        """`AID_STATE`, else `.state` in the project, else (root, where only root can go) a public place."""
        wanted = os.environ.get("AID_STATE")
        folder = Path(wanted).absolute() if wanted else project / ".state"
        if unprivileged() is None or enterable(folder.parent):
            return cls(folder.resolve())
        if wanted:
            raise StackError(f"AID_STATE={wanted}: the user `nobody`, which runs PostgreSQL, cannot enter it")
        digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:12]
        return cls(public_folder() / f"regional-aid-network-{digest}", pointer=folder)

    def create(self) -> None:
        """Lay out the folder, and link to it from the project when it had to move."""
        try:
            private(self.folder)
            for path in (self.log, self.secrets, self.identity, self.keys, self.held):
                path.mkdir(exist_ok=True)
                path.chmod(0o700)
            if self.pointer is not None:
                self.pointer.unlink(missing_ok=True)
                self.pointer.symlink_to(self.folder)
        except OSError as error:
            raise StackError(
                f"the state folder {self.folder} cannot be used: {error.strerror or error};"
                " set AID_STATE to a folder of your own"
            ) from error

    @property
    def log(self) -> Path:
        """One file per process."""
        return self.folder / "log"

    @property
    def secrets(self) -> Path:
        """Passwords of the databases, made at first start."""
        return self.folder / "secrets"

    @property
    def identity(self) -> Path:
        """The development issuer's key and what it issued."""
        return self.folder / "identity"

    @property
    def keys(self) -> Path:
        """The key-encryption key of intake's vault."""
        return self.folder / "keys"

    @property
    def held(self) -> Path:
        """One file for each part that is stopped on purpose and not started again until the file is gone."""
        return self.folder / "held"

    @property
    def clock(self) -> Path:
        """The offset of the stepped clock; absent when domain time is wall time."""
        return self.folder / "clock"

    @property
    def lock(self) -> Path:
        """Held by the launcher for its life; its text is the launcher's process id."""
        return self.folder / "launcher.lock"

    @property
    def people(self) -> Path:
        """What was said to intake of the ready-made agencies and users."""
        return self.folder / "people"

    @property
    def record(self) -> Path:
        """Every address of the running stack, for `status`, `advance` and the tests."""
        return self.folder / "stack.json"

    def pid(self, part: str) -> Path:
        """The process id of a running part."""
        return self.log / f"{part}.pid"


def write_private(path: Path, content: bytes, owner: User | None = None) -> None:
    """Write so that others never read it, not even for a moment, and readers see all of it or the old one."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)
        file.write(content)
    scratch.replace(path)


def launcher(state: State) -> int | None:
    """The process id of the launcher that holds this state folder; None when none does."""
    if not state.lock.exists():
        return None
    with state.lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
    return None
