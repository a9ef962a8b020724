"""Partitions in one transaction: together when all is well, each by itself when one of them is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.chassis.apply import Applier, Batch, MovedOnError, PermanentError
from services.chassis.database import Database
from services.chassis.envelope import Received, Record
from services.chassis.inbox import Position
from services.chassis.metrics import Metrics
from services.chassis.parking import KeptRecord
from services.chassis.turns import BATCH, Turn, Turns
from services.chassis.work import StaleError
from tests.support.messaging import HANDLERS, SAID, Log, Words, heard, opened, said, topic_of, works_of
from tests.support.stack import RunningStack

TOPIC = topic_of("t", partitions=3)
TRANSACTIONS = "SELECT count(DISTINCT xmin::text) FROM heard"


async def hear_no_zero(event: Received, work: Words) -> None:
    if event.payload == b"0":
        raise PermanentError("cannot-bear-it")
    await HANDLERS[SAID](event, work)


async def begun(database: Database) -> Applier[Words]:
    """A consumer of three partitions, each of which stands at its beginning."""
    await database.pool.execute(
        "INSERT INTO consumer_position (consumer, topic, partition, next_offset)"
        " SELECT 'two', 't', partition, 0 FROM generate_series(0, 2) AS of (partition)"
    )
    return Applier(works_of(database), "two", {SAID: hear_no_zero}, Metrics())


def told(partition: int, key: str, *numbers: int) -> list[KeptRecord]:
    """The beginning of a partition that holds one key."""
    log = Log("t")
    for sequence, number in enumerate(numbers, start=1):
        log.append(said("t", key, number), 1, sequence)
    return [replace(record, partition=partition) for record in log.records]


def batch(partition: int, key: str, *numbers: int, version: int = 0) -> Batch:
    return Batch(TOPIC, Position("t", partition, 0, version), told(partition, key, *numbers))


async def nothing_more(offset: int) -> Sequence[Record]:
    return ()


async def test_partitions_share_one_transaction(stack: RunningStack) -> None:
    async with opened(stack) as database:
        applier = await begun(database)
        moved = await applier.batches([batch(0, "a", 1, 2), batch(1, "b", 3), batch(2, "c", 4)])
        assert moved == [Position("t", 0, 2, 1), Position("t", 1, 1, 1), Position("t", 2, 1, 1)]
        assert await heard(database) == [("a", 1), ("a", 2), ("b", 3), ("c", 4)]
        assert await database.pool.fetchval(TRANSACTIONS) == 1
        stands = await database.pool.fetch("SELECT next_offset FROM consumer_position ORDER BY partition")
        assert [row["next_offset"] for row in stands] == [2, 1, 1]


async def test_poison_in_one_partition_is_parked_and_holds_up_no_other(stack: RunningStack) -> None:
    async with opened(stack) as database:
        applier = await begun(database)
        moved = await applier.batches([batch(0, "a", 1), batch(1, "b", 0, 5), batch(2, "c", 4)])
        assert moved == [Position("t", 0, 1, 1), Position("t", 1, 2, 2), Position("t", 2, 1, 1)]
        assert sorted(await heard(database)) == [("a", 1), ("c", 4)]
        parked = await database.pool.fetch("SELECT key, reason FROM parked ORDER BY id")
        assert [row["key"] for row in parked] == ["b", "b"]
        assert parked[0]["reason"] == "cannot-bear-it"


async def test_a_second_owner_of_one_partition_commits_nothing_of_it(stack: RunningStack) -> None:
    async with opened(stack) as database:
        applier = await begun(database)
        first, second = await applier.batches([batch(0, "a", 1), batch(1, "b", 3, version=7)])
        assert first == Position("t", 0, 1, 1)
        assert isinstance(second, MovedOnError)
        assert await heard(database) == [("a", 1)]


def beaten(database: Database, times: int) -> Applier[Words]:
    """A consumer whose first transactions lose a race over what they had read."""
    lost = 0

    async def hear(event: Received, work: Words) -> None:
        nonlocal lost
        if event.payload == b"2" and lost < times:
            lost += 1
            raise StaleError("somebody was faster")
        await HANDLERS[SAID](event, work)

    return Applier(works_of(database), "two", {SAID: hear}, Metrics())


@pytest.mark.parametrize("partitions", [1, 2])
async def test_a_batch_that_lost_a_race_is_tried_again_as_a_batch(
    stack: RunningStack, partitions: int
) -> None:
    async with opened(stack) as database:
        await begun(database)
        applier = beaten(database, times=1)
        batches = [batch(0, "a", 1, 2, 3), batch(1, "b", 4)][:partitions]
        assert await applier.batches(batches) == [Position("t", 0, 3, 1), Position("t", 1, 1, 1)][:partitions]
        assert await database.pool.fetchval(TRANSACTIONS) == 1


async def test_one_that_loses_again_goes_record_by_record(stack: RunningStack) -> None:
    async with opened(stack) as database:
        await begun(database)
        assert await beaten(database, times=2).batches([batch(0, "a", 1, 2, 3)]) == [Position("t", 0, 3, 3)]
        assert await heard(database) == [("a", 1), ("a", 2), ("a", 3)]
        assert await database.pool.fetchval(TRANSACTIONS) == 3


class Slow(Applier[Words]):
    """Applies nothing; notes what was asked for, and waits to be told that it has ended."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.running = asyncio.Event()
        self.ended = asyncio.Event()

    async def batches(self, batches: Sequence[Batch]) -> list[Position | Exception]:
        self.asked.append([each.position.partition for each in batches])
        self.running.set()
        await self.ended.wait()
        return [
            LookupError() if each.position.partition == 9 else replace(each.position, version=1)
            for each in batches
        ]


