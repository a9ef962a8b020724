"""Errors on the gRPC wire: a status code, and google.rpc.ErrorInfo with the stable reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from services.chassis.errors import AidError, Kind

DOMAIN = "aid"
_DETAILS = "grpc-status-details-bin"

CODES: dict[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.MISSING: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.ABORTED,
    Kind.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
_KINDS = {code: kind for kind, code in CODES.items()}


class Wire(NamedTuple):
    """What `context.abort` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def to_wire(error: AidError) -> Wire:
    code = CODES[error.kind]
    info = AnyMessage()
    info.Pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.details))
    status = Status(code=code.value[0], message=error.message, details=[info])
    return Wire(code, error.message, ((_DETAILS, status.SerializeToString()),))


def from_wire(error: grpc.aio.AioRpcError) -> AidError:
    """The error that the other side raised; for one that gRPC made itself, the reason is its code's name."""
    kind = _KINDS.get(error.code(), Kind.INTERNAL)
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in metadata:
        if key == _DETAILS and isinstance(value, bytes):
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return AidError(kind, info.reason, error.details() or "", **dict(info.metadata))
    reason = f"rpc-{error.code().name.lower().replace('_', '-')}"
    return AidError(kind, reason, f"The neighbour answered {error.code().name}.")
