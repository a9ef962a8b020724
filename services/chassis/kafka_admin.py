"""What operations ask of Kafka: how far a group has come, the newest record of each key, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupIdNotFound,
    GroupLoadInProgressError,
    KafkaError,
    NonEmptyGroup,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DeleteGroupsRequest

from services.chassis.envelope import Record
from services.chassis.kafka import KafkaSettings, close_consumer

UNREACHABLE: tuple[type[Exception], ...] = (KafkaError, OSError, TimeoutError)
_LOOK_AGAIN_S = 0.25


class GroupInUseError(Exception):
    """A consumer group still has members, so what it has read cannot be forgotten."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a group has come in one partition: the next offset it will read, and the end of the log."""

    topic: str
    partition: int
    committed: int
    end: int

    @property
    def lag(self) -> int:
        return max(0, self.end - self.committed)


class Lookout:
    """Looks at a group from outside, over connections of its own, whatever the group believes of itself."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str) -> None:
        self._admin = admin
        self._consumer = consumer
        self._group = group

    @classmethod
    @asynccontextmanager
    async def over(cls, settings: KafkaSettings, group: str) -> AsyncIterator[Lookout]:
        """Connected until the block is left; raises one of UNREACHABLE when no broker answers."""
        async with _admin(settings) as admin, _reader(settings) as consumer:
            yield cls(admin, consumer, group)

    async def partitions(self, topic: str) -> int:
        """How many partitions the broker has; 0 when there is no such topic."""
        return await _partitions(self._admin, topic)

    async def standings(self, partitions: Mapping[str, int]) -> list[Standing]:
        """One for each partition of these topics. A partition without a commit stands at its beginning."""
        wanted = [TopicPartition(topic, each) for topic, count in partitions.items() for each in range(count)]
        committed = await self._admin.list_consumer_group_offsets(self._group, partitions=wanted)
        if not committed.keys() >= set(wanted):
            # aiokafka passes over the error of the answer as a whole: the coordinator is still loading.
            raise GroupLoadInProgressError(self._group)
        ends = await self._consumer.end_offsets(wanted)
        starts = await self._consumer.beginning_offsets(wanted)
        return [
            Standing(each.topic, each.partition, max(committed[each].offset, starts[each]), ends[each])
            for each in wanted
        ]


async def newest(settings: KafkaSettings, topic: str) -> dict[str, Record]:
    """The last record of each key up to the present end of a topic."""
    found: dict[str, Record] = {}
    async with _admin(settings) as admin, _reader(settings) as consumer:
        partitions = [TopicPartition(topic, each) for each in range(await _partitions(admin, topic))]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    found.update((record.key.decode(), record) for record in records if record.key)
    return found


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> int:
    return len((await admin.describe_topics([topic]))[0]["partitions"])


@dataclass(frozen=True, slots=True)
class OwnTopic:
    """A topic that one process keeps for itself, and that `topics.yaml` therefore does not know."""

    name: str
    partitions: int
    replication: int
    configuration: Mapping[str, str]


async def make(settings: KafkaSettings, topics: Collection[OwnTopic]) -> None:
    """Make those of the topics that are missing, and return when all are there to be subscribed to."""
    wanted = [
        NewTopic(each.name, each.partitions, each.replication, topic_configs=dict(each.configuration))
        for each in topics
    ]
    async with _admin(settings) as admin:
        answer = await admin.create_topics(wanted)
        for _, code, *_ in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)()
        for each in topics:
            while await _partitions(admin, each.name) == 0:  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(_LOOK_AGAIN_S)


async def forget(settings: KafkaSettings, group: str, topic_prefix: str, patience: timedelta) -> list[str]:
    """Delete the offsets of a group and every topic whose name begins so; their names are returned.

    A member that died is counted until its session ends, so this waits for `patience` at most; raises
    GroupInUseError when somebody is still there then.
    """
    async with _admin(settings) as admin:
        try:
            async with asyncio.timeout(patience.total_seconds()):
                while not await _deleted(admin, group):  # noqa: ASYNC110 - Kafka tells nobody
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            raise GroupInUseError(group) from None
        topics = await _beginning_with(admin, topic_prefix)
        if topics:
            answer = await admin.delete_topics(topics)
            for _, code, *_ in answer.topic_error_codes:
                if code and for_code(code) is not UnknownTopicOrPartitionError:
                    raise for_code(code)()
        while await _beginning_with(admin, topic_prefix):  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(_LOOK_AGAIN_S)
        return topics


async def _deleted(admin: AIOKafkaAdminClient, group: str) -> bool:
    """False when the group has members; a group that nobody knows counts as deleted."""
    coordinator = await admin.find_coordinator(group)
    answer = await admin._send_request_to_node(coordinator, DeleteGroupsRequest([group]))
    error = for_code(answer.results[0][1])
    if error is NonEmptyGroup:
        return False
    if answer.results[0][1] and error is not GroupIdNotFound:
        raise error()
    return True


async def _beginning_with(admin: AIOKafkaAdminClient, prefix: str) -> list[str]:
    return sorted(topic for topic in await admin.list_topics() if topic.startswith(prefix))


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap, request_timeout_ms=settings.request_timeout_ms
    )
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _reader(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader that belongs to no group."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, enable_auto_commit=False, auto_offset_reset="none",
        request_timeout_ms=settings.request_timeout_ms,
    )  # fmt: skip
    try:
        await consumer.start()
        yield consumer
    finally:
        await close_consumer(consumer)
