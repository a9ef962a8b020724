"""The process around the picture: waits for Kafka, watches that records are taken in, says when to publish."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.chassis import kafka_admin, logs
from services.chassis.clock import Clock
from services.chassis.health import Liveness, Progress, Readiness
from services.chassis.http import HttpServer
from services.chassis.identity import Identity
from services.chassis.kafka_admin import Lookout, Standing
from services.chassis.lifecycle import BrokenPartError, run
from services.chassis.metrics import Metrics
from services.matching.picture_model import Calendar, Hour, hour_of
from services.matching.picture_settings import PictureSettings
from services.matching.picture_upkeep import Folder, forget

_log = logs.logger("picture")
_LOOK_EVERY_S = 0.5
_LONGEST_WAIT_S = 4.0
_REPEATED_AFTER_S = 10.0

# Of the time for the whole shutdown, what the engine may take of it.
_SHARE_OF_GRACE = 0.6

Fail = Callable[[BaseException], None]


class UndrainedError(Exception):
    """The engine did not come to an end in time."""


class Engine(Protocol):
    """What counts and publishes."""

    async def start(self) -> None: ...
    async def ended(self) -> None:
        """Never return; raise when it has come to an end by itself."""

    async def stop(self) -> None: ...
    async def tick(self, until: Hour) -> None:
        """Publish this hour, after all that was counted so far."""

    def sweep(self) -> None:
        """Let go of what is too old."""

    def restored(self) -> int:
        """Another number whenever more of what it knew before has been read back."""


MakeEngine = Callable[[PictureSettings, Clock, Metrics, int, Fail], Engine]


class Movement:
    """Whether every partition moves that has records waiting, and the hour that is due gets asked for.

    One that stands still is not excused by others that move: until it is read, no hour is published.
    """

    def __init__(
        self, liveness: Liveness, patience_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._liveness, self._patience_s, self._monotonic = liveness, patience_s, monotonic
        self._progress: dict[tuple[str, int], Progress] = {}
        self._reached: dict[tuple[str, int], int] = {}
        self._restored = 0
        self.hour = liveness.watch(Progress("picture: hour", patience_s, monotonic))

    def saw(self, standings: Sequence[Standing], restored: int) -> None:
        """Where the group stands now. While tables are being restored, nothing can be taken in."""
        if restored != self._restored:
            self.hour.moved()
        for each in standings:
            place = (each.topic, each.partition)
            progress = self._progress_at(place)
            if not each.lag:
                progress.idle()
                continue
            progress.busy()
            if each.committed != self._reached.get(place) or restored != self._restored:
                progress.moved()
        self._reached = {(each.topic, each.partition): each.committed for each in standings}
        self._restored = restored

    def unknown(self) -> None:
        """Kafka does not answer: then nothing can move, and that is nobody's fault here."""
        for progress in (*self._progress.values(), self.hour):
            progress.idle()

    def _progress_at(self, place: tuple[str, int]) -> Progress:
        if place not in self._progress:
            topic, partition = place
            progress = Progress(f"picture: {topic} {partition}", self._patience_s, self._monotonic)
            self._progress[place] = self._liveness.watch(progress)
        return self._progress[place]


