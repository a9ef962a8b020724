"""A thief: has copies of databases, and some keys; tries every key on everything that could be sealed with it.

The thief does not know for what a sealed thing was meant, and needs not: whoever ignores the tag of AES-GCM decrypts
with the key and the nonce alone. So nothing is left out because its context is not guessed, and whatever comes out
is looked through for words that were planted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY = 32
NONCE = 12
TAG = 16
HEAD = 1 + NONCE
NAME = 8
"""A key that a key-encryption key wrapped begins with the name of that one."""

_COLUMNS = """
SELECT table_schema, table_name, column_name FROM information_schema.columns
JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema IN ('public', 'keystore') AND data_type = 'bytea' AND table_type = 'BASE TABLE'
"""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('public', 'keystore')
"""


@dataclass(frozen=True, slots=True)
class Loot:
    """Copies: every value of bytes, and every row as text."""

    blobs: frozenset[bytes] = frozenset()
    texts: tuple[str, ...] = field(default=(), repr=False)

    def __add__(self, other: Loot) -> Loot:
        return Loot(self.blobs | other.blobs, (*self.texts, *other.texts))


async def copied(connection: asyncpg.Connection[asyncpg.Record]) -> Loot:
    """All of a database."""
    blobs: set[bytes] = set()
    for column in await connection.fetch(_COLUMNS):
        schema, table, name = column
        rows = await connection.fetch(f'SELECT "{name}" FROM "{schema}"."{table}" WHERE "{name}" IS NOT NULL')
        blobs |= {row[0] for row in rows}
    texts = []
    for table in await connection.fetch(_TABLES):
        rows = await connection.fetch(f"SELECT row::text FROM {table['name']} AS row")
        texts += [row["row"] for row in rows]
    return Loot(frozenset(blobs), tuple(texts))


def read_with(keks: Iterable[bytes], loot: Loot) -> Iterator[bytes]:
    """Whatever can be made of the loot with these key-encryption keys, as it is or after up to three levels of keys."""
    wrapped_by_kek = _of_length(loot, NAME + HEAD, TAG)
    wrapped = _of_length(loot, HEAD, TAG)
    agencies = {key for kek, blob in product(set(keks), wrapped_by_kek) for key in _keys(kek, blob[NAME:])}
    persons = {key for agency, blob in product(agencies, wrapped) for key in _keys(agency, blob)}
    yield from loot.blobs
    yield from (text.encode() for text in loot.texts)
    sealed = [blob for blob in loot.blobs if len(blob) > HEAD + TAG]
    for key, blob in product({*keks, *agencies, *persons}, sealed):
        yield _decrypted(key, blob)


def lying_about(loot: Loot) -> set[bytes]:
    """Everything in the loot that could be a key in the clear."""
    words = {word for text in loot.texts for word in text.replace('"', ",").split(",")}
    decoded = {raw for word in words if len(word) in (43, 44, 64) for raw in _decodings(word)}
    return {blob for blob in (*loot.blobs, *decoded) if len(blob) == KEY}


def found(words: Sequence[str], read: Iterable[bytes]) -> set[str]:
    """Which of the words can be read, in the clear or as hexadecimal digits."""
    needles = {word: (word.encode(), word.encode().hex().encode()) for word in words}
    seen: set[str] = set()
    for content in read:
        seen |= {word for word, forms in needles.items() if any(form in content for form in forms)}
    return seen


def _of_length(loot: Loot, head: int, tail: int) -> list[bytes]:
    """Blobs that hold one key, or two while it is renewed, between head and tail."""
    return [blob for blob in loot.blobs if len(blob) - head - tail in (KEY, 2 * KEY)]


def _keys(key: bytes, wrapped: bytes) -> Iterator[bytes]:
    raw = _decrypted(key, wrapped)
    return (raw[start : start + KEY] for start in range(0, len(raw), KEY))


def _decrypted(key: bytes, sealed: bytes) -> bytes:
    """AES-GCM without looking at the tag: counter mode from 2 on."""
    counter = sealed[1:HEAD] + (2).to_bytes(4, "big")
    decryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor()
    return decryptor.update(sealed[HEAD:-TAG])


def _decodings(word: str) -> Iterator[bytes]:
    for decode in (
        bytes.fromhex,
        lambda text: base64.b64decode(text + "=" * (-len(text) % 4), validate=True),
    ):
        try:
            yield decode(word)
        except ValueError:
            continue


def key_backups(into: Path) -> list[Path]:
    """The newest last."""
    return sorted((into / "keys").glob("*.dump"))
