"""Others' events arrive: a member of a Kafka group that keeps its positions in PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from services.chassis import logs, parking
from services.chassis.apply import Applier, Handler
from services.chassis.arrivals import Arrivals
from services.chassis.database import LOST, Database, Wakeup
from services.chassis.health import Progress
from services.chassis.kafka import KafkaSettings, close_consumer, connect_consumer
from services.chassis.metrics import Metrics
from services.chassis.reader import FINISH_S, Reader
from services.chassis.tasks import ended, watched
from services.chassis.topics import Topic
from services.chassis.turns import Turns
from services.chassis.work import Work, WorkFactory

_log = logs.logger("consumer")

W = TypeVar("W", bound=Work)

LOOK_S = 5.0
# A key that waits longer for a missing sequence waits for something that does not come by itself.
ALARM_S = 60.0
# What a broker's absence looks like: a new membership may mend it.
_LOST = (KafkaError, OSError, TimeoutError)

_POSITIONS = "SELECT topic, partition, next_offset FROM consumer_position WHERE consumer = $1"
_PARKED_LATELY = """
SELECT count(*) FROM parked WHERE consumer = $1 AND reason <> $2 AND parked_at > now() - interval '1 hour'
"""
_KEPT = """
SELECT (SELECT count(*) FROM parked WHERE consumer = $1) AS parked,
       count(*) AS waiting, extract(epoch FROM clock_timestamp() - min(since))::float AS oldest
