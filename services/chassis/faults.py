"""What a caller is told of a failure: what was meant for them, or whose turn it is to try again, or nothing."""

from __future__ import annotations

from services.chassis import errors, logs
from services.chassis.database import passing, unstorable
from services.chassis.errors import AidError

_log = logs.logger("door")


def shown(error: Exception, method: str) -> AidError:
    """The error for the caller of `method`; a failure that was not meant for callers is logged.

    After one that passes the outcome is unknown (a commit may have been cut off), so the call is repeated
    with the same idempotency key.
    """
    told = errors.of(error)
    if told is not None:
        return told
    if unstorable(error):
        return errors.invalid("text-not-storable", "A text holds a character that cannot be kept.")
    _log.error("call-failed", error=error, method=method)
    if passing(error):
        return errors.unavailable("resource-unavailable", "Something the service needs is away; try again.")
    return errors.internal()
