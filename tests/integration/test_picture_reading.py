"""What the picture's Faust reads, and that one which reads no more is noticed; in this process, on a real Kafka."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from services.chassis.health import Liveness
from services.chassis.lifecycle import BrokenPartError
from services.chassis.metrics import Metrics
from services.matching.picture import Engine
from services.matching.picture_process import PicturePart
from services.matching.picture_settings import PictureSettings, settings_from_environment
from services.matching.picture_upkeep import Folder
from tests.support.picture import Environment, environment, eventually, hour
from tests.support.stack import RunningStack


def _settings(around: Environment, monkeypatch: pytest.MonkeyPatch, **knobs: str) -> PictureSettings:
    for name, value in around.variables().items():
        if name.startswith("AID_"):
            monkeypatch.setenv(name, value)
    for name, value in knobs.items():
        monkeypatch.setenv(f"AID_PICTURE__{name.upper()}", value)
    return settings_from_environment()


@asynccontextmanager
async def _counting(settings: PictureSettings, metrics: Metrics) -> AsyncIterator[Any]:
    """The engine alone, started; its Faust app."""
    Folder(settings.folder)  # makes it
    failed: list[BaseException] = []
    engine = Engine(settings, settings.clock_source(), metrics, 4, failed.append)
    await engine.start()
    try:
        yield engine._app
    finally:
        await engine.stop()
    assert not failed


def _taken_in(metrics: Metrics) -> float:
    samples = (each for family in metrics.picture_records_total.collect() for each in family.samples)
    return sum(each.value for each in samples if each.name.endswith("_total"))


async def test_a_fetch_for_no_partitions_takes_nothing_away(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a fetch is on its way while Faust, its tables restored, wants nothing for a moment."""
    around = await environment(stack, tmp_path)
    metrics = Metrics()
    async with _counting(_settings(around, monkeypatch), metrics) as app:
        consumer = app.consumer
        await eventually(lambda: _is(consumer._placed))
        everything = consumer.assignment()
        consumer.pause_partitions(everything)
        story = around.story()
        for _ in range(200):
            story.need("north", "lodging", hour(3), outcome="placed")
        told = len(story.records)
        await around.feed(story, shuffle=random.Random(1))
        waiting = consumer._thread._consumer._fetcher._records
        await eventually(lambda: _is(any(each.topic == around.cases for each in list(waiting))))
        assert await consumer._thread.getmany(set(), timeout=0.2) == {}
        consumer.resume_partitions({each for each in everything if not consumer._is_changelog_tp(each)})
        await eventually(lambda: _is(_taken_in(metrics) == told))
        await around.caught_up()


async def test_the_streams_get_nothing_before_they_stand_at_what_was_committed(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it comes twice, and what comes twice for this reason holds up the commits."""
    around = await environment(stack, tmp_path)
    settings = _settings(around, monkeypatch)
    story = around.story()
    for _ in range(50):
        story.need("north", "lodging", hour(3))
    await around.feed(story)
    async with _counting(settings, Metrics()) as app:
        await around.caught_up()
        before, wanted = app.consumer.assignment(), app.consumer.wanted
        assert wanted(before) == before
        app.consumer._placed = False
        assert {each.topic for each in wanted(before)} == {
            f"{around.group}-{name}-changelog" for name in ("cases", "hours", "published")
        }
        await app.consumer.perform_seek()
        assert wanted(before) == before


async def test_a_partition_that_is_read_no_more_is_noticed_while_others_move(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = await environment(stack, tmp_path)
    settings = _settings(around, monkeypatch, patience_s="4")
    part = PicturePart(settings, Engine, Folder(settings.folder), Metrics(), Liveness())
    await part.start()
    watching = asyncio.create_task(part.watch())
    story = around.story()
    try:
        story.need("north", "lodging", hour(3))
        await around.feed(story)
        await around.caught_up()
        engine: Any = part._engine
        consumer = engine._app.consumer
        forgotten = {
            each for each in consumer.assignment() if each.topic == around.cases and not each.partition
        }
        consumer.pause_partitions(forgotten)
        async with asyncio.timeout(40):
            while not watching.done():
                story.need("north", "lodging", hour(3))
                await around.feed(story)
        with pytest.raises(ExceptionGroup) as broken:
            await watching
        assert broken.group_contains(BrokenPartError, match=f"{around.cases} 0")
    finally:
        await part.drain()


async def test_one_that_never_comes_up_is_noticed_although_nothing_waits(
    stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger holds the group, and Faust waits for its partitions for ever."""
    around = await environment(stack, tmp_path)
    settings = _settings(around, monkeypatch, patience_s="4")
    stranger = AIOKafkaConsumer(
        around.cases, bootstrap_servers=stack.bootstrap, group_id=around.group, session_timeout_ms=6000
    )
    await stranger.start()
    part = PicturePart(settings, Engine, Folder(settings.folder), Metrics(), Liveness())
    try:
        await part.start()
        with pytest.raises(ExceptionGroup) as broken:
            await asyncio.wait_for(part.watch(), 40)
        assert broken.group_contains(BrokenPartError, match="picture: hour")
    finally:
        await part.drain()
        await stranger.stop()


async def _is(fact: bool) -> bool:
    return fact
