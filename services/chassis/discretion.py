"""What may not show in a figure: that a call, or a promise that was kept, was about what nobody may know of.

Whoever reads a figure twice could subtract. So the doors and the timers open a `Mark` around what they do, whoever
finds out that it is delicate calls `hush`, and nothing is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prometheus_client import Gauge

_mark: ContextVar[Mark | None] = ContextVar("discretion", default=None)


class Mark:
    """One call or promise; tasks that it starts share it."""

    def __init__(self) -> None:
        self.hushed = False
        self._undo: list[Callable[[], None]] = []

    def hush(self) -> None:
        if not self.hushed:
            self.hushed = True
            for undo in self._undo:
                undo()

    @contextmanager
    def counted_in(self, gauge: Gauge) -> Iterator[None]:
        """Counted there for as long as the block lasts, or until it turns out that it may not be."""
        gauge.inc()
        self._undo.append(gauge.dec)
        if self.hushed:
            gauge.dec()
        try:
            yield
        finally:
            self._undo.remove(gauge.dec)
            if not self.hushed:
                gauge.dec()


def begin() -> Mark:
    """From here on, in this task and those it starts, `hush` is about this."""
    mark = Mark()
    _mark.set(mark)
    return mark


def resume(mark: Mark) -> None:
    """From here on, in this task and those it starts, `hush` is about that one, which another task began."""
    _mark.set(mark)


def current() -> Mark:
    """The one that was begun; a new one where none was."""
    return _mark.get() or begin()


def hush() -> None:
    """Count nothing of what is being done. Where nobody counts, nothing happens."""
    mark = _mark.get()
    if mark is not None:
        mark.hush()


def hushed() -> bool:
    mark = _mark.get()
    return mark is not None and mark.hushed
