"""Clients as light as can be, so that a benchmark measures servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Self


class Template:
    """A message with placeholders that differ each time and keep their length, so that lengths within it hold."""

    def __init__(self, message: bytes, placeholders: Sequence[bytes]) -> None:
        self._message = message
        self._placeholders = placeholders

    def another(self) -> bytes:
        message = self._message
        for each in self._placeholders:
            message = message.replace(each, _uuid() if len(each) == 36 else _letters(len(each)))
        return message


def _uuid() -> bytes:
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}".encode()


def _letters(many: int) -> bytes:
    """Nobody's name: of the letters a to p."""
    return secrets.token_hex((many + 1) // 2)[:many].translate(_SPELT).encode()


_SPELT = {ord(digit): letter for digit, letter in zip("0123456789abcdef", "abcdefghijklmnop", strict=True)}


class Connection:
    """HTTP/1.1 with one request at a time, for servers that say how long their answer is. Opened when first used,
    and again when the server has closed it in a pause."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[1].close()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer."""
        if self._open is None or self._open[0].at_eof():
            self._open = await asyncio.open_connection(*self._where)
        reader, writer = self._open
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{said}"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        [length] = [
            int(line.split(b":")[1])
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        await reader.readexactly(length)
        return int(answer[9:12])
