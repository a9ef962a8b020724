"""A warehouse's own record of its shipments, numbered without gaps, and how far somebody has read."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.logistics.domain.ids import WarehouseId
from services.logistics.domain.refusal import invalid

_TOKEN = struct.Struct(">B16sQ")
_VERSION = 1
BEGINNING = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the journal. Positions are 1, 2, 3… per warehouse; `occurred_at` is a whole hour."""

    position: int
    type: str
    payload: bytes
    occurred_at: datetime


def token(warehouse_id: WarehouseId, position: int) -> str:
    """Marks everything up to `position` as read; means nothing for another warehouse."""
    return base64.urlsafe_b64encode(_TOKEN.pack(_VERSION, warehouse_id.bytes, position)).decode().rstrip("=")


def position(resume_token: str, warehouse_id: WarehouseId) -> int:
    """How far the token's holder has read; the empty token is the beginning. Refuses a foreign one."""
    if not resume_token:
        return BEGINNING
    try:
        padded = resume_token + "=" * (-len(resume_token) % 4)
        packed = base64.b64decode(padded, altchars=b"-_", validate=True)
        version, warehouse, read = _TOKEN.unpack(packed)
    except (binascii.Error, struct.error, ValueError):
        raise _malformed() from None
    if version != _VERSION or UUID(bytes=warehouse) != warehouse_id:
        raise _malformed()
    return int(read)


def within(read: int, last: int) -> int:
    """Refuse a token from ahead of the journal: it speaks of events that this database does not have."""
    if read > last:
        raise invalid("resume-token-ahead", "The token is ahead of this journal; begin anew.")
    return read


def _malformed() -> Exception:
    return invalid("resume-token-malformed", "This is not a resume token of this warehouse.")
