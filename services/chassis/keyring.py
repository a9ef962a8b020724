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

from services.chassis.errors import MisconfiguredError

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
    """A key in use. It is never shown, compared or logged.

    While a key is renewed it is two in one: the newest seals, and each may open. A renewed key is one again by
    `newest`, once nothing is left that only the other one opens.
    """

    __slots__ = ("_aeads", "_raw")

    def __init__(self, raw: bytes) -> None:
        if not raw or len(raw) % _KEY_BYTES:
            raise UnreadableError
        self._raw = raw
        if len(raw) == _KEY_BYTES:  # nearly every one
            self._aeads: tuple[AESGCM, ...] = (AESGCM(raw),)
            return
        parts = (raw[start : start + _KEY_BYTES] for start in range(0, len(raw), _KEY_BYTES))
        self._aeads = tuple(map(AESGCM, parts))

    def __repr__(self) -> str:
        return "DataKey(…)"

    @classmethod
    def fresh(cls) -> DataKey:
        return cls(os.urandom(_KEY_BYTES))

    @property
    def renewing(self) -> bool:
        return len(self._aeads) > 1

    def renewed(self) -> DataKey:
        """A fresh key that also opens what this one sealed."""
        return DataKey(os.urandom(_KEY_BYTES) + self._raw)

    def newest(self) -> DataKey:
        return DataKey(self._raw[:_KEY_BYTES])

    def seal(self, plain: bytes, context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._aeads[0].encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        if sealed[:1] != _VERSION:
            raise UnreadableError
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        for aead in self._aeads:
            try:
                return aead.decrypt(nonce, body, context.encode())
            except (InvalidTag, ValueError):
                continue
        raise UnreadableError

    def wrap(self, key: DataKey, context: str) -> bytes:
        return self.seal(key._raw, context)

    def unwrap(self, wrapped: bytes, context: str) -> DataKey:
        return DataKey(self.open(wrapped, context))


class KeyEncryption(Protocol):
    """Wraps and unwraps the highest keys. A file here; a key management service in production."""

    async def wrap(self, key: DataKey, context: str) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: str) -> DataKey: ...

    async def outdated(self, wrapped: bytes) -> bool:
        """Whether another key would wrap it now."""
        ...


class FileKeys:
    """Key-encryption keys from a file. A wrapped key names the one that wrapped it, so that a new first line
    can take over while what older lines wrapped stays readable. A line that was added meanwhile is found."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read()

    async def wrap(self, key: DataKey, context: str) -> bytes:
        return self._first + self._keys[self._first].wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: str) -> DataKey:
        name = wrapped[:_NAME_BYTES]
        if name not in self._keys:
            self._read()
        if name not in self._keys:
            raise UnreadableError
        return self._keys[name].unwrap(wrapped[_NAME_BYTES:], context)

    async def outdated(self, wrapped: bytes) -> bool:
        return wrapped[:_NAME_BYTES] != self._first

    def _read(self) -> None:
        """Raises MisconfiguredError, which names the file and never quotes it."""
        where = f"{self._file} (AID_KEYRING__FILE)"
        try:
            lines = self._file.read_bytes().split()
        except OSError as error:
            raise MisconfiguredError(f"{where} cannot be read: {error.strerror}") from None
        if not lines:
            raise MisconfiguredError(
                f"{where} is empty: it must hold a key of {_KEY_BYTES} bytes as base64, one a line"
            )
        raws = [_raw(line, f"{where}, key {number}") for number, line in enumerate(lines, 1)]
        self._first = _name(raws[0])
        self._keys = {_name(raw): DataKey(raw) for raw in raws}


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

    async def rewrapped(self, agency: str, wrapped: bytes) -> bytes | None:
        """Under today's key-encryption key; None when it is."""
        if not await self._kek.outdated(wrapped):
            return None
        return await self.wrapped_agency_key(agency, await self.agency_key(agency, wrapped))

    async def wrapped_agency_key(self, agency: str, key: DataKey) -> bytes:
        return await self._kek.wrap(key, _agency_context(agency))

    def rewrapped_person_key(self, agency_key: DataKey, person: str, wrapped: bytes) -> bytes | None:
        """Under the newest agency key; None when it is."""
        newest = agency_key.newest()
        try:
            newest.unwrap(wrapped, _person_context(person))
        except UnreadableError:
            return newest.wrap(self.person_key(agency_key, person, wrapped), _person_context(person))
        return None

    def new_person_key(self, agency_key: DataKey, person: str) -> tuple[DataKey, bytes]:
        key = DataKey.fresh()
        return key, agency_key.wrap(key, _person_context(person))

    def person_key(self, agency_key: DataKey, person: str, wrapped: bytes) -> DataKey:
        return agency_key.unwrap(wrapped, _person_context(person))


def _agency_context(agency: str) -> str:
    return f"agency-key:{agency}"


def _person_context(person: str) -> str:
    return f"person-key:{person}"


def _raw(line: bytes, which: str) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except ValueError:
        raise MisconfiguredError(f"{which} is not base64") from None
    if len(raw) != _KEY_BYTES:
        raise MisconfiguredError(f"{which} has {len(raw)} bytes instead of {_KEY_BYTES}")
    return raw


def _name(raw: bytes) -> bytes:
    """Names a key without telling it."""
    return hashlib.sha256(b"aid key name" + raw).digest()[:_NAME_BYTES]
