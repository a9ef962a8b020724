"""The regional picture on a real Kafka: it counts once, forgets and counts the same, and says no more than it may."""

import asyncio
import random
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.picture import Story, command, environment, expected, hour, picture
from tests.support.stack import RunningStack

HIDDEN = -1


def _busy_day(story: Story) -> None:
    """North has 23 lodging needs at one hour of which 12 are placed and 11 unmet; south has too few to show."""
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
    async with picture(around) as running:
        await around.until(BUSY_DAY)
        assert await running.metrics("picture_needs") == {
            '{kind="lodging",state="reported"}': 25,
            '{kind="lodging",state="placed"}': 10,
            '{kind="lodging",state="unmet"}': 10,
            '{kind="food",state="reported"}': 15,
            '{kind="food",state="placed"}': HIDDEN,
            '{kind="food",state="unmet"}': HIDDEN,
        }
        before = await around.records()
        assert await running.stop() == 0
    code, printed = await command(around, "rebuild")
    assert code == 0, printed
    async with picture(around):
        await around.caught_up()
        async with asyncio.timeout(30):
            while {key: epoch(record) for key, record in (await around.records()).items()} == {
                key: epoch(record) for key, record in before.items()
            }:
                await asyncio.sleep(0.1)
        assert await around.published() == BUSY_DAY


def epoch(record: object) -> bytes:
    return dict(record.headers)["ce_epoch"]
