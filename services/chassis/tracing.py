"""W3C trace context: read from the caller, carried with the work, given to whom we call."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def valid(traceparent: str | None) -> bool:
    return traceparent is not None and _FORM.fullmatch(traceparent) is not None


def new() -> str:
    """A fresh trace. Trace ids are labels, not secrets: the fast generator will do."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-01"


def child(traceparent: str | None) -> str:
    """A span under this one; a fresh trace when there is none or it is malformed."""
    if traceparent is None or _FORM.fullmatch(traceparent) is None:
        return new()
    return f"{traceparent[:36]}{random.getrandbits(64) or 1:016x}{traceparent[52:]}"


def trace_id(traceparent: str) -> str:
    return traceparent[3:35]


def current() -> str | None:
    """The span that the running task works in."""
    return _current.get()


def enter(traceparent: str) -> Token[str | None]:
    """Make this the running task's span; a task of its own need not leave it."""
    return _current.set(traceparent)


@contextmanager
def span(traceparent: str) -> Iterator[str]:
    """Work in this span for a while."""
    token = _current.set(traceparent)
    try:
        yield traceparent
    finally:
        _current.reset(token)
