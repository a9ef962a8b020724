"""One partition, read by one task: fetch a batch, apply it, go on from where PostgreSQL says it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from services.chassis import logs
from services.chassis.apply import Applier
from services.chassis.database import Database
from services.chassis.health import Progress
from services.chassis.inbox import Position
from services.chassis.tasks import ended
from services.chassis.topics import Topic
from services.chassis.work import StaleError, Work

_log = logs.logger("consumer")

W = TypeVar("W", bound=Work)

BATCH = 500
FINISH_S = 8.0
_FETCH_MS = 1000
# A partition may be fetched from a wrong place once or twice around a rebalance, not for ever.
_JUMPS = 5

_STANDS = """
SELECT topic, partition, next_offset, version FROM consumer_position
WHERE consumer = $1 AND topic = $2 AND partition = $3
"""
_BEGIN = """
INSERT INTO consumer_position (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
"""


class PositionLostError(Exception):
    """Kafka no longer has what is to be read next, or never had it: a human decides, nothing is skipped."""


class Reader(Generic[W]):
    """Reads one partition from its making until it is stopped, its partition is taken away, or it breaks."""

    def __init__(
        self,
        kafka: AIOKafkaConsumer,
        partition: TopicPartition,
        topic: Topic,
        consumer: str,
        database: Database,
        applier: Applier[W],
        progress: Progress,
    ) -> None:
        self._kafka = kafka
        self._partition = partition
        self._topic = topic
        self._consumer = consumer
        self._database = database
        self._applier = applier
        self._progress = progress
        self._fetching = False
        self._stopping = False
        self._jumps = 0
        self.task = asyncio.create_task(self._run(), name=f"reader {partition.topic} {partition.partition}")

    async def stop(self) -> None:
        """Finish the batch that is being applied; what was only fetched will be fetched again."""
        self._stopping = True
        if self._fetching:
            self.task.cancel()
        await ended(self.task, FINISH_S)

    async def _run(self) -> None:
        try:
            position = await self._seek()
            while not self._stopping:
                records = await self._fetch()
                if records is None or (records and not self._follows(position, records)):
                    position = await self._seek()
                elif records:
                    position = await self._apply(position, records)
        except (IllegalStateError, ConsumerStoppedError):
            return  # the partition is no longer ours

    async def _fetch(self) -> Sequence[ConsumerRecord] | None:
        """What has arrived, nothing after a second, or None when Kafka does not know where we stand."""
        self._fetching = True
        try:
            found = await self._kafka.getmany(self._partition, timeout_ms=_FETCH_MS, max_records=BATCH)
            records: Sequence[ConsumerRecord] = found.get(self._partition, ())
            return records
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            return None
        finally:
            self._fetching = False

    async def _apply(self, position: Position, records: Sequence[ConsumerRecord]) -> Position:
        try:
            moved = await self._applier.batch(self._topic, position, records)
        except StaleError:
            _log.warning("another-owner-moved-on", topic=self._topic.name)
            return await self._seek()
        self._progress.moved()
        return moved

    def _follows(self, position: Position, records: Sequence[ConsumerRecord]) -> bool:
        """Whether the first record is the one that is to be read next; a compacted topic has holes."""
        first = records[0].offset
        if first == position.next_offset or (self._topic.compacted and first > position.next_offset):
            self._jumps = 0
            return True
        self._jumps += 1
        _log.warning("fetched-from-elsewhere", topic=self._topic.name, jumps=self._jumps)
        if self._jumps > _JUMPS:
            raise PositionLostError(f"{self._topic.name}: the record to be read next is not there")
        return False

    async def _seek(self) -> Position:
        """Look up where we stand and make Kafka go there. A new consumer begins where the log begins."""
        begins = (await self._kafka.beginning_offsets([self._partition]))[self._partition]
        ends = (await self._kafka.end_offsets([self._partition]))[self._partition]
        position = await self._stands(begins)
        if position.next_offset > ends or (position.next_offset < begins and not self._topic.compacted):
            raise PositionLostError(f"{self._topic.name}: stands outside of what Kafka has")
        self._kafka.seek(self._partition, max(position.next_offset, begins))
        return position

    async def _stands(self, begins: int) -> Position:
        which = (self._consumer, self._partition.topic, self._partition.partition)
        while True:
            try:
                async with self._database.lend() as connection:
                    row = await connection.fetchrow(_STANDS, *which)
                    if row is not None:
                        return Position(*row)
                    await connection.execute(_BEGIN, *which, begins)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("position-unknown", error, topic=self._topic.name)
                await asyncio.sleep(0.5)