class PicturePart:
    """The picture as a part of its process: up as soon as Kafka is, judged by what it gets done."""

    name = "picture"

    def __init__(
        self,
        settings: PictureSettings,
        make: MakeEngine,
        folder: Folder,
        metrics: Metrics,
        liveness: Liveness,
    ) -> None:
        self._settings, self._make, self._folder, self._metrics = settings, make, folder, metrics
        self._clock = settings.clock_source()
        self._liveness = liveness
        self._movement = Movement(liveness, settings.picture.patience_s)
        self._started = False
        self._blind = False
        self._calendar = Calendar()
        self._sources = (settings.picture.cases, settings.picture.referrals)
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._engine: Engine | None = None
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns at once: Kafka may be down for as long as it likes."""
        self._work = asyncio.create_task(self._serve())
        self._work.add_done_callback(self._ended)

    async def watch(self) -> None:
        await self._broken

    async def drain(self) -> None:
        """Let the engine finish; raises UndrainedError when it cannot, which without Kafka it never can.

        What it leaves undone was not committed and is taken in again. Cancelling is no help: Faust ignores it.
        """
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        if self._engine is not None:
            stopping = asyncio.create_task(self._engine.stop())
            _, unfinished = await asyncio.wait({stopping}, timeout=self._settings.grace_s * _SHARE_OF_GRACE)
            if unfinished:
                raise UndrainedError(self.name)
            await stopping

    def _ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled():
            self._fail(work.exception() or BrokenPartError(self.name))

    def _fail(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _serve(self) -> None:
        partitions = await self._partitions()
        if self._folder.marked:
            await forget(self._settings, self._folder)
        engine = self._make(self._settings, self._clock, self._metrics, partitions, self._fail)
        self._engine = engine
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(engine, partitions))
            group.create_task(self._look_out(engine, partitions))

    async def _run(self, engine: Engine, partitions: int) -> None:
        """Looked out for from its first moment: Faust's start waits for its tables, and may wait for ever."""
        await engine.start()
        self._started = True
        _log.info("picture-started", partitions=partitions)
        await engine.ended()

    async def _partitions(self) -> int:
        """Wait for Kafka and the two topics; their partitions. A case lies in the same one of both."""
        said, patience_s = "", _LOOK_EVERY_S
        while True:
            try:
                async with self._lookout() as lookout:
                    found = {await lookout.partitions(topic) for topic in self._sources}
                waits_for = "topics" if 0 in found else ""
            except kafka_admin.UNREACHABLE:
                waits_for = "kafka"
            if not waits_for:
                break
            if waits_for != said:
                _log.warning("picture-waits", cause=waits_for)
            said = waits_for
            await asyncio.sleep(patience_s)
            patience_s = min(2 * patience_s, _LONGEST_WAIT_S)
        if len(found) > 1:
            raise ValueError("the topics of cases and of referrals differ in partitions")
        return found.pop()

    def _lookout(self) -> AbstractAsyncContextManager[Lookout]:
        return Lookout.over(self._settings.kafka, self._settings.picture.group)

    async def _look_out(self, engine: Engine, partitions: int) -> None:
        """Measure lag from outside, judge progress by it, and have the hours published."""
        topics = {**dict.fromkeys(self._sources, partitions), f"{self._settings.picture.group}-cells": 1}
        while True:
            try:
                async with self._lookout() as lookout:
                    while True:
                        await self._look(engine, await lookout.standings(topics))
                        await asyncio.sleep(_LOOK_EVERY_S)
            except kafka_admin.UNREACHABLE as error:
                if not self._blind:
                    _log.warning("lag-unknown", error=error)
                self._blind = True
                self._movement.unknown()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self, engine: Engine, standings: list[Standing]) -> None:
        if self._blind:
            _log.info("lag-known-again")
        self._blind = False
        self._judge(engine, standings)
        if not self._started:
            self._movement.hour.busy()
            return
        if (due := self._due(standings)) is not None:
            engine.sweep()
            self._movement.hour.busy()
            await engine.tick(due)
        self._movement.hour.idle()

    def _judge(self, engine: Engine, standings: list[Standing]) -> None:
        """Records that wait while none is taken in: Faust or its consumer is stuck, and only a restart helps.

        An hour that was asked for and is not published shows in the same way: its tick waits among the cells.
        """
        self._movement.saw(standings, engine.restored())
        if stuck := self._liveness.stuck():
            raise BrokenPartError(f"{self.name}: records wait and none is taken in ({', '.join(stuck)})")
        for topic in self._sources:
            lag = sum(each.lag for each in standings if each.topic == topic)
            self._metrics.consumer_lag_records.labels(topic).set(lag)

    def _due(self, standings: list[Standing]) -> Hour | None:
        sources = [each for each in standings if each.topic in self._sources]
        return self._calendar.look(
            hour_of(self._clock.now().timestamp()),
            {(each.topic, each.partition): each.committed for each in sources},
            {(each.topic, each.partition): each.end for each in sources},
        )


async def serve(settings: PictureSettings, make: MakeEngine) -> None:
    folder = Folder(settings.folder)
    async with folder.held():
        metrics, readiness, liveness = Metrics(), Readiness(), Liveness()
        door = HttpServer(
            settings.http, [], Identity(settings.identity), metrics, readiness,
            liveness=liveness, metrics_settings=settings.metrics, title="Regional picture",
        )  # fmt: skip
        picture = PicturePart(settings, make, folder, metrics, liveness)
        await run(door, picture, grace=settings.grace)


def configure_logs(settings: PictureSettings) -> None:
    """As in the services, with the libraries held back."""
    logs.configure(settings.name, settings.log_level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Restraint())


class Restraint(logging.Filter):
    """Lines of Faust lose their words, into which it writes keys and values, and no library repeats itself.

    Without a broker aiokafka would say so thirty times a second.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        library = record.name.split(".")[0]
        if library in ("faust", "mode"):
            record.msg, record.args = f"{record.module}:{record.lineno}", ()
        if library not in ("faust", "mode", "aiokafka"):
            return True
        place, now = (record.name, record.lineno), self._monotonic()
        if now - self._said.get(place, -_REPEATED_AFTER_S) < _REPEATED_AFTER_S:
            return False
        self._said[place] = now
        return True
