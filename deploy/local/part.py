"""What the supervisor needs to know of a part of the stack, and nothing about what the part is."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.local.paths import User


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

    def prepare(self) -> None:
        """Fetch and lay out what the process needs. Blocking; runs in a thread; must be repeatable."""
        ...

    def launch(self) -> Launch:
        """The process to start."""
        ...

    async def ready(self) -> bool:
        """Whether it does its work by now; false as long as it is still coming up."""
        ...

    async def settle(self) -> None:
        """What is done once it is ready: roles, databases, topics. Must be repeatable."""
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
