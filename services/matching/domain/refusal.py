"""What the domain of matching will not do, in stable words."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - a no is an answer, not an error
    """A command that may not take effect: `kind` says how to react, `reason` is a slug for ever the same."""

    def __init__(self, kind: str, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.kind = kind
        self.reason = reason
        self.message = message


def invalid(reason: str, message: str) -> Refusal:
    """The command cannot be meant as it was said."""
    return Refusal("invalid", reason, message)


def refused(reason: str, message: str) -> Refusal:
    """The command was clear, and the state of things forbids it."""
    return Refusal("refused", reason, message)


def missing() -> Refusal:
    """Not there, or not the caller's: nobody can tell which."""
    return Refusal("missing", "not-found", "There is nothing by that name.")
