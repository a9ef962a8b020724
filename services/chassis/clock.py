"""Domain time, which can be stepped, and wall time, which cannot."""

from __future__ import annotations

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from services.chassis.errors import MisconfiguredError

_OFFSET = struct.Struct("<q")


def wall() -> datetime:
    """Wall time, for what the outside world judges: tokens, deadlines, Kafka timestamps."""
    return datetime.now(UTC)


class Clock(Protocol):
    """Domain time: aware, UTC. Every promise of the domain (a hold, a last night) is measured with it."""

    def now(self) -> datetime: ...


class SystemClock:
    """Domain time is wall time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteppedClock:
    """Wall time plus an offset that all processes of a stack share through one mapped file.

    The file holds one little-endian signed 64-bit count of microseconds. It is read at each `now()`, so an
    advance is seen by every process at once and no process has to be told.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._mapped = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise MisconfiguredError(f"{path} (AID_CLOCK__FILE) is no stepped clock: {error}") from error

    def offset(self) -> timedelta:
        return timedelta(microseconds=_OFFSET.unpack_from(self._mapped)[0])

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset()
