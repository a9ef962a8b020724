"""A donor's promise: what opens it, and how it goes from a word to a parcel."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.logistics.domain.ids import ItemId, Label, LineId, Packs, Pieces, PledgeId, WarehouseId
from services.logistics.domain.refusal import Refusal, invalid, refused

MOST_PACKS = 1_000
SHORTEST_KEY = 16
LONGEST_KEY = 200


class PledgeState(StrEnum):
    PLEDGED = "pledged"
    PACKED = "packed"
    SENT = "sent"
    RECEIVED = "received"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Ask:
    """A donor's wish to give. `key` is made by the donor's client and known to nobody else.

    The secret that opens the pledge is derived from it, so a retry gets the same secret although only its
    hash is kept. That makes the key a secret too; a short one, which others might also choose, is refused.
    """

    line_id: LineId
    packs: Packs
    principal: str
    key: str

    def __post_init__(self) -> None:
        if not 1 <= self.packs <= MOST_PACKS:
            raise invalid("packs-invalid", f"A pledge is 1 to {MOST_PACKS} packs.")
        if not self.key:
            raise invalid("idempotency-key-missing", "A pledge needs a key that its client made.")
        if not SHORTEST_KEY <= len(self.key) <= LONGEST_KEY or not self.key.isprintable():
            raise invalid(
                "idempotency-key-malformed",
                f"The key of a pledge is {SHORTEST_KEY} to {LONGEST_KEY} characters that nobody can guess.",
            )

    @property
    def key_hash(self) -> bytes:
        """Finds the pledge of a retry without keeping what the retry shows."""
        return hashlib.sha256(f"pledge\0{self.principal}\0{self.key}".encode()).digest()

    def secret(self, pledge_id: PledgeId) -> str:
        """Opens the pledge; the same for every retry, and not to be had from anything that is stored."""
        derived = hmac.digest(self.key.encode(), b"pledge secret\0" + pledge_id.bytes, "sha256")
        return base64.urlsafe_b64encode(derived[:24]).decode()


def hashed(secret: str) -> bytes:
    """What is kept of a secret."""
    if not 16 <= len(secret) <= 64:
        raise invalid("secret-malformed", "This is not the secret of a pledge.")
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The answer to a donor whose promise was taken."""

    pledge_id: PledgeId
    secret: str
    packs: Packs
    send_by: datetime


@dataclass(frozen=True, slots=True)
class Pledge:
    """A promise of packs of one line. `label` names its parcel once there is one."""

    pledge_id: PledgeId
    line_id: LineId
    item_id: ItemId
    packs: Packs
    pack_size: Pieces
    state: PledgeState
    send_by: datetime
    warehouse_id: WarehouseId
    label: Label | None

    def may_pack(self, quantity: Pieces) -> None:
        """Only an unpacked promise is packed, with any count that a parcel can hold."""
        if self.state is not PledgeState.PLEDGED:
            raise self._late("already-packed", "This pledge has its parcel.")
        if not 1 <= quantity <= 2 * self.packs * self.pack_size:
            raise invalid("quantity-invalid", "A parcel holds one piece to twice what was pledged.")

    def may_send(self) -> None:
        if self.state is not PledgeState.PACKED:
            reason = "not-packed" if self.state is PledgeState.PLEDGED else "already-sent"
            raise self._late(reason, "There is no packed parcel that waits to be sent.")

    def _late(self, reason: str, message: str) -> Refusal:
        if self.state is PledgeState.EXPIRED:
            return refused("pledge-expired", "It was not sent in time and stands on the list again.")
        return refused(reason, message)


def send_by(now: datetime, patience: timedelta) -> datetime:
    """When an unsent promise ends: at a whole hour, so that all of an hour end together and tell nothing."""
    exact = now + patience
    floor = exact.replace(minute=0, second=0, microsecond=0)
    return floor if floor == exact else floor + timedelta(hours=1)
