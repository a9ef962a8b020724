"""The keys that phones seal entries to, and what opens an entry: HPKE as RFC 9180 has it, by `cryptography`."""

from collections.abc import Collection, Mapping
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from services.chassis.ids import random_id
from services.chassis.keyring import Keyring
from services.intake.application.entries_ports import EntryKey, Opener
from services.intake.application.ports import IntakeWork
from services.intake.domain.entries import OPENED_FOR, RENEWED_AFTER, SEALED_TO

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
INFO = b"aid entry v1"

_NEWEST = (
    "SELECT key_id, public, made_at FROM keystore.entry_key WHERE made_at > $1 ORDER BY made_at DESC LIMIT 1"
)
_KEEP = (
    "INSERT INTO keystore.entry_key (key_id, public, wrapped, sealed, made_at) VALUES ($1, $2, $3, $4, $5)"
)
_FORGET = "DELETE FROM keystore.entry_key WHERE made_at < $1"
_OPENING = """
SELECT key_id, wrapped, sealed FROM keystore.entry_key WHERE key_id = ANY ($1::uuid[]) AND made_at >= $2
"""


class PostgresEntryKeys:
    """Private keys lie in the key store, sealed under the key-encryption key."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def current(self, work: IntakeWork) -> EntryKey:
        """See the port. Whoever makes a key also deletes those that open nothing any more."""
        rows = await work.peek(_NEWEST, work.now - RENEWED_AFTER)
        if rows:
            return EntryKey(rows[0]["key_id"], rows[0]["public"], rows[0]["made_at"] + SEALED_TO)
        key_id, private = random_id(), X25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        sealing, wrapped = await self._keyring.new_agency_key(_context(key_id))
        sealed = sealing.seal(private.private_bytes_raw(), _context(key_id))
        work.write(_KEEP, key_id, public, wrapped, sealed, work.now)
        work.write(_FORGET, work.now - OPENED_FOR)
        return EntryKey(key_id, public, work.now + SEALED_TO)

    async def openers(self, work: IntakeWork, key_ids: Collection[UUID]) -> Mapping[UUID, Opener]:
        found: dict[UUID, Opener] = {}
        for row in await work.peek(_OPENING, list(key_ids), work.now - OPENED_FOR):
            context = _context(row["key_id"])
            raw = (await self._keyring.agency_key(context, row["wrapped"])).open(row["sealed"], context)
            found[row["key_id"]] = _opener(X25519PrivateKey.from_private_bytes(raw))
        return found


def _opener(private: X25519PrivateKey) -> Opener:
    def opened(sealed: bytes) -> bytes | None:
        try:
            return SUITE.decrypt(sealed, private, INFO)
        except (InvalidTag, ValueError):
            return None

    return opened


def _context(key_id: UUID) -> str:
    return f"entry-key:{key_id}"
