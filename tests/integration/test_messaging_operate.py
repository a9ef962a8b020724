"""What operators ask of messages, on the real PostgreSQL: parked, reseed, raise-epoch, audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from services.chassis.apply import Applier
from services.chassis.audit import Difference, audit
from services.chassis.audit import main as audit_main
from services.chassis.database import Database
from services.chassis.envelope import complete
from services.chassis.inbox import Position
from services.chassis.metrics import Metrics
from services.chassis.operate import operate
from services.chassis.parking import KeptRecord
from services.chassis.topics import Topics
from tests.support.fixed_clock import FixedClock
from tests.support.messaging import (
    HANDLERS,
    NOON,
    Snapshotting,
    heard,
    opened,
    prepared,
    topic_of,
    works_of,
)
from tests.support.stack import RunningStack

TOPIC = topic_of("t", partitions=1)
TOPICS = Topics({"t": TOPIC})


@dataclass(slots=True)
class Wire:
    """A producer's outbox carried to a consumer by hand, so that a test decides what is lost."""

    here: Database
    there: Database
    position: Position = field(default=Position("t", 0, 0, 0))

    async def begin(self) -> None:
        await self.there.pool.execute(
            "INSERT INTO consumer_position (consumer, topic, partition, next_offset) VALUES ('two', 't', 0, 0)"
        )

    async def say(self, key: str, *numbers: int) -> None:
        for number in numbers:
            async with works_of(self.here)() as work:
                work.say("t", key, number)

    async def carry(self, lose: bool = False) -> None:
        rows = await self.here.pool.fetch("DELETE FROM outbox RETURNING *")
        if lose or not rows:
            return
        records = [
            KeptRecord(
                "t", 0, self.position.next_offset + n, row["key"].encode(), row["payload"],
                complete(msgspec.json.decode(row["headers"]), "/one", row["epoch"], row["sequence"]),
            )
            for n, row in enumerate(sorted(rows, key=lambda row: int(row["id"])))
        ]  # fmt: skip
        applier = Applier(works_of(self.there), "two", HANDLERS, Metrics())
        self.position = await applier.batch(TOPIC, self.position, records)

    async def operate(self, *argv: str) -> list[str]:
        lines: list[str] = []
        code = await operate(
            argv, database=self.here, works=works_of(self.here, FixedClock(NOON)), handlers=HANDLERS,
            snapshots={"t": Snapshotting("t")}, topics=TOPICS, say=lines.append,
        )  # fmt: skip
        assert code == 0
        return lines

    async def audit(self) -> list[Difference]:
        async with self.here.lend() as one, self.there.lend() as two:
            return await audit(TOPICS, {"one": one, "two": two})


async def test_a_lost_tail_is_found_by_the_audit_and_mended_by_a_reseed(stack: RunningStack) -> None:
    async with opened(stack, "intake") as here, opened(stack, "matching") as there:
        wire = Wire(here, there)
        await wire.begin()
        await wire.say("a", 1, 2)
        await wire.say("b", 3)
        await wire.carry()
        assert await wire.audit() == []
        await wire.say("a", 4, 5)
        await wire.carry(lose=True)
        assert await wire.audit() == [Difference("t", "two", "a", (1, 4), (1, 2))]
        assert await wire.operate("reseed", "--topic", "t", "--key", "a") == ["t: 1 snapshots"]
        await wire.carry()
        assert await wire.audit() == []
        assert (await heard(there))[-1] == ("a", 5)


async def test_a_restored_producer_begins_an_epoch_with_full_state(stack: RunningStack) -> None:
    """It has forgotten its newest events and draws their sequences again; consumers are not fooled."""
    async with opened(stack, "intake") as here, opened(stack, "matching") as there:
        wire = Wire(here, there)
        await wire.begin()
        await wire.say("a", 1, 2, 3)
        await wire.carry()
        async with here.transaction() as connection:  # the backup was taken after the first event
            await connection.execute("UPDATE stream SET last = 1")
            await connection.execute("DELETE FROM said WHERE number > 1")
        [difference] = await wire.audit()
        assert difference.ahead
        lines = await wire.operate("raise-epoch")
        assert lines[0].startswith("epoch ")
        assert lines[1:] == ["t: 1 snapshots"]
        await wire.say("a", 10)
        await wire.say("c", 20)
        await wire.carry()
        assert [pair for pair in await heard(there) if pair[1] not in (2, 3)] == [
            ("a", 1), ("a", 1), ("a", 10), ("c", 20),
        ]  # fmt: skip
        assert await wire.audit() == []
        assert await there.pool.fetchval("SELECT count(*) FROM waiting") == 0


async def test_a_second_restore_never_reuses_an_epoch(stack: RunningStack) -> None:
    async with opened(stack, "intake") as here:
        wire = Wire(here, here)
        [first] = (await wire.operate("raise-epoch"))[:1]
        await here.pool.execute("UPDATE lineage SET epoch = 1")  # restored again, from the same backup
        [second] = (await wire.operate("raise-epoch"))[:1]
        assert int(second.split()[1]) >= int(first.split()[1]) > 1000


async def test_what_is_parked_is_shown_without_its_contents(stack: RunningStack) -> None:
    async with opened(stack, "intake") as here:
        await here.pool.execute(
            """INSERT INTO parked (consumer, topic, key, epoch, sequence, partition, "offset", headers, payload, reason)
            VALUES ('one', 't', 'a', 1, 7, 0, 42, '', 'secret', 'cannot-bear-it')"""
        )
        lines = await Wire(here, here).operate("parked")
        assert "cannot-bear-it" in lines[0]
        assert "1:7" in lines[0]
        assert "secret" not in "".join(lines)
        assert lines[-1] == "1 parked"
        assert await Wire(here, here).operate("parked", "--key", "b") == ["0 parked"]


async def test_the_audit_runs_from_the_command_line(stack: RunningStack, tmp_path: Path) -> None:
    one, two = await prepared(stack, "intake"), await prepared(stack, "matching")
    topics = tmp_path / "topics.yaml"
    fields = {
        name: getattr(TOPIC, name) for name in (
            "key", "partitions", "retention_hours", "cleanup", "classification", "producer", "snapshot", "unknown",
        )
    }  # fmt: skip
    topics.write_text(
        msgspec.yaml.encode(
            {"topics": {"t": {**fields, "consumers": ["two"], "events": list(TOPIC.events)}}}
        ).decode()
    )
    async with Database.connect(one) as here:
        async with works_of(here)() as work:
            work.say("t", "a", 1)
        lines: list[str] = []
        arguments = [
            "--topics", str(topics), "--patience", "0.1",
            *(f"{name}={each.dsn}={each.password_file}" for name, each in (("one", one), ("two", two))),
        ]  # fmt: skip
        assert await audit_main(arguments, lines.append) == 1
        assert lines == ["t  a: two has not heard all: said (1, 1), heard None", "1 differences"]


@pytest.mark.parametrize("field_name", ["consumers", "events", "key"])
def test_a_topic_that_lacks_a_field_is_refused(tmp_path: Path, field_name: str) -> None:
    fields = {"key": "k", "partitions": 1, "retention_hours": 1, "cleanup": "delete", "classification": "internal",
              "producer": "one", "consumers": [], "events": ["E"], "snapshot": "E", "unknown": "park"}  # fmt: skip
    del fields[field_name]
    file = tmp_path / "topics.yaml"
    file.write_text(msgspec.yaml.encode({"topics": {"t": fields}}).decode())
    with pytest.raises(ValueError, match="topic t"):
        Topics.load(file)
