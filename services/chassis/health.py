"""Whether the service may be given work (readiness) and whether it still does its work (liveness)."""

from __future__ import annotations

import time
from collections.abc import Callable


class Readiness:
    """Conditions that must all hold before the service is offered work; a draining service is offered none.

    It depends on what this process owns (migrations applied, the pool usable), never on Kafka or a neighbour.
    """

    def __init__(self, *conditions: str) -> None:
        self._missing = set(conditions)
        self._draining = False

    @property
    def ready(self) -> bool:
        return not self._missing and not self._draining

    @property
    def draining(self) -> bool:
        return self._draining

    def set(self, condition: str) -> None:
        self._missing.discard(condition)

    def clear(self, condition: str) -> None:
        self._missing.add(condition)

    def drain(self) -> None:
        """From now on unready, for good."""
        self._draining = True

    def missing(self) -> list[str]:
        return [*sorted(self._missing), *(["draining"] if self._draining else [])]


class Progress:
    """How one loop reports that it has work and that it moves.

    A loop without work is healthy however long it rests; a loop with work that has not moved for `patience_s`
    seconds is stuck, whatever it believes of itself.
    """

    def __init__(
        self, name: str, patience_s: float = 30.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.patience_s = patience_s
        self._monotonic = monotonic
        self._waiting_since: float | None = None

    def busy(self) -> None:
        """There is work; the patience runs from the first such report since the last move or rest."""
        if self._waiting_since is None:
            self._waiting_since = self._monotonic()

    def moved(self) -> None:
        """Something was finished; if there was work, the patience starts anew."""
        if self._waiting_since is not None:
            self._waiting_since = self._monotonic()

    def idle(self) -> None:
        """Nothing is left to do."""
        self._waiting_since = None

    def still_s(self) -> float:
        """Seconds since work has been waiting without a move; 0 when there is none."""
        return 0.0 if self._waiting_since is None else self._monotonic() - self._waiting_since

    @property
    def stuck(self) -> bool:
        return self.still_s() > self.patience_s


class Liveness:
    """The progress of every loop of the process."""

    def __init__(self, *progress: Progress) -> None:
        self._progress = list(progress)

    def watch(self, progress: Progress) -> Progress:
        self._progress.append(progress)
        return progress

    def stuck(self) -> list[str]:
        return [each.name for each in self._progress if each.stuck]
