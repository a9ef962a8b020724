"""What a caller is told of a failure: what was meant for them, or whose turn it is to try again, or nothing."""

from __future__ import annotations

import asyncpg

from services.chassis import errors, logs
from services.chassis.errors import AidError

_log = logs.logger("door")

# Classes of SQLSTATE that say something about the database's day, not about the statement: connection, rolled
# back, resources, object in use, operator's intervention, system.
_PASSING_STATES = ("08", "40", "53", "55", "57", "58")


def passing(error: BaseException) -> bool:
    """Whether the fault lies in the circumstances: the same call may succeed a moment later.

    The outcome of this one is unknown (a commit may have been cut off), so it is repeated with the same
    idempotency key.
    """
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_PASSING_STATES)
    return isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError)


def shown(error: Exception, method: str) -> AidError:
    """The error for the caller of `method`; a failure that was not meant for callers is logged."""
    told = errors.of(error)
    if told is not None:
        return told
    _log.error("call-failed", error=error, method=method)
    if passing(error):
        return errors.unavailable("resource-unavailable", "Something the service needs is away; try again.")
    return errors.internal()
