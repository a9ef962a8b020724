"""Envelope encryption: a key-encryption key wraps agency keys, these wrap person keys, these seal data.

Every sealed thing is bound to its context (which agency, which person, which field): moved elsewhere it does
not open. Forgetting a wrapped person key makes everything sealed with it unreadable for ever.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NAME_BYTES: Final = 8
_VERSION: Final = b"\x01"


class KeyringSettings(BaseModel):
    """Where the key-encryption keys are: one base64 line each, the one to wrap with first."""

    file: Path


class UnreadableError(Exception):
    """The sealed bytes were changed, belong elsewhere, or were sealed with another key. Says no more."""


class DataKey:
    """A key in use. It is never shown, compared or logged."""

    __slots__ = ("_aead", "_raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _KEY_BYTES:
            raise UnreadableError
        self._raw = raw
        self._aead = AESGCM(raw)

    def __repr__(self) -> str:
        return "DataKey(…)"

    @classmethod
    def fresh(cls) -> DataKey:
        return cls(os.urandom(_KEY_BYTES))

    def seal(self, plain: bytes, context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        if sealed[:1] != _VERSION:
            raise UnreadableError
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, context.encode())
        except (InvalidTag, ValueError) as error:
            raise UnreadableError from error

    def wrap(self, key: DataKey, context: str) -> bytes:
        return self.seal(key._raw, context)

    def unwrap(self, wrapped: bytes, context: str) -> DataKey:
        return DataKey(self.open(wrapped, context))


class KeyEncryption(Protocol):
    """Wraps and unwraps the highest keys. A file here; a key management service in production."""

    async def wrap(self, key: DataKey, context: str) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: str) -> DataKey: ...


class FileKeys:
    """Key-encryption keys from a file. A wrapped key names the one that wrapped it, so that a new first line
    can take over while what older lines wrapped stays readable."""

    def __init__(self, file: Path) -> None:
        raws = [base64.b64decode(line, validate=True) for line in file.read_text().split()]
        if not raws:
            raise ValueError(f"{file.name} holds no key")
        self._first = _name(raws[0])
        self._keys = {_name(raw): DataKey(raw) for raw in raws}

    async def wrap(self, key: DataKey, context: str) -> bytes:
        return self._first + self._keys[self._first].wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: str) -> DataKey:
        key = self._keys.get(wrapped[:_NAME_BYTES])
        if key is None:
            raise UnreadableError
        return key.unwrap(wrapped[_NAME_BYTES:], context)


class Keyring:
    """The keys of agencies and persons. What it returns as bytes is wrapped and may be stored."""

    def __init__(self, kek: KeyEncryption) -> None:
        self._kek = kek

    @classmethod
    def of(cls, settings: KeyringSettings) -> Keyring:
        return cls(FileKeys(settings.file))

    async def new_agency_key(self, agency: str) -> tuple[DataKey, bytes]:
        key = DataKey.fresh()
        return key, await self._kek.wrap(key, _agency_context(agency))

    async def agency_key(self, agency: str, wrapped: bytes) -> DataKey:
        return await self._kek.unwrap(wrapped, _agency_context(agency))

    def new_person_key(self, agency_key: DataKey, person: str) -> tuple[DataKey, bytes]:
        key = DataKey.fresh()
        return key, agency_key.wrap(key, _person_context(person))

    def person_key(self, agency_key: DataKey, person: str, wrapped: bytes) -> DataKey:
        return agency_key.unwrap(wrapped, _person_context(person))


def _agency_context(agency: str) -> str:
    return f"agency-key:{agency}"


def _person_context(person: str) -> str:
    return f"person-key:{person}"


def _name(raw: bytes) -> bytes:
    """Names a key without telling it."""
    return hashlib.sha256(b"aid key name" + raw).digest()[:_NAME_BYTES]
