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
from services.chassis.apply import Batch, MovedOnError, NotNowError
from services.chassis.arrivals import Arrivals
from services.chassis.database import LOST, Database
from services.chassis.health import Progress
from services.chassis.inbox import Position
from services.chassis.tasks import ended
from services.chassis.topics import Topic
from services.chassis.turns import Turn, Turns
from services.chassis.work import Work

_log = logs.logger("consumer")

W = TypeVar("W", bound=Work)

FINISH_S = 8.0
_LOST_LIMIT = 5
_LONGEST_BACKOFF_S = 5.0

_UNKNOWN_POSITION = (NoOffsetForPartitionError, OffsetOutOfRangeError)

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
        arrivals: Arrivals,
        partition: TopicPartition,
        topic: Topic,
        consumer: str,
        database: Database,
        turns: Turns[W],
        progress: Progress,
    ) -> None:
        self._kafka = kafka
        self._arrivals = arrivals
        self._partition = partition
        self._topic = topic
        self._consumer = consumer
        self._database = database
        self._turns = turns
        self._progress = progress
        self._turn: Turn | None = None
        self._stopping = False
        self._lost = 0
        self._attempt = 0
        self.task = asyncio.create_task(self._run(), name=f"reader {partition.topic} {partition.partition}")

    async def stop(self) -> None:
        """Finish the batch that is being applied; what was only fetched will be fetched again."""
        self._stopping = True
        if self._turn is None or not self._turn.begun:
            self.task.cancel()  # it may wait for an assignment that waits for us
        await ended(self.task, FINISH_S)

    async def _run(self) -> None:
        try:
            position = await self._seek()
            while not self._stopping:
                records = await self._fetch()
                if records is None or not self._follows(position, records):
                    position = await self._seek()
                else:
                    position = await self._apply(position, records)
        except (IllegalStateError, ConsumerStoppedError):
            return  # the partition is no longer ours

    async def _fetch(self) -> Sequence[ConsumerRecord] | None:
        """What has arrived, as soon as something has, or None when Kafka does not know where we stand."""
        try:
            return await self._arrivals.of(self._partition)
        except _UNKNOWN_POSITION:
            return None

    async def _apply(self, position: Position, records: Sequence[ConsumerRecord]) -> Position:
        try:
            moved = await self._in_turn(Batch(self._topic, position, records))
        except MovedOnError:
            _log.warning("another-owner-moved-on", topic=self._topic.name)
            return await self._seek()
        except NotNowError as error:
            _log.warning("partition-waits", error, topic=self._topic.name, attempt=self._attempt)
            await asyncio.sleep(min(0.05 * 2**self._attempt, _LONGEST_BACKOFF_S))
            self._attempt = min(self._attempt + 1, 10)
            return await self._seek()
        self._attempt = 0
        self._progress.moved()
        return moved

    async def _in_turn(self, batch: Batch) -> Position:
        self._turn = turn = Turn(batch, self._more)
        try:
            moved = await self._turns.take(turn)
        finally:
            self._turn = None
        return moved if turn.took_all(moved) else await self._seek()

    async def _more(self, offset: int) -> Sequence[ConsumerRecord]:
        """What has come while we waited for our turn, if it follows; nothing of a partition no longer ours."""
        try:
            records = await self._arrivals.now(self._partition)
        except (IllegalStateError, ConsumerStoppedError, *_UNKNOWN_POSITION):
            return ()
        return records if records and (records[0].offset == offset or self._topic.compacted) else ()

    def _follows(self, position: Position, records: Sequence[ConsumerRecord]) -> bool:
        """Whether the first record is the one that is to be read next; a compacted topic has holes."""
        first = records[0].offset
        if first == position.next_offset or (self._topic.compacted and first > position.next_offset):
            self._lost = 0
            return True
        self._count_lost("fetched-from-elsewhere")
        return False

    async def _seek(self) -> Position:
        """Look up where we stand and make Kafka go there. A new consumer begins where the log begins."""
        while True:
            begins = (await self._kafka.beginning_offsets([self._partition]))[self._partition]
            ends = (await self._kafka.end_offsets([self._partition]))[self._partition]
            position = await self._stands(begins)
            if (begins <= position.next_offset or self._topic.compacted) and position.next_offset <= ends:
                self._kafka.seek(self._partition, max(position.next_offset, begins))
                return position
            self._count_lost("stands-outside-of-the-log")
            await asyncio.sleep(1)

    def _count_lost(self, event: str) -> None:
        """Around a rebalance or a restart of the broker this may pass; for ever it may not."""
        self._lost += 1
        _log.warning(event, topic=self._topic.name, times=self._lost)
        if self._lost > _LOST_LIMIT:
            raise PositionLostError(f"{self._topic.name}: {event}")

    async def _stands(self, begins: int) -> Position:
        which = (self._consumer, self._partition.topic, self._partition.partition)
        while True:
            try:
                async with self._database.lend() as connection:
                    row = await connection.fetchrow(_STANDS, *which)
                    if row is not None:
                        return Position(*row)
                    await connection.execute(_BEGIN, *which, begins)
            except (*LOST, asyncpg.PostgresError) as error:
                _log.warning("position-unknown", error, topic=self._topic.name)
                await asyncio.sleep(0.5)
