"""Parking under poison that comes and goes: only the poisoned key waits, and a replay keeps its order."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from services.chassis.apply import Applier, MovedOnError, PermanentError
from services.chassis.envelope import Received
from services.chassis.inbox import Position
from services.chassis.metrics import Metrics
from services.chassis.parking import KeptRecord
from tests.support.machines import CrashError, OnDatabase, explore
from tests.support.messaging import (
    HANDLERS,
    SAID,
    SNAPSHOT,
    Log,
    Words,
    by_key,
    heard,
    said,
    topic_of,
    works_of,
)
from tests.support.stack import RunningStack

KEYS = ("a", "b", "c")
POISON = ("raises", "is a bug", "breaks a constraint at commit")
HOW = ("in order", "in order", "in order", *POISON, "full state", "unreadable")
TOPIC = topic_of("t", partitions=1)
BEGIN = "INSERT INTO consumer_position (consumer, topic, partition, next_offset) VALUES ('two', 't', 0, 0)"


class ParkingMachine(OnDatabase):
    """A consumer whose code cannot bear some events until it is mended, or fails on them only at commit."""

    def __init__(self) -> None:
        super().__init__()
        self.last = dict.fromkeys(KEYS, 0)
        self.snapshots: dict[str, int] = {}
        self.log = Log("t")
        self.poison: dict[tuple[str, int], str] = {}
        self.poisoned_once: set[str] = set()
        self.position = Position("t", 0, 0, 0)
        self.dies = False
        self.applier = Applier(
            works_of(self.database),
            "two",
            {SAID: self.hear, SNAPSHOT: self.hear},
            Metrics(),
            poison_limit=10**6,
        )
        self.run(self.database.pool.execute(BEGIN))

    async def hear(self, event: Received, work: Words) -> None:
        if self.dies:
            raise CrashError
        match self.poison.get((event.key, event.sequence)):
            case "raises":
                raise PermanentError("cannot-bear-it")
            case "is a bug":
                raise ZeroDivisionError
            case "breaks a constraint at commit":
                work.write(
                    "INSERT INTO heard (key, number, event, sequence) VALUES (NULL, 0, $1, 0)", event.id
                )
            case _:
                await HANDLERS[event.type](event, work)

    def _say(self, key: str, snapshot: bool) -> None:
        self.last[key] += 1
        self.log.append(said("t", key, self.last[key], snapshot=snapshot), 1, self.last[key])

    @rule(what=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(HOW)), min_size=1, max_size=6))
    def say(self, what: list[tuple[str, str]]) -> None:
        self._say_all(what)

    def _say_all(self, what: list[tuple[str, str]]) -> None:
        for key, how in what:
            if how == "unreadable":
                self.say_what_cannot_be_read(key)
                continue
            if how == "full state":
                self.snapshots[key] = self.last[key] + 1
            self._say(key, snapshot=how == "full state")
            if how in POISON:
                self.poison[key, self.last[key]] = how
                self.poisoned_once.add(key)

    def say_what_cannot_be_read(self, key: str) -> None:
        """Its sequence is drawn, but nobody can tell: only full state helps."""
        self.last[key] += 1
        self.log.records.append(
            KeptRecord("t", 0, len(self.log.records), key.encode(), b"?", [("x", b"\xff")])
        )
        self.poisoned_once.add(key)

    @rule(many=st.integers(1, 10), dies=st.sampled_from([False, False, False, True]))
    def consume(self, many: int, dies: bool) -> None:
        records = self.log.records[self.position.next_offset :][:many]
        if not records:
            return
        self.dies = dies
        try:
            self.position = self.run(self.applier.batch(TOPIC, self.position, records))
        except CrashError:
            self._look_up_position()
        except MovedOnError:
            self._look_up_position()
        finally:
            self.dies = False

    def _consume_all(self) -> None:
        """To the end, looking again where we stand after a replay has moved the version."""
        while self.position.next_offset < len(self.log.records):
            self.consume(10**6, dies=False)

    def _look_up_position(self) -> None:
        row = self.run(self.database.pool.fetchrow("SELECT next_offset, version FROM consumer_position"))
        assert row is not None
        self.position = Position("t", 0, row["next_offset"], row["version"])

    @rule(mended=st.booleans())
    def replay(self, mended: bool) -> None:
        """As `make replay` does: in the order of each key, until one of the key fails again."""
        if mended:
            self.poison.clear()
        stuck: set[str] = set()
        for row in self.run(self.database.pool.fetch(
            "SELECT id, key FROM parked ORDER BY key, epoch NULLS FIRST, sequence NULLS FIRST, id"
        )):  # fmt: skip
            if row["key"] not in stuck:
                try:
                    self.run(self.applier.replay(TOPIC, row["id"]))
                except Exception:  # noqa: BLE001 - it stays parked
                    stuck.add(row["key"])

    @rule(data=st.data())
    def replay_any_one(self, data: st.DataObject) -> None:
        """Out of turn: it may wait for those before it, it may not overtake them."""
        parked = [
            row["id"] for row in self.run(self.database.pool.fetch("SELECT id FROM parked ORDER BY id"))
        ]
        if parked:
            with contextlib.suppress(Exception):
                self.run(self.applier.replay(TOPIC, data.draw(st.sampled_from(parked))))

    @invariant()
    def each_key_is_heard_in_order(self) -> None:
        for key, numbers in by_key(self.run(heard(self.database))).items():
            assert numbers == sorted(set(numbers))
            assert all(number == n for n, number in enumerate(numbers, 1)) or key in self.snapshots

    @invariant()
    def a_key_without_poison_never_waits(self) -> None:
        for table in ("parked", "waiting"):
            rows = self.run(self.database.pool.fetch(f"SELECT DISTINCT key FROM {table}"))
            assert {row["key"] for row in rows} <= self.poisoned_once
        consumed = [record for record in self.log.records[: self.position.next_offset] if record.key]
        last = by_key(self.run(heard(self.database)))
        for key in set(KEYS) - self.poisoned_once:
            told = [int(record.value or b"0") for record in consumed if record.key == key.encode()]
            assert (last.get(key) or [0])[-1] == max(told, default=0)

    def teardown(self) -> None:
        """With the code mended, a replay and full state of what could not be read, all is heard."""
        self._consume_all()
        self.replay(mended=True)
        self._consume_all()
        for key in KEYS:
            self._say(key, snapshot=True)
        self._consume_all()
        last = {key: numbers[-1] for key, numbers in by_key(self.run(heard(self.database))).items()}
        assert last == self.last
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM parked")) == 0
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM waiting")) == 0


class ReplayMachine(ParkingMachine):
    """The same without full state and without unreadable records: a replay alone must bring everything."""

    @rule(what=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(HOW[:-2])), min_size=1, max_size=6))
    def say(self, what: list[tuple[str, str]]) -> None:
        self._say_all(what)

    def teardown(self) -> None:
        self._consume_all()
        self.replay(mended=True)
        self._consume_all()
        every = {key: list(range(1, last + 1)) for key, last in self.last.items() if last}
        assert by_key(self.run(heard(self.database))) == every
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM parked")) == 0
        assert self.run(self.database.pool.fetchval("SELECT count(*) FROM waiting")) == 0


@pytest.mark.timeout(300)
def test_only_the_poisoned_key_waits_and_full_state_frees_it(stack: RunningStack) -> None:
    explore(stack, ParkingMachine, examples=30, steps=25)


@pytest.mark.timeout(300)
def test_a_replay_brings_every_event_in_order(stack: RunningStack) -> None:
    explore(stack, ReplayMachine, examples=30, steps=25)
