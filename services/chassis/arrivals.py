"""What Kafka has brought, looked for once on behalf of all readers that wait for something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.chassis.turns import BATCH

# After so long without a record, ask whether aiokafka has anything else to say.
_LOOK_MS = 1000


class Arrivals:
    """One membership's records, by partition.

    A look of aiokafka is woken by whatever comes for anybody. If each reader had its own, every record would wake
    them all, and that costs more than to apply it. Nothing is kept here: what no reader waits for stays with
    aiokafka, which fetches no more of a partition until it is taken.
    """

    def __init__(self, kafka: AIOKafkaConsumer, look_ms: int = _LOOK_MS) -> None:
        self._kafka = kafka
        self._look_ms = look_ms
        self._waiting: dict[TopicPartition, asyncio.Future[Sequence[ConsumerRecord]]] = {}
        # The look that is under way, and for whom; None until it has begun.
        self._look: asyncio.Task[None] | None = None
        self._asked: frozenset[TopicPartition] | None = None

    async def of(self, partition: TopicPartition) -> Sequence[ConsumerRecord]:
        """What has come of it, as soon as there is something. Raises what aiokafka has to say, to all who wait."""
        if records := await self.now(partition):
            return records
        arrived: asyncio.Future[Sequence[ConsumerRecord]] = asyncio.get_running_loop().create_future()
        self._waiting[partition] = arrived
        self._include(partition)
        try:
            return await arrived
        finally:
            if self._waiting.get(partition) is arrived:
                del self._waiting[partition]

    async def now(self, partition: TopicPartition) -> Sequence[ConsumerRecord]:
        """What has come of it, if anything has."""
        found = await self._kafka.getmany(partition, max_records=BATCH)
        records: Sequence[ConsumerRecord] = found.get(partition, ())
        return records

    def close(self) -> None:
        """Look no more; nobody waits any more."""
        if self._look is not None:
            self._look.cancel()

    def _include(self, partition: TopicPartition) -> None:
        """Have a look under way that concerns this partition, too. One that is broken off has taken nothing yet."""
        if self._look is not None and not self._look.done():
            if self._asked is None or partition in self._asked:
                return
            self._look.cancel()
        self._asked = None
        self._look = asyncio.create_task(self._look_around(), name="arrivals")

    async def _look_around(self) -> None:
        while self._waiting:
            self._asked = frozenset(self._waiting)
            try:
                found = await self._kafka.getmany(*self._asked, timeout_ms=self._look_ms, max_records=BATCH)
            except Exception as error:  # noqa: BLE001 - it is the readers' to judge
                for partition in [*self._waiting]:
                    self._tell(partition, error)
                return
            for partition, records in found.items():
                self._tell(partition, records)

    def _tell(self, partition: TopicPartition, what: Sequence[ConsumerRecord] | Exception) -> None:
        """Unless its reader was stopped: then whoever reads the partition next will ask for it again."""
        arrived = self._waiting.pop(partition, None)
        if arrived is None or arrived.done():
            return
        if isinstance(what, Exception):
            arrived.set_exception(what)
        else:
            arrived.set_result(what)
