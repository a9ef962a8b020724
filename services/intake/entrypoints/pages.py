"""Lists a page at a time: where the next one begins travels as a token that means nothing to its bearer."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from services.intake.application.agencies_ports import Mark
from services.intake.domain.refusal import invalid

USUAL = 50
MOST = 200
_LONGEST = 1_000

T = TypeVar("T")


def page_size(asked: int) -> int:
    if not 0 <= asked <= MOST:
        raise invalid("page-size-out-of-range", f"A page has at most {MOST} lines.", field="page_size")
    return asked or USUAL


def cut(found: Sequence[T], size: int) -> tuple[Sequence[T], T | None]:
    """The page, and its last line if more follow: one more than fits was looked for."""
    page = found[:size]
    return page, page[-1] if len(found) > size else None


def token(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def mark_token(at: datetime, which: UUID) -> str:
    return token(at.isoformat(), str(which))


def parts_in(text: str, how_many: int) -> list[str]:
    """What a token of ours holds; anything else is refused."""
    if len(text) > _LONGEST:
        raise _malformed()
    try:
        parts = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (binascii.Error, ValueError):
        raise _malformed() from None
    if not isinstance(parts, list) or len(parts) != how_many or not all(map(_is_word, parts)):
        raise _malformed()
    return parts


def mark_in(text: str) -> Mark | None:
    if not text:
        return None
    at, which = parts_in(text, 2)
    try:
        said = datetime.fromisoformat(at)
        if said.tzinfo is None:
            raise _malformed()
        return Mark(said.astimezone(UTC), UUID(which))
    except (ValueError, OverflowError):
        raise _malformed() from None


def name_in(text: str) -> str:
    """The name behind which the page begins; empty: at the first."""
    return parts_in(text, 1)[0] if text else ""


def _is_word(part: object) -> bool:
    return isinstance(part, str) and "\0" not in part


def _malformed() -> Exception:
    return invalid("page-token-malformed", "A page token comes from the page before.", field="page_token")
