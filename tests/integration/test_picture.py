"""The regional picture on a real Kafka: counts once, forgets and counts the same, says no more than it may."""

import asyncio
import os
import random
import re
import signal
import socket
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.picture import (
    Published,
    Story,
    command,
    door,
    environment,
    expected,
    hour,
    kept_running,
    picture,
)
from tests.support.stack import RunningStack, running, temporary_state

HIDDEN = -1


def _busy_day(story: Story) -> None:
    """North has 23 lodging needs in an hour, 12 placed and 11 unmet; south has too few to show."""
    for number in range(23):
        story.need("north", "lodging", hour(5), outcome="placed" if number < 12 else "unmet")
    for _ in range(40):
        story.need("north", "lodging", hour(5), outcome="placed", hiding=True)
    for _ in range(9):
        story.need("south", "lodging", hour(5), outcome="unmet")
    for _ in range(17):
        story.need("", "food", hour(3))
    for _ in range(30):
        story.need("north", "goods", hour(60), outcome="placed")


BUSY_DAY = expected(
    [
        ("north", "lodging", 5, (25, HIDDEN, HIDDEN)),
        ("north", "lodging", 4, (HIDDEN, 10, 10)),
        ("", "food", 3, (15, HIDDEN, HIDDEN)),
    ]
)


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_it_counts_what_may_be_seen_and_rebuilds_to_the_same(
    stack: RunningStack, tmp_path: Path, store: str
) -> None:
    around = await environment(stack, tmp_path, store)
    story = around.story()
    _busy_day(story)
    await around.feed(story, shuffle=random.Random(7))
    async with picture(around) as process:
        await around.until(BUSY_DAY)
        assert await process.metrics("picture_needs") == {
            '{kind="lodging",state="reported"}': 25,
            '{kind="lodging",state="placed"}': 10,
            '{kind="lodging",state="unmet"}': 10,
            '{kind="food",state="reported"}': 15,
            '{kind="food",state="placed"}': HIDDEN,
            '{kind="food",state="unmet"}': HIDDEN,
        }
        before = await around.epochs()
        assert await around.own_topics() == {
            f"{around.group}-{name}"
            for name in ("cells", "cases-changelog", "hours-changelog", "published-changelog")
        }
        assert await process.stop() == 0
    code, printed = await command(around, "rebuild")
    assert code == 0, printed
    assert await around.own_topics() == set()
    async with picture(around):
        await around.until_epoch_after(max(before.values()))
        assert await around.published() == BUSY_DAY


