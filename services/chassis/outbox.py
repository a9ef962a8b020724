"""The outbox: an event is a row of the transaction that made it true, numbered under its stream's lock."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import msgspec

from services.chassis.envelope import Announcement, stated
from services.chassis.kafka import LARGEST_RECORD

# A key bucket has one relay, so a key has one sender. Changing the number reorders what is pending.
BUCKETS = 16

# The event's id must be drawn after its stream's row is locked: the INSERT selects FROM `locked`, whose rows
# exist only once their lock is held. A CTE that nobody reads would run after the ids were drawn.
# Streams are locked in (topic, key) order, so two works that share several streams cannot deadlock.
# {landed} reads the effects of the same statement, so they happen before any stream is locked.
ANNOUNCED = """
said AS (
    SELECT * FROM unnest({p0}::smallint[], {p1}::text[], {p2}::text[], {p3}::text[], {p4}::bytea[])
        WITH ORDINALITY AS said (bucket, topic, key, headers, payload, nth)
), counted AS (
    SELECT topic, key, count(*) AS many FROM said WHERE {landed} GROUP BY topic, key
), locked AS (
    INSERT INTO stream (topic, key, epoch, last)
    SELECT topic, key, (SELECT epoch FROM lineage), many FROM counted ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET last = stream.last + EXCLUDED.last
    RETURNING topic, key, epoch, last
), announced AS (
    INSERT INTO outbox (bucket, topic, key, headers, payload, epoch, sequence)
    SELECT bucket, topic, key, headers::jsonb, payload, epoch,
           last - many + row_number() OVER (PARTITION BY topic, key ORDER BY nth)
    FROM locked JOIN counted USING (topic, key) JOIN said USING (topic, key)
    ORDER BY nth
)"""

# The same for one event, which is most of them: no grouping, no join, no sort.
ANNOUNCED_ONE = """
locked AS (
    INSERT INTO stream (topic, key, epoch, last)
    SELECT {p1}::text, {p2}::text, epoch, 1 FROM lineage WHERE {landed}
    ON CONFLICT (topic, key) DO UPDATE SET last = stream.last + 1
    RETURNING topic, key, epoch, last
), announced AS (
    INSERT INTO outbox (bucket, topic, key, headers, payload, epoch, sequence)
    SELECT {p0}::smallint, topic, key, {p3}::jsonb, {p4}::bytea, epoch, last FROM locked
)"""


class UnsendableError(Exception):
    """An event that Kafka would refuse; it is refused before anything is committed on its account."""


def bucket(topic: str, key: str) -> int:
    return crc32(f"{topic}\0{key}".encode()) % BUCKETS


# bucket, topic, key, headers as JSON, payload
Row = tuple[int, str, str, str, bytes]


def row(announcement: Announcement) -> Row:
    """The event as the outbox keeps it, without the numbers that are drawn for it.

    Raises UnsendableError unless Kafka will take it: a row that cannot leave would block its bucket for ever.
    """
    if not announcement.key:
        raise UnsendableError(f"{announcement.type}: the key is empty")
    headers = msgspec.json.encode(stated(announcement)).decode()
    if "\\u0000" in headers or "\0" in announcement.key:
        raise UnsendableError(f"{announcement.type}: a header or the key holds a NUL")
    size = len(announcement.payload) + len(headers.encode()) + len(announcement.key.encode())
    if size > LARGEST_RECORD:
        raise UnsendableError(f"{announcement.type}: {size} bytes are more than {LARGEST_RECORD}")
    where = bucket(announcement.topic, announcement.key)
    return where, announcement.topic, announcement.key, headers, announcement.payload


def arguments(rows: Sequence[Row]) -> tuple[object, ...]:
    """What ANNOUNCED binds, or ANNOUNCED_ONE when there is one."""
    return rows[0] if len(rows) == 1 else tuple(map(list, zip(*rows, strict=True)))
