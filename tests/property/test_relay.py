"""The relay under open transactions, lost acknowledgements and crashes: nothing lost, one order per key."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any
from zlib import crc32

import pytest
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from services.chassis.database import Session
from services.chassis.envelope import Headers, received
from services.chassis.kafka import KafkaSettings
from services.chassis.parking import KeptRecord
from services.chassis.relay import Relay, session_for
from tests.support.machines import CrashError, OnDatabase, explore
from tests.support.messaging import Words, works_of
from tests.support.stack import RunningStack

KEYS = ("a", "b", "c", "d")
PARTITIONS = 2


class Broker:
    """A Kafka that keeps the order of a partition and fails as Kafka does.

    Of each round a partition takes `taken` records, of those it acknowledges `acknowledged`; then the line is
    dead for the rest of the round. A relay may die after the broker took its records.
    """

    def __init__(self) -> None:
        self.log: list[KeptRecord] = []
        self.taken = self.acknowledged = 10**6
        self.relay_dies_after = 10**6
        self._in_round: dict[int, int] = {}
        self._sent = 0

    def begin_round(self, taken: int, acknowledged: int, relay_dies_after: int) -> None:
        self.taken, self.acknowledged = taken, min(acknowledged, taken)
        self.relay_dies_after = relay_dies_after
        self._in_round.clear()
        self._sent = 0

    async def connect(self, settings: KafkaSettings) -> Broker:
        if self.taken == 0:
            raise KafkaError("no broker")
        return self

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[object]:
        self._sent += 1
        if self._sent > self.relay_dies_after:
            raise CrashError
        partition = crc32(key) % PARTITIONS
        nth = self._in_round[partition] = self._in_round.get(partition, 0) + 1
        if nth <= self.taken:
            self.log.append(KeptRecord(topic, partition, len(self.log), key, value, headers))
        delivery: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if nth <= self.acknowledged:
            delivery.set_result(None)
        else:
            delivery.set_exception(OutOfOrderSequenceNumber())
        return delivery

    async def abandon(self) -> None:
        pass


class RelayMachine(OnDatabase):
    """Writers that commit in any order, and a relay that meets every fault of Kafka and dies now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker()
        self.works = works_of(self.database)
        self.numbers = 0
        self.committed: set[int] = set()
        self.open: list[tuple[AsyncExitStack, Words, set[int]]] = []
        self.session: Session | None = None
        self.relay = self._new_relay()

    def _new_relay(self) -> Relay:
        return Relay(
            self.database, KafkaSettings(bootstrap="none"), "/test", connect=self.broker.connect
        )  # fmt: skip

    def _say(self, work: Words, keys: list[str]) -> set[int]:
        said = set()
        for key in keys:
            self.numbers += 1
            work.say("t", key, self.numbers)
            said.add(self.numbers)
        return said

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4))
    def commit(self, keys: list[str]) -> None:
        async def act() -> set[int]:
            async with self.works() as work:
                return self._say(work, keys)

        self.committed |= self.run(act())

    @precondition(lambda self: len(self.open) < 3)
    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4))
    def begin(self, keys: list[str]) -> None:
        """A work that stays open while others overtake it; what it wrote so far is in its transaction."""

        async def act() -> None:
            stack = AsyncExitStack()
            work = await stack.enter_async_context(self.works())
            said = self._say(work, keys)
            await work.connection.fetchval("SELECT 1")
            self.open.append((stack, work, said))

        self.run(act())

    @precondition(lambda self: self.open)
    @rule(data=st.data(), commits=st.booleans())
    def end(self, data: st.DataObject, commits: bool) -> None:
        stack, _, said = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        if commits:
            self.run(stack.aclose())
            self.committed |= said
        else:
            error = ZeroDivisionError()
            self.run(_leave(stack, error))

    @rule(taken=st.integers(0, 4), acknowledged=st.integers(0, 4), dies=st.none() | st.integers(0, 4))
    def relay_in_bad_weather(self, taken: int, acknowledged: int, dies: int | None) -> None:
        self.broker.begin_round(taken, acknowledged, 10**6 if dies is None else dies)
        try:
            self.run(self._round())
        except CrashError:
            self.run(self._die())

    @rule()
    def relay_in_good_weather(self) -> None:
        self._drain()

    async def _round(self) -> tuple[int, int]:
        if self.session is None:
            self.session = await session_for(self.database)
            await self.relay.claim(self.session)
        return await self.relay.pump(self.session)

    async def _die(self) -> None:
        """The process is gone and its session with it; another relay takes the buckets."""
        assert self.session is not None
        await self.session.close()
        self.session, self.relay = None, self._new_relay()

    def _drain(self) -> None:
        self.broker.begin_round(10**6, 10**6, 10**6)
        while self.run(self._round())[0]:
            pass

    def _first_sights(self) -> dict[str, list[int]]:
        """The sequences of each key in the order in which they first came, as a consumer takes them."""
        seen: dict[str, list[int]] = {}
        for record in self.broker.log:
            event = received(record)
            if event.sequence not in seen.setdefault(event.key, []):
                seen[event.key].append(event.sequence)
        return seen

    @invariant()
    def each_key_arrives_in_order_without_a_hole(self) -> None:
        for sequences in self._first_sights().values():
            assert sequences == list(range(1, len(sequences) + 1))

    @invariant()
    def only_what_was_committed_arrives(self) -> None:
        assert {int(record.value or b"0") for record in self.broker.log} <= self.committed

    @invariant()
    def one_sequence_is_one_event(self) -> None:
        events = {(e.key, e.sequence, e.id) for e in map(received, self.broker.log)}
        assert len({(key, sequence) for key, sequence, _ in events}) == len(events)

    def teardown(self) -> None:
        for stack, _, said in self.open:
            self.run(stack.aclose())
            self.committed |= said
        self._drain()
        arrived = {int(record.value or b"0") for record in self.broker.log}
        assert self.session is not None
        self.run(self.session.close())
        assert arrived == self.committed
        self.each_key_arrives_in_order_without_a_hole()
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM outbox")) == 0


def _leave(stack: AsyncExitStack, error: Exception) -> Coroutine[Any, Any, None]:
    async def leave() -> None:
        with suppress(ZeroDivisionError):
            await stack.__aexit__(type(error), error, None)

    return leave()


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_each_key_has_one_order(stack: RunningStack) -> None:
    explore(stack, RelayMachine, examples=40, steps=30)
