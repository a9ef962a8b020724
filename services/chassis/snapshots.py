"""Full state, said under the stream's lock: it fills gaps, seeds new consumers, begins an epoch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from services.chassis import logs
from services.chassis.database import Connection
from services.chassis.envelope import Announcement
from services.chassis.work import Work, WorkFactory

_log = logs.logger("snapshots")

W = TypeVar("W", bound=Work)

# Takes the row's lock whether or not the key has spoken before; the announcement draws the number itself.
_LOCK = """
INSERT INTO stream (topic, key, epoch, last) SELECT $1, $2, epoch, 0 FROM lineage
ON CONFLICT (topic, key) DO UPDATE SET last = stream.last
"""
_RAISE = """
UPDATE lineage SET epoch = GREATEST(epoch + 1, $1) RETURNING epoch
"""


class Snapshots(Protocol):
    """How a service tells the full state behind one of its topics."""

    def keys(self, connection: Connection) -> AsyncIterator[str]:
        """Every key that has state now."""

    async def snapshot(self, connection: Connection, key: str) -> Announcement | None:
        """The topic's snapshot event for this key, or None when it has no state to tell."""


async def reseed(works: WorkFactory[W], topic: str, key: str, snapshots: Snapshots) -> bool:
    """Say the key's full state with the next sequence; whether there was any.

    The stream's lock is taken before the state is read: no event of this key can come in between, so the
    snapshot holds the effect of every earlier sequence and of none later.
    """
    async with works() as work:
        await work.connection.execute(_LOCK, topic, key)
        announcement = await snapshots.snapshot(work.connection, key)
        if announcement is None:
            return False
        if (announcement.topic, announcement.key) != (topic, key):
            raise ValueError(f"the snapshot of a key of {topic} is for another stream")
        work.announce(replace(announcement, snapshot=True))
    return True


async def reseed_all(works: WorkFactory[W], topic: str, snapshots: Snapshots) -> int:
    """Say the full state of every key that has any; how many."""
    async with works() as work:
        keys = [key async for key in snapshots.keys(work.connection)]
    return sum([await reseed(works, topic, key, snapshots) for key in keys])


async def raise_epoch(works: WorkFactory[W]) -> int:
    """Begin a new epoch in a database that was restored from a backup; every key must be reseeded then.

    Sequences drawn after the backup were lost and will be drawn again for other events. Consumers tell them
    apart by the epoch. It counts minutes, so that no earlier restore can have had the same one.
    """
    minutes = int(datetime.now(UTC).timestamp()) // 60
    async with works.database.transaction() as connection:
        epoch: int = await connection.fetchval(_RAISE, minutes)
        await connection.execute("UPDATE stream SET epoch = $1", epoch)
    _log.warning("epoch-raised", epoch=epoch)
    return epoch
