"""How this process talks to Kafka: the settings, and clients that can be thrown away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.partitioner import murmur2
from pydantic import BaseModel

from services.chassis.envelope import Headers

# Kafka's own limit for a record is 1 MiB; what is refused above this leaves room for headers and framing.
LARGEST_RECORD = 900_000


class KafkaSettings(BaseModel):
    """Where the brokers are, and the name under which this process is known to its groups."""

    bootstrap: str
    instance_id: str | None = None
    request_timeout_ms: int = 10_000
    session_timeout_ms: int = 10_000
    # For how long a round of sends may stay unanswered before the producer is thrown away; less than the
    # patience of liveness, because Kafka's absence is not for a restart of ours to mend.
    delivery_timeout_s: float = 20.0


class Producer(Protocol):
    """What the relay needs of Kafka."""

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[object]:
        """Hand over one record; the future ends when all replicas have it. Raises KafkaError."""

    async def abandon(self) -> None:
        """Close, without waiting for what was not delivered."""


class KafkaProducer:
    """A producer that keeps the order of each partition and waits for all replicas.

    It partitions by murmur2 of the key bytes, Kafka's own default. Linger 0: a record leaves at once, and
    while one batch of a partition is under way the next one fills.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    @classmethod
    async def connect(cls, settings: KafkaSettings) -> KafkaProducer:
        """Raises KafkaError or OSError when no broker answers."""
        producer = cls(
            AIOKafkaProducer(
                bootstrap_servers=settings.bootstrap,
                client_id=settings.instance_id or "aid",
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=262_144,
                max_request_size=1_048_576,
                request_timeout_ms=settings.request_timeout_ms,
                retry_backoff_ms=200,
                partitioner=_partition,
            )
        )
        try:
            await producer._producer.start()
        except BaseException:
            await producer.abandon()
            raise
        return producer

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[object]:
        delivery: asyncio.Future[object] = await self._producer.send(topic, value, key=key, headers=headers)
        return delivery

    async def abandon(self) -> None:
        """aiokafka's idempotent producer never gives a batch up: `stop` would wait for a dead broker."""
        self._producer._message_accumulator.fail_all(ProducerClosed())
        with contextlib.suppress(KafkaError, OSError):
            await self._producer.stop()


@lru_cache(maxsize=8192)
def _hash(key: bytes) -> int:
    """Computed in Python, which takes longer than all else that is done to a record; keys speak again and again."""
    return int(murmur2(key)) & 0x7FFFFFFF


def _partition(key: bytes, partitions: Sequence[int], available: Sequence[int]) -> int:
    """As aiokafka's default does it for a record that has a key."""
    return partitions[_hash(key) % len(partitions)]


async def connect_consumer(
    settings: KafkaSettings, group: str, topics: list[str], listener: ConsumerRebalanceListener
) -> AIOKafkaConsumer:
    """A member of the group that trusts only the offsets it is told to seek to; raises KafkaError.

    Static membership: a restart within the session timeout gets its partitions back without a rebalance.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        client_id=settings.instance_id or "aid",
        group_id=group,
        group_instance_id=settings.instance_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=settings.request_timeout_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 5,
        retry_backoff_ms=200,
        max_partition_fetch_bytes=2_097_152,
        # A partition whose records were taken while a fetch was under way is asked for only by the next one.
        fetch_max_wait_ms=100,
    )
    consumer.subscribe(topics, listener=listener)
    try:
        await consumer.start()
    except BaseException:
        await close_consumer(consumer)
        raise
    return consumer


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave; a broker that does not answer may not keep us."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(5):
            await consumer.stop()
