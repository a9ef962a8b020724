"""What can go wrong, in stable words: a kind (how to react), a reason (what it was), details (ids only)."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """How a caller should react; each kind is one gRPC code and one HTTP status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    MISSING = "missing"
    CONFLICT = "conflict"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"


HTTP_STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.DENIED: 403,
    Kind.MISSING: 404,
    Kind.CONFLICT: 409,
    Kind.REFUSED: 422,
    Kind.EXHAUSTED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE: 504,
    Kind.INTERNAL: 500,
}


class AidError(Exception):
    """An error that may be shown to the caller.

    `reason` is a kebab-case slug that never changes once published. `message` and `details` leave the
    service, so they hold ids, counts and field names, never a name, a birth date or free text.
    """

    def __init__(self, kind: Kind, reason: str, message: str, /, **details: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.kind = kind
        self.reason = reason
        self.message = message
        self.details = details


class MisconfiguredError(ValueError):
    """What the process was told from outside cannot be used. The message is logged: it names the setting or file and
    what is wrong with it, never what a secret says."""


def invalid(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.INVALID, reason, message, **details)


def unauthenticated(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.UNAUTHENTICATED, reason, message, **details)


def denied(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.DENIED, reason, message, **details)


def missing(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.MISSING, reason, message, **details)


def conflict(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.CONFLICT, reason, message, **details)


def refused(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.REFUSED, reason, message, **details)


def exhausted(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.EXHAUSTED, reason, message, **details)


def unavailable(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.UNAVAILABLE, reason, message, **details)


def deadline(reason: str, message: str, **details: str) -> AidError:
    return AidError(Kind.DEADLINE, reason, message, **details)


def internal() -> AidError:
    """What a caller learns of a fault of ours: nothing but that it was ours."""
    return AidError(Kind.INTERNAL, "internal", "The service failed; the failure is logged.")


def of(exception: BaseException) -> AidError | None:
    """The error a caller may see for this exception, or None for one that was not meant for callers.

    Domains import nothing from here: their exceptions are recognised by the attributes `kind` and `reason`
    (and, if they have them, `message` and `details`).
    """
    if isinstance(exception, AidError):
        return exception
    kind, reason = getattr(exception, "kind", None), getattr(exception, "reason", None)
    if not isinstance(kind, str) or not isinstance(reason, str) or kind not in Kind.__members__.values():
        return None
    details = getattr(exception, "details", None)
    message = getattr(exception, "message", None)
    return AidError(
        Kind(kind),
        reason,
        message if isinstance(message, str) else str(exception),
        **{str(k): str(v) for k, v in details.items()} if isinstance(details, dict) else {},
    )