async def test_an_hour_is_published_once_it_has_ended_and_says_nothing_that_joins(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    story = around.story()
    for _ in range(20):
        story.need("north", "lodging", hour(2))
        story.need("north", "lodging", hour(0))
    await around.feed(story)
    first = expected([("north", "lodging", 2, (20, HIDDEN, HIDDEN))])
    async with picture(around) as process:
        await around.until(first)
        (said,) = (await around.records()).values()
        for _ in range(20):
            story.need("north", "lodging", hour(2))
        await around.feed(story)
        await around.caught_up()
        await process.stop()
    async with picture(around):
        # A new start says again what it said in this hour, to the letter, and nothing of what came since.
        again = await around.after(said)
        assert (again.headers, again.value) == (said.headers, said.value)
        around.advance(timedelta(hours=1))
        await around.until(
            expected(
                [("north", "lodging", 2, (40, HIDDEN, HIDDEN)), ("north", "lodging", 0, (20, HIDDEN, HIDDEN))]
            )
        )
    (later,) = (await around.records()).values()
    one, two = (dict(record.headers) for record in (said, later))
    assert (one["ce_sequence"], two["ce_sequence"]) == (b"1", b"2")
    assert one["ce_epoch"] == two["ce_epoch"]
    assert one["ce_id"] != two["ce_id"]
    assert UUID(two["ce_id"].decode()).version == 4
    for headers in (one, two):
        assert headers["ce_dataclassification"] == b"internal"
        assert headers["ce_subject"] == b"north|lodging"
        assert headers["ce_time"].endswith(b":00:00+00:00")
        assert headers["ce_recordedtime"].endswith(b":00:00+00:00")
        assert not headers.keys() & {"ce_correlationid", "ce_causationid", "traceparent"}


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_what_is_older_than_the_topics_are_kept_is_let_go_of(
    stack: RunningStack, tmp_path: Path, store: str
) -> None:
    around = await environment(stack, tmp_path, store)
    story = around.story()
    _busy_day(story)
    await around.feed(story)
    async with picture(around) as process:
        await around.until(BUSY_DAY)
        around.advance(timedelta(days=8))
        gone: Published = {key: [] for key in BUSY_DAY}
        await around.until(gone)
        for _ in range(12):
            story.need("north", "lodging", hour(3 - 8 * 24))
        await around.feed(story)
        await around.caught_up()
        around.advance(timedelta(hours=1))
        new = expected([("north", "lodging", 3 - 8 * 24, (10, HIDDEN, HIDDEN))])
        await around.until({**gone, **new})
        # A stepped clock that is set back is followed as well.
        around.advance(timedelta(days=-8))
        await around.until(BUSY_DAY)
        assert await process.stop() == 0


async def test_a_group_with_members_elsewhere_is_not_forgotten(stack: RunningStack, tmp_path: Path) -> None:
    around = await environment(stack, tmp_path)
    story = around.story()
    _busy_day(story)
    await around.feed(story)
    async with picture(around, instance=2) as process:
        await around.until(BUSY_DAY)
        before = await around.epochs()
        code, printed = await command(around, "rebuild")
        assert code == 1
        assert "still has members" in printed
        assert (await process.get("/livez")).status_code == 200
    assert await around.epochs() == before


async def test_killed_again_and_again_and_told_everything_twice_it_counts_each_need_once(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    chance = random.Random(3)
    story = around.story()
    for _ in range(4):
        _many(story, chance, 150)
        again = list(story.records)
        async with picture(around) as process:
            feeding = asyncio.create_task(around.feed(story, shuffle=chance))
            await process.taken_in(at_least=chance.randrange(1, 250))
            await process.stop(signal.SIGKILL)
            await feeding
        story.records = again
        await around.feed(story)
    async with picture(around) as process:
        await around.caught_up()
        around.advance(timedelta(hours=1))
        await around.until(story.shown())
        assert await process.total("consumer_duplicates_total") > 0
        assert await process.total("sequence_gaps_total") == 0


async def test_partitions_that_move_between_two_processes_lose_and_repeat_nothing(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    chance = random.Random(5)

    story = around.story()

    async def told() -> None:
        _many(story, chance, 200)
        await around.feed(story, shuffle=chance)

    async with picture(around, instance=1) as one:
        await told()
        await one.taken_in(at_least=50)
        async with picture(around, instance=2) as two:
            async with asyncio.timeout(60):
                while await two.total("picture_records_total") < 20:
                    await told()
                    await around.caught_up()
            await told()
            await one.stop()
            await told()
            await around.caught_up()
            around.advance(timedelta(hours=1))
            await around.until(story.shown())


async def test_it_is_ready_without_kafka_and_counts_once_kafka_is_there(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    story = around.story()
    _busy_day(story)
    await around.feed(story)
    host, port = stack.bootstrap.split(":")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        around.bootstrap = f"127.0.0.1:{reserved.getsockname()[1]}"
        async with picture(around) as process:
            await process.logged("picture-waits")
            assert (await process.get("/readyz")).status_code == 200
            assert (await process.get("/livez")).status_code == 200
            reserved.close()
            async with door(around.bootstrap, host, int(port)):
                await around.until(BUSY_DAY)
            assert await process.stop() == 0


async def test_it_goes_on_after_the_broker_was_killed(tmp_path: Path) -> None:
    with temporary_state() as folder, running(folder, "--only", "kafka") as stack:
        around = await environment(stack, tmp_path)
        chance = random.Random(11)
        story = around.story()
        async with kept_running(around):
            _many(story, chance, 100)
            await around.feed(story, shuffle=chance)
            await around.caught_up()
            for _ in range(2):
                _many(story, chance, 100)
                await around.feed(story, shuffle=chance)
                os.kill(stack.process("kafka"), signal.SIGKILL)
                await around.kafka_answers()
            _many(story, chance, 100)
            await around.feed(story, shuffle=chance)
            await around.caught_up(seconds=90)
            around.advance(timedelta(hours=1))
            await around.until(story.shown())


async def test_told_to_stop_while_kafka_is_down_it_ends_in_time_and_loses_nothing(tmp_path: Path) -> None:
    with temporary_state() as folder, running(folder, "--only", "kafka") as stack:
        around = await environment(stack, tmp_path)
        around.grace_s = 5
        story = around.story()
        _busy_day(story)
        async with picture(around) as process:
            await around.feed(story)
            await process.taken_in(at_least=1)
            hold = stack.state.held / "kafka"
            hold.touch()
            os.kill(stack.process("kafka"), signal.SIGKILL)
            await process.logged("Failed fetch")
            assert (await process.get("/readyz")).status_code == 200
            assert (await process.get("/livez")).status_code == 200
            async with asyncio.timeout(10):
                await process.stop()
        hold.unlink()
        await around.kafka_answers()
        async with picture(around):
            around.advance(timedelta(hours=1))
            await around.until(BUSY_DAY)


async def test_a_running_picture_begins_anew_when_it_is_kept_running(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    story = around.story()
    _busy_day(story)
    await around.feed(story)

    async with kept_running(around):
        await around.until(BUSY_DAY)
        before = await around.epochs()
        code, printed = await command(around, "rebuild")
        assert code == 0, printed
        assert "counted anew" in printed
        await around.until_epoch_after(max(before.values()))
        assert await around.published() == BUSY_DAY
        code, printed = await command(around, "show")
        assert code == 0
        assert "<10" in printed
        assert re.search(r"north\W+lodging\W+\S+ \d\d:00\W+25\W+<10\W+<10", printed)
        assert "south" not in printed


async def test_a_record_that_cannot_be_read_is_counted_and_passed_over(
    stack: RunningStack, tmp_path: Path
) -> None:
    around = await environment(stack, tmp_path)
    story = around.story()
    marker = "Jane-Roe-of-Elm-Street"
    headers = [("ce_type", marker.encode())]
    story.records = [(around.cases, marker, marker.encode(), headers)] * 4
    _busy_day(story)
    await around.feed(story)
    async with picture(around) as process:
        await around.until(BUSY_DAY)
        assert await process.total("picture_unreadable_total") == 4
        assert marker not in (await process.get("/metrics")).text
        assert marker not in process.log.read_text()
        await process.stop()


def _many(story: Story, chance: random.Random, needs: int) -> None:
    for _ in range(needs):
        story.need(
            chance.choice(["north", "south"]),
            chance.choice(["lodging", "food"]),
            hour(chance.randrange(2, 6)),
            outcome=chance.choice(["placed", "placed", "unmet", ""]),
            hiding=chance.random() < 0.1,
        )
