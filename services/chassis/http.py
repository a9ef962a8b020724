"""The HTTP door."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel


class HttpSettings(BaseModel):
    """The HTTP door. Port 0 takes a free one; `timeout_s` is the deadline of a unary call that names none."""

    host: str = "127.0.0.1"
    port: int = 0
    max_body_bytes: int = 1 << 20
    timeout_s: float = 10.0
    keep_alive_s: float = 15.0


class MetricsSettings(BaseModel):
    """The bearer token that `/metrics` wants. Without a file nobody may read it."""

    token_file: Path | None = None
