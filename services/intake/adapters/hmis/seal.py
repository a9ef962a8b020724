"""What a reading keeps on disk, made worthless to whoever finds it there: sealed with a key in memory only."""

import hashlib
import os
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_NAME = 16
"""Bytes of a name's digest: two of 10^9 names meet with a chance of 10^-20."""

R = TypeVar("R")


class Seal:
    """A key for one reading, made at its beginning and never written: it ends with the process."""

    def __init__(self) -> None:
        self._aead = AESGCM(os.urandom(32))
        self._names = os.urandom(32)
        self._count = 0

    def close(self, record: object) -> bytes:
        """The record, sealed. Nonces are counted: the key seals one reading, in one process."""
        self._count += 1
        nonce = self._count.to_bytes(_NONCE, "little")
        return nonce + self._aead.encrypt(nonce, msgspec.msgpack.encode(record), None)

    def open(self, sealed: bytes, kind: type[R]) -> R:
        return msgspec.msgpack.decode(self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], None), type=kind)

    def name(self, text: str) -> bytes:
        """Stands for an id: the same for the same id within this reading, and tells nothing of it."""
        return hashlib.blake2b(text.encode(), key=self._names, digest_size=_NAME).digest()