FROM (SELECT min(since) AS since FROM waiting WHERE consumer = $1 GROUP BY topic, key) AS keys
"""


class Consumer(Generic[W]):
    """Reads the topics of one consumer group and applies their events, exactly once in effect.

    Each partition is read by a task of its own. What lies there of all of them goes into one transaction, of
    some 500 records, and nothing waits to fill it. Which offset is next only PostgreSQL says; the offsets
    committed to Kafka are for lag tools. A second owner of a partition, however it came about, cannot commit.
    """

    name = "consumer"

    def __init__(
        self,
        database: Database,
        kafka: KafkaSettings,
        works: WorkFactory[W],
        consumer: str,
        topics: Sequence[Topic],
        handlers: Mapping[str, Handler[W]],
        *,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress("consumer")
        self._database = database
        self._settings = kafka
        self._consumer = consumer
        self._topics = {topic.name: topic for topic in topics}
        self._metrics = metrics or Metrics()
        self._applier = Applier(works, consumer, handlers, self._metrics)
        self._readers: dict[TopicPartition, Reader[W]] = {}
        self._changed = Wakeup()
        self._turns = Turns(self._applier)
        self._rebalancing = False
        self._connecting = False
        self._stopping = False
        self._late = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin in the background: the service serves whether or not Kafka is there."""
        self._task = asyncio.create_task(self._run(), name="consumer")

    async def watch(self) -> None:
        await watched(self._task)

    async def drain(self) -> None:
        """Take no more records, finish the transactions that run."""
        self._stopping = True
        self._changed.set()
        if self._task is not None and self._connecting:
            self._task.cancel()
        await ended(self._task, FINISH_S + 6)

    async def _run(self) -> None:
        attempt = 0
        await self._begin()
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._member()
            except _LOST as error:
                _log.warning("consumer-lost-kafka", cause=type(error).__name__)
            self.progress.idle()
            attempt = 0 if time.monotonic() - began > 30 else attempt + 1
            if not self._stopping:
                await self._changed.wait(min(0.1 * 2**attempt, 3.0))

    async def _begin(self) -> None:
        async with self._database.lend() as connection:
            self._applier.begin(await connection.fetchval(_PARKED_LATELY, self._consumer, parking.BEHIND))

    async def _member(self) -> None:
        """One membership of the group: until told to stop, or until something breaks."""
        self._connecting = True
        try:
            kafka = await connect_consumer(
                self._settings, self._consumer, list(self._topics), _Listener(self.revoked, self.assigned)
            )
        finally:
            self._connecting = False
        arrivals = Arrivals(kafka)
        watcher = asyncio.create_task(self._watch_lag(kafka), name="consumer-lag")
        try:
            while not self._stopping:
                self._read_assigned(kafka, arrivals)
                await self._changed.wait(1.0)
                _raise_broken([watcher, *(reader.task for reader in self._readers.values())])
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])
            try:
                await self._release()
            finally:
                arrivals.close()
                await close_consumer(kafka)

    async def revoked(self) -> None:
        """The group is about to share its partitions out anew: finish with all of them first."""
        self._rebalancing = True
        await self._release()

    async def assigned(self) -> None:
        self._rebalancing = False
        self._changed.set()

    def _read_assigned(self, kafka: AIOKafkaConsumer, arrivals: Arrivals) -> None:
        """Have a reader for each partition that is ours, and for no other."""
        ours = set() if self._rebalancing else kafka.assignment()
        for partition in list(self._readers):
            if self._readers[partition].task.done():
                del self._readers[partition]
        for partition in ours - self._readers.keys():
            reader = Reader(
                kafka, arrivals, partition, self._topics[partition.topic], self._consumer,
                self._database, self._turns, self.progress,
            )  # fmt: skip
            reader.task.add_done_callback(lambda _: self._changed.set())
            self._readers[partition] = reader

    async def _release(self) -> None:
        readers, self._readers = list(self._readers.values()), {}
        await asyncio.gather(*(reader.stop() for reader in readers))
        _raise_broken([reader.task for reader in readers], fatal_only=True)

    async def _watch_lag(self, kafka: AIOKafkaConsumer) -> None:
        """Judge by progress: records that lie in Kafka while no position moves mean that somebody is stuck.

        The end of each partition is asked of the broker anew, because a fetcher that hangs knows none.
        """
        stood: dict[TopicPartition, int] = {}
        while True:
            try:
                async with asyncio.timeout(5):
                    ends = await kafka.end_offsets(self._partitions())
                stands = await self._stands()
                self._judge(ends, stands, stood)
                await self._tell_kafka(kafka, stands)
                await self._count_kept()
                stood = stands
            except (*_LOST, *LOST, asyncpg.PostgresError) as error:
                # Neither Kafka's absence nor the database's is for a restart of ours to mend.
                self.progress.idle()
                _log.warning("consumer-lag-unknown", cause=type(error).__name__)
            await asyncio.sleep(LOOK_S)

    def _judge(
        self, ends: Mapping[TopicPartition, int], stands: Mapping[TopicPartition, int],
        stood: Mapping[TopicPartition, int],
    ) -> None:  # fmt: skip
        lags = dict.fromkeys(self._topics, 0)
        for partition, end in ends.items():
            lags[partition.topic] += max(0, end - stands.get(partition, end))
        for topic, lag in lags.items():
            self._metrics.consumer_lag_records.labels(topic).set(lag)
        if stands != stood:
            self.progress.moved()
        if any(lags.values()):
            self.progress.busy()
        else:
            self.progress.idle()

    async def _stands(self) -> dict[TopicPartition, int]:
        async with self._database.lend() as connection:
            rows = await connection.fetch(_POSITIONS, self._consumer)
        return {
            TopicPartition(row["topic"], row["partition"]): row["next_offset"]
            for row in rows
            if row["topic"] in self._topics
        }

    async def _tell_kafka(self, kafka: AIOKafkaConsumer, stands: Mapping[TopicPartition, int]) -> None:
        """Lag tools read the offsets in Kafka; nothing of ours does."""
        ours = {partition: stands[partition] for partition in kafka.assignment() & stands.keys()}
        try:
            if ours:
                async with asyncio.timeout(5):
                    await kafka.commit(ours)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            _log.debug("kafka-offsets-not-committed", cause=type(error).__name__)

    async def _count_kept(self) -> None:
        async with self._database.lend() as connection:
            row = await connection.fetchrow(_KEPT, self._consumer)
        if row is not None:
            self._metrics.parked_messages.set(row["parked"])
            self._metrics.inbox_waiting_keys.set(row["waiting"])
            self._metrics.inbox_waiting_oldest_seconds.set(row["oldest"] or 0.0)
            self._alarm(row["waiting"], row["oldest"] or 0.0)

    def _alarm(self, keys: int, oldest: float) -> None:
        """Say once that a key waits for too long, and once that none does any more."""
        late = oldest > ALARM_S
        if late and not self._late:
            _log.error("keys-wait-for-a-missing-event", keys=keys, oldest_s=round(oldest), mend="make reseed")
        elif self._late and not late:
            _log.info("no-key-waits-too-long", keys=keys)
        self._late = late

    def _partitions(self) -> list[TopicPartition]:
        return [
            TopicPartition(topic.name, number)
            for topic in self._topics.values()
            for number in range(topic.partitions)
        ]


@ConsumerRebalanceListener.register
class _Listener:
    """aiokafka swallows what is raised here, so nothing here decides anything: positions do."""

    def __init__(
        self, revoked: Callable[[], Awaitable[None]], assigned: Callable[[], Awaitable[None]]
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._assigned()


def _raise_broken(tasks: Sequence[asyncio.Task[None]], fatal_only: bool = False) -> None:
    """Raise what ended a task, if anything did."""
    for task in tasks:
        error = task.exception() if task.done() and not task.cancelled() else None
        if error is not None and not (fatal_only and isinstance(error, _LOST)):
            raise error
