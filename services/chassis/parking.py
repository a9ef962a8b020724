"""Records that cannot be applied now, kept whole: some wait for an earlier one, some are parked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from services.chassis.envelope import Received, Record
from services.chassis.work import Work

BEHIND = "behind-a-parked-record"

_WAIT = """
INSERT INTO waiting (consumer, topic, key, epoch, sequence, partition, "offset", headers, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""
_PARK = """
INSERT INTO parked (consumer, topic, key, epoch, sequence, partition, "offset", headers, payload, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING
"""
_WAITING = """
SELECT topic, partition, "offset", headers, payload FROM waiting
WHERE consumer = $1 AND topic = $2 AND key = $3 AND epoch = $4 AND sequence > $5 ORDER BY sequence
"""
_UNWAIT = """
DELETE FROM waiting WHERE consumer = $1 AND topic = $2 AND key = $3 AND (epoch, sequence) <= ($4, $5::bigint)
"""
# A record that could not be read has no sequence; full state of its key makes up for it as well.
_UNPARK = """
DELETE FROM parked WHERE consumer = $1 AND topic = $2 AND key = $3
    AND (sequence IS NULL OR (epoch, sequence) <= ($4, $5::bigint))
"""
_KEPT = """
SELECT EXISTS (SELECT FROM waiting WHERE consumer = $1 AND topic = $2 AND key = $3) AS waits,
       EXISTS (SELECT FROM parked WHERE consumer = $1 AND topic = $2 AND key = $3) AS parked
"""
# The consumer decides by the version: whoever changes what it has seen moves it, and holds it meanwhile.
_UNPARKED = """
WITH held AS (
    UPDATE consumer_position SET version = version + 1 FROM parked
    WHERE parked.id = $1 AND consumer_position.consumer = parked.consumer
        AND consumer_position.topic = parked.topic AND consumer_position.partition = parked.partition
    RETURNING parked.id
)
DELETE FROM parked USING held WHERE parked.id = held.id
RETURNING parked.topic, parked.partition, parked."offset", parked.headers, parked.payload
"""


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record as Kafka gave it, read back from a row."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def wait(work: Work, consumer: str, record: Record, event: Received) -> None:
    """Keep a record that came before an earlier one of its key."""
    work.write(
        _WAIT, consumer, event.topic, event.key, event.epoch, event.sequence, *_columns(record)
    )  # fmt: skip


def park(work: Work, consumer: str, record: Record, event: Received | None, reason: str) -> None:
    """Set a record aside. `event` is None when the record could not even be read.

    `reason` is a slug or the name of an exception's class, never its text, which may quote data.
    """
    key = event.key if event else key_of(record)
    epoch, sequence = (event.epoch, event.sequence) if event else (None, None)
    work.write(_PARK, consumer, record.topic, key, epoch, sequence, *_columns(record), reason)


def key_of(record: Record) -> str:
    """The key of a record that could not be read, as it is parked."""
    return (record.key or b"").decode(errors="replace").replace("\0", "\ufffd")


async def waiting(
    work: Work, consumer: str, topic: str, key: str, epoch: int, after: int
) -> list[KeptRecord]:
    """What waits of this key after that sequence, in order."""
    return [
        restored(row)
        for row in await work.connection.fetch(_WAITING, consumer, topic, key, epoch, after)
    ]  # fmt: skip


def unwait(work: Work, consumer: str, topic: str, key: str, epoch: int, last: int) -> None:
    """Forget what waits of this key up to that sequence."""
    work.write(_UNWAIT, consumer, topic, key, epoch, last)


async def settle(work: Work, consumer: str, snapshot: Received) -> None:
    """Full state makes up for everything of its key that is older."""
    which = (consumer, snapshot.topic, snapshot.key, snapshot.epoch, snapshot.sequence)
    await work.connection.execute(_UNWAIT, *which)
    await work.connection.execute(_UNPARK, *which)


async def kept(work: Work, consumer: str, topic: str, key: str) -> tuple[bool, bool]:
    """Whether anything of this key waits, and whether anything is parked."""
    row = await work.connection.fetchrow(_KEPT, consumer, topic, key)
    return (row["waits"], row["parked"]) if row else (False, False)


async def unpark(work: Work, parked_id: int) -> KeptRecord | None:
    """Take a parked record out; None if it is gone. Until the work ends, its consumer cannot commit."""
    row = await work.connection.fetchrow(_UNPARKED, parked_id)
    return restored(row) if row else None


def restored(row: asyncpg.Record) -> KeptRecord:
    """The record that a row of `waiting` or `parked` keeps."""
    headers, key = msgspec.msgpack.decode(row["headers"], type=tuple[list[tuple[str, bytes]], bytes | None])
    return KeptRecord(row["topic"], row["partition"], row["offset"], key, row["payload"], headers)


def _columns(record: Record) -> tuple[int, int, bytes, bytes]:
    headers = msgspec.msgpack.encode((list(record.headers), record.key))
    return record.partition, record.offset, headers, record.value or b""
