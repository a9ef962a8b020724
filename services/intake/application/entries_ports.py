"""What entries made offline need from outside: keys to seal them to and to open them with."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.intake.application.ports import IntakeWork

Opener = Callable[[bytes], bytes | None]
"""Opens what was sealed to one key; None for what was not."""


@dataclass(frozen=True, slots=True)
class EntryKey:
    """A public key (X25519, 32 bytes), and until when phones may seal to it."""

    key_id: UUID
    public: bytes
    seal_until: datetime


class EntryKeys(Protocol):
    async def current(self, work: IntakeWork) -> EntryKey:
        """The key to seal to now. A fresh one is made when the newest is half way through its time."""
        ...

    async def openers(self, work: IntakeWork, key_ids: Collection[UUID]) -> Mapping[UUID, Opener]:
        """Of those keys that can still open anything."""
        ...
