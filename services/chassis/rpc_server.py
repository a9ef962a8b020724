"""The gRPC door."""

from __future__ import annotations

from pydantic import BaseModel


class RpcSettings(BaseModel):
    """The gRPC door. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    max_message_bytes: int = 1 << 20
    max_concurrent: int = 1024
