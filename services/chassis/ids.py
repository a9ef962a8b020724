"""Ids that sort by time inside a classification, and ids that tell nothing across one.

They are as the database's driver has them: UUIDs that are read, written and sent without a line of Python.
"""

from __future__ import annotations

import os
import secrets
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

# No 0/O, 1/I/L, U/V, 2/Z, 5/S, 8/B: it is read aloud on a telephone and copied from a box by hand.
ALPHABET = "34679ACDEFGHJKMNPQRTVWXY"


def uuid7() -> UUID:
    """An id for use within one classification: it sorts by creation and so tells when it was made."""
    return pgproto.UUID(uuid_utils.uuid7().bytes)


def parsed(text: str) -> UUID:
    """The id that is written there; ValueError for what is none."""
    return pgproto.UUID(text)


def random_id() -> UUID:
    """An id for what crosses to a lower classification: it tells neither when nor where it was made."""
    drawn = bytearray(os.urandom(16))
    drawn[6] = drawn[6] & 0x0F | 0x40  # version 4
    drawn[8] = drawn[8] & 0x3F | 0x80  # of RFC 9562
    return pgproto.UUID(bytes(drawn))


def code(n: int = 8) -> str:
    """A code that a person can read aloud; 4.58 bits a character, from the system's entropy in one draw."""
    drawn = secrets.randbelow(len(ALPHABET) ** n)
    letters = []
    for _ in range(n):
        drawn, which = divmod(drawn, len(ALPHABET))
        letters.append(ALPHABET[which])
    return "".join(letters)
