"""Why something is not done, in stable words that a caller may see."""


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """`kind` says how to react, `reason` what it was; `details` name fields and ids, never what was in
    them."""

    def __init__(self, kind: str, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.details = details


def invalid(reason: str, message: str, **details: str) -> Refusal:
    """The request contradicts the contract: sending it again is of no use."""
    return Refusal("invalid", reason, message, **details)


def refused(reason: str, message: str, **details: str) -> Refusal:
    """The request is well formed, and the state of things forbids it."""
    return Refusal("refused", reason, message, **details)


def denied(reason: str, message: str) -> Refusal:
    """This caller may not."""
    return Refusal("denied", reason, message)


def conflict(reason: str, message: str, **details: str) -> Refusal:
    """Something of that name is there already, or was changed meanwhile."""
    return Refusal("conflict", reason, message, **details)


def not_found() -> Refusal:
    """What is foreign is as if absent: the one answer for "not yours" and "not there", without any detail."""
    return Refusal("missing", "not-found", "There is nothing of that name.")
