"""What the supervisor needs to know of a part of the stack, and nothing about what the part is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.local.paths import User

TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process of the stack is started, asked to stop, and taken down when its launcher is gone."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    orphaned: signal.Signals = signal.SIGKILL
    user: User | None = None
    folder: Path = Path("/")


class Part(Protocol):
    """One process of the stack."""

    @property
    def name(self) -> str:
        """Names the part to people; also the name of its log."""
        ...

    def prepare(self) -> Launch:
        """Fetch and lay out what the process needs; how to start it. Blocking, in a thread, repeatable."""
        ...

    async def ready(self) -> bool:
        """Whether it does its work by now; false as long as it is still coming up."""
        ...

    async def settle(self) -> None:
        """What is done once it is ready, such as roles and databases. Repeatable."""
        ...

    async def complaint(self) -> str:
        """What keeps it from its work for good, so that only a new process helps; empty when nothing does.

        Asked only of a part that has been ready. It need not limit its time.
        """
        ...


async def listening(host: str, port: int) -> bool:
    """Whether somebody accepts connections there; cheap, and quiet when nobody does."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # refused, or timed out
        return False
    writer.close()
    return True


def tethered(
    command: Sequence[str], user: User | None = None, orphaned: signal.Signals = signal.SIGKILL
) -> list[str]:
    """The command, made to run as that user and to go down with the thread that starts it."""
    uid, gid = (-1, -1) if user is None else (user.uid, user.gid)
    numbers = (os.getpid(), int(orphaned), uid, gid)
    return [sys.executable, "-I", "-S", str(TETHER), *map(str, numbers), *command]
