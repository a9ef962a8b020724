"""The inbox under duplicates, gaps, snapshots, epochs, crashes and second owners: one order per key."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from services.chassis.apply import Applier, MovedOnError
from services.chassis.envelope import Received
from services.chassis.inbox import Position
from services.chassis.metrics import Metrics
from services.chassis.parking import KeptRecord
from tests.support.machines import CrashError, OnDatabase, explore
from tests.support.messaging import HANDLERS, SAID, SNAPSHOT, Log, Words, said, topic_of, works_of
from tests.support.stack import RunningStack

KEYS = ("a", "b", "c")
HOW = ("in order", "in order", "in order", "delayed", "full state")
TOPIC = topic_of("t", partitions=1)
BEGIN = "INSERT INTO consumer_position (consumer, topic, partition, next_offset) VALUES ('two', 't', 0, 0)"


class Told(NamedTuple):
    """What the producer knows of an event of its own."""

    key: str
    epoch: int
    sequence: int
    snapshot: bool
    record: KeptRecord


class InboxMachine(OnDatabase):
    """A producer with epochs, a Kafka that may repeat and delay, and a consumer that may die at any event."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 1
        self.last = dict.fromkeys(KEYS, 0)
        self.log = Log("t")
        self.told: dict[UUID, Told] = {}
        self.withheld: list[Told] = []
        self.unseeded: set[str] = set()
        self.position = Position("t", 0, 0, 0)
        self.old_positions: list[Position] = []
        self.dies_at: int | None = None
        self.applier = Applier(
            works_of(self.database), "two", {SAID: self.hear, SNAPSHOT: self.hear}, Metrics()
        )
        self.run(self.database.pool.execute(BEGIN))

    async def hear(self, event: Received, work: Words) -> None:
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                raise CrashError
        await HANDLERS[event.type](event, work)

    def _tell(self, key: str, snapshot: bool) -> Told:
        self.last[key] += 1
        announcement = said("t", key, self.last[key], snapshot=snapshot)
        record = Log("t").append(announcement, self.epoch, self.last[key])
        told = Told(key, self.epoch, self.last[key], snapshot, record)
        self.told[announcement.id] = told
        return told

    def _deliver(self, told: Told) -> None:
        record = told.record
        self.log.records.append(
            KeptRecord("t", 0, len(self.log.records), record.key, record.value, record.headers)
        )

    @rule(what=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(HOW)), min_size=1, max_size=6))
    def say(self, what: list[tuple[str, str]]) -> None:
        for key, how in what:
            begins_epoch = key in self.unseeded
            self.unseeded.discard(key)
            told = self._tell(key, how == "full state" or begins_epoch)
            self.withheld.append(told) if how == "delayed" else self._deliver(told)

    @rule(lost=st.integers(0, 3))
    def restore_the_producer_from_a_backup(self, lost: int) -> None:
        """Its newest sequences are drawn again, in a new epoch that begins with full state."""
        self.epoch += 1
        self.last = {key: max(0, last - lost) for key, last in self.last.items()}
        self.unseeded = set(KEYS)

    @rule(
        arrive=st.integers(0, 3),
        repeated=st.lists(st.integers(0, 50), max_size=3),
        many=st.integers(1, 12),
        dies_at=st.sampled_from([None, None, None, 0, 1, 4]),
    )
    def consume(self, arrive: int, repeated: list[int], many: int, dies_at: int | None) -> None:
        """Some of what was delayed arrives, some of what had arrived comes again, and a batch is taken."""
        delivered = [told for told in self.told.values() if told not in self.withheld]
        for _ in range(min(arrive, len(self.withheld))):
            self._deliver(self.withheld.pop())
        for n in repeated:
            if delivered:
                self._deliver(delivered[-1 - n % len(delivered)])
        records = self.log.records[self.position.next_offset :][:many]
        if not records:
            return
        self.dies_at = dies_at
        try:
            moved = self.run(self.applier.batch(TOPIC, self.position, records))
        except CrashError:
            return
        finally:
            self.dies_at = None
        self.old_positions.append(self.position)
        self.position = moved

    @precondition(lambda self: self.old_positions)
    @rule(data=st.data(), many=st.integers(1, 5))
    def be_a_second_owner_that_slept(self, data: st.DataObject, many: int) -> None:
        position = data.draw(st.sampled_from(self.old_positions))
        before = self._heard()
        try:
            self.run(self.applier.batch(TOPIC, position, self.log.records[position.next_offset :][:many]))
        except MovedOnError:
            assert self._heard() == before
        else:
            raise AssertionError("a second owner committed")

    def _heard(self) -> list[tuple[str, UUID]]:
        rows = self.run(self.database.pool.fetch("SELECT key, event FROM heard ORDER BY id"))
        return [(row["key"], UUID(str(row["event"]))) for row in rows]

    @invariant()
    def each_key_hears_one_order_without_a_hole(self) -> None:
        for key in KEYS:
            heard = [self.told[event] for k, event in self._heard() if k == key]
            if heard:
                assert heard[0].snapshot or heard[0].sequence == 1
            for earlier, later in pairwise(heard):
                assert (earlier.epoch, earlier.sequence) < (later.epoch, later.sequence)
                follows = (earlier.epoch, earlier.sequence + 1) == (later.epoch, later.sequence)
                assert later.snapshot or follows

    @invariant()
    def what_the_inbox_remembers_is_what_was_heard(self) -> None:
        rows = self.run(self.database.pool.fetch("SELECT key, epoch, last, last_id FROM inbox"))
        remembered = {row["key"]: UUID(str(row["last_id"])) for row in rows}
        assert remembered == dict(self._heard())

    def teardown(self) -> None:
        """Once all that was delayed arrives, and the keys of a new epoch are reseeded, nothing waits."""
        for told in self.withheld:
            self._deliver(told)
        for key in sorted(self.unseeded):
            self._deliver(self._tell(key, snapshot=True))
        while records := self.log.records[self.position.next_offset :]:
            self.position = self.run(self.applier.batch(TOPIC, self.position, records))
        latest = {told.key: event for event, told in self.told.items() if told.sequence == self.last[told.key]
                  and told.epoch == self.epoch}  # fmt: skip
        last_heard = dict(self._heard())
        assert {key: last_heard.get(key) for key in latest} == latest
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM waiting")) == 0
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM parked")) == 0


@pytest.mark.timeout(300)
def test_each_key_hears_one_order(stack: RunningStack) -> None:
    explore(stack, InboxMachine, examples=40, steps=30)
