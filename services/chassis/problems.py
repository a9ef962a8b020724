"""Errors on the HTTP wire: application/problem+json (RFC 9457) with the stable reason."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from services.chassis.errors import HTTP_STATUS, AidError

MEDIA_TYPE = "application/problem+json"

# What HTTP tells apart and a Kind does not.
_FINER = {"verb-not-allowed": 405, "body-too-large": 413, "body-not-json": 415}


def status(error: AidError) -> int:
    return _FINER.get(error.reason, HTTP_STATUS[error.kind])


def problem(error: AidError) -> dict[str, object]:
    """The document; callers program against `reason`. Details never replace a member of the form."""
    return {
        **error.details,
        "type": f"urn:aid:{error.reason}",
        "title": error.reason.replace("-", " ").capitalize(),
        "status": status(error),
        "detail": error.message,
        "reason": error.reason,
    }


def answer(error: AidError, headers: Mapping[str, str] | None = None) -> Response:
    code = status(error)
    sent = {"cache-control": "no-store", **(headers or {})}
    if code == 401:
        sent["www-authenticate"] = "Bearer"
    if code in (429, 503):
        sent["retry-after"] = "1"
    return Response(msgspec.json.encode(problem(error)), code, sent, MEDIA_TYPE)