async def waiting(turns: Turns[Words], *turned: Turn) -> list[asyncio.Task[Position]]:
    """Each in a task of its own, all of which have begun to wait."""
    tasks = [asyncio.create_task(turns.take(turn)) for turn in turned]
    await asyncio.sleep(0)
    return tasks


async def test_who_waits_goes_together_unless_it_was_stopped() -> None:
    applier = Slow()
    turns = Turns(applier)
    [first] = await waiting(turns, Turn(batch(0, "a", 1), nothing_more))
    await applier.running.wait()
    later = [Turn(batch(partition, "b", 1), nothing_more) for partition in (1, 2, 3, 9)]
    _, stopped, *others = await waiting(turns, *later)
    stopped.cancel()
    await asyncio.wait([stopped])
    assert [turn.begun for turn in later] == [False] * 4
    applier.ended.set()
    assert (await first).partition == 0
    assert (await others[0]).partition == 3
    with pytest.raises(LookupError):
        await others[1]
    assert applier.asked == [[0], [1, 3, 9]]


async def test_a_transaction_is_of_some_five_hundred_records() -> None:
    applier = Slow()
    applier.ended.set()
    turns = Turns(applier)
    large = [Turn(batch(partition, "a", *range(1, BATCH // 2 + 1)), nothing_more) for partition in range(5)]
    await asyncio.gather(*await waiting(turns, *large))
    assert applier.asked == [[0, 1], [2, 3], [4]]


async def test_a_batch_takes_along_what_came_while_it_waited() -> None:
    async def more(offset: int) -> Sequence[Record]:
        return told(0, "a", 1, 2, 3)[offset:]

    taken = await Turn(batch(0, "a", 1), more).begin()
    assert [record.offset for record in taken.records] == [0, 1, 2]


async def test_a_transaction_whose_time_is_up_commits_what_it_took_and_the_rest_follows(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.apply.LONGEST_S", 0.0)
    async with opened(stack) as database:
        applier = await begun(database)
        [moved, waits] = await applier.batches([batch(0, "a", 1, 2, 3), batch(1, "b", 4)])
        assert (moved, waits) == (Position("t", 0, 1, 1), Position("t", 1, 0, 1))
        assert await heard(database) == [("a", 1)]
        while isinstance(moved, Position) and moved.next_offset < 3:
            rest = replace(batch(0, "a", 1, 2, 3), position=moved)
            [moved] = await applier.batches([replace(rest, records=rest.records[moved.next_offset :])])
        assert isinstance(waits, Position)
        [waits] = await applier.batches([replace(batch(1, "b", 4), position=waits)])
        assert (moved, waits) == (Position("t", 0, 3, 3), Position("t", 1, 1, 2))
        assert await heard(database) == [("a", 1), ("a", 2), ("a", 3), ("b", 4)]


async def test_what_a_commit_left_behind_is_not_read_again_but_whoever_looks_anew_reads_it(
    stack: RunningStack,
) -> None:
    async with opened(stack) as database:
        applier = await begun(database)
        records = told(0, "a", 1, 2, 3)
        moved = await applier.batch(TOPIC, Position("t", 0, 0, 0), records[:1])
        await database.pool.execute("UPDATE inbox SET last = 7")  # nobody may, so that it shows who looks
        moved = await applier.batch(TOPIC, moved, records[1:2])
        assert await heard(database) == [("a", 1), ("a", 2)]
        await database.pool.execute("UPDATE inbox SET last = 7")
        await applier.batch(TOPIC, replace(moved), records[2:])
        assert await heard(database) == [("a", 1), ("a", 2)]


async def test_what_failed_leaves_no_view_behind(stack: RunningStack) -> None:
    async with opened(stack) as database:
        applier = await begun(database)
        stands = await applier.batch(TOPIC, Position("t", 0, 0, 0), told(0, "a", 1))
        second_and_poison = told(0, "a", 1, 2, 0)[1:]
        await applier.batch(TOPIC, stands, second_and_poison)
        assert await heard(database) == [("a", 1), ("a", 2)]
        assert await database.pool.fetchval("SELECT last FROM inbox") == 2
        assert await database.pool.fetchval("SELECT reason FROM parked") == "cannot-bear-it"
