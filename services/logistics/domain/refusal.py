"""What logistics says no with."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - a no is an answer, not an error
    """A command that may not happen. `reason` is stable, `kind` says whose fault it is, `message` is for
    people."""

    def __init__(self, kind: str, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.kind = kind
        self.reason = reason
        self.message = message


def invalid(reason: str, message: str) -> Refusal:
    """The request makes no sense, whatever the state."""
    return Refusal("invalid", reason, message)


def refused(reason: str, message: str) -> Refusal:
    """The request makes sense, but not now."""
    return Refusal("refused", reason, message)


def not_found() -> Refusal:
    """Not there, or not the caller's: the two are told apart by nothing."""
    return Refusal("missing", "not-found", "There is no such thing here.")
