"""Whether places go so fast just now that what is seen without their lock is gone before it is written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Seconds after a lost race in which nobody looks without the lock: one race lost each second costs next to nothing.
WAITS_S = 1.0


class Contention:
    """What the works of one process know of each other: one that lost a race makes the next take the lock.

    Who decides under the lock of the places waits for it in a queue and then loses no race for them. Without this, a
    work that others are always a little faster than would lose each time that it is tried.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = -math.inf

    def lost(self) -> None:
        """What a work had seen was changed before it could commit."""
        self._until = self._monotonic() + WAITS_S

    @property
    def lately(self) -> bool:
        """Whether a race was lost so lately that the next one is likely to be lost, too."""
        return self._monotonic() < self._until
