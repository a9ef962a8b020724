"""The two agents of the regional picture, each with its tables: one counts cases, one adds up and publishes.

They are given Faust's app and import nothing of Faust.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from services.chassis import envelope, logs
from services.chassis.clock import Clock
from services.chassis.envelope import MalformedError
from services.chassis.metrics import Metrics
from services.chassis.topics import Topics
from services.matching.adapters import picture_wire
from services.matching.picture_model import (
    HOUR,
    KEPT_HOURS,
    NOTHING,
    CaseMemory,
    Cell,
    Counts,
    Hour,
    Source,
    Tally,
    changed,
    hour_of,
    parts_of,
    plus,
)
from services.matching.picture_process import Fail
from services.matching.picture_publication import Publication
from services.matching.picture_settings import PictureSettings

_log = logs.logger("picture")
_KEPT = timedelta(hours=KEPT_HOURS)
_LATE_S = 2 * HOUR


@dataclass(frozen=True, slots=True)
class Around:
    """What both agents work with."""

    app: Any  # Faust's
    settings: PictureSettings
    clock: Clock
    metrics: Metrics
    fail: Fail

    async def each(self, stream: Any, take: Callable[[Any], Awaitable[None]]) -> None:
        """Faust acknowledges an event whose agent raised; so none may. The process ends instead."""
        events: AsyncIterable[Any] = stream.events()
        async for event in events:
            try:
                await take(event)
            except Exception as error:  # noqa: BLE001 - whatever it was, the event was not taken in
                self.fail(error)
                await asyncio.Event().wait()


class Counting:
    """The agent that reads the topics of cases, and the table `cases`."""

    def __init__(self, around: Around, partitions: int, cells: Any) -> None:
        app, knobs = around.app, around.settings.picture
        self._around, self._metrics, self._cells = around, around.metrics, cells
        self._sources = {knobs.cases: Source.CASES, knobs.referrals: Source.REFERRALS}
        self._tally = Tally()
        self._cases = app.Table("cases", partitions=partitions)
        self._cases.on_recover(self._recount)
        events = app.topic(
            *self._sources, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw",
            allow_empty=True,
        )  # fmt: skip
        app.agent(events, name="count", concurrency=1)(self._count)

    async def _count(self, stream: Any) -> None:
        await self._around.each(stream, self._take)

    async def _take(self, event: Any) -> None:
        """Remember the event, and send on the counts that it changed.

        It is written also when it changed nothing: a table on disk may know what its changelog never got.
        """
        message = event.message
        try:
            received = envelope.received(message)
            told = picture_wire.told(received, self._sources[message.topic])
        except MalformedError as error:
            _log.error("record-unreadable", error=error, topic=message.topic, offset=message.offset)
            self._metrics.picture_unreadable_total.labels(message.topic).inc()
            return
        before = self._remembered(received.key)
        after = before.after(told)
        self._cases[received.key] = {"partition": message.partition, **after.dump()}
        self._tally.move(message.partition, before, after)
        for cell in changed(before, after):
            await self._send(message.partition, cell)
        if before.is_old_news(told):
            self._metrics.consumer_duplicates_total.labels(message.topic).inc()
        elif before.misses_one_before(told):
            self._metrics.sequence_gaps_total.labels(message.topic).inc()
        age = self._around.clock.now() - received.recorded_at
        self._metrics.event_age_seconds.labels(message.topic).observe(max(0.0, age.total_seconds()))
        self._metrics.picture_records_total.labels(message.topic).inc()

    def _remembered(self, case: str) -> CaseMemory:
        dumped = self._cases.get(case)
        return CaseMemory() if dumped is None else CaseMemory.load(dumped)

    async def _send(self, partition: int, cell: Cell) -> None:
        counts = self._tally.of(partition, cell)
        value = {"hour": cell.hour, "partition": partition, "counts": counts}
        await self._cells.send(key=f"{cell.area}|{cell.kind}", value=value)

    async def _recount(self) -> None:
        """After a start or a rebalance: count the partitions that are ours now, and send all counts again."""
        assigned = self._around.app.consumer.assignment()
        ours = {each.partition for each in assigned if each.topic in self._sources}
        self._tally = Tally()
        for dumped in self._cases.data.values():
            if dumped["partition"] in ours:
                self._tally.move(dumped["partition"], CaseMemory(), CaseMemory.load(dumped))
        for partition, cell in self._tally.cells():
            await self._send(partition, cell)

    def sweep(self) -> None:
        """Let go of what is older than the topics are kept. In Kafka the changelog's retention does it."""
        oldest = Hour(hour_of(self._around.clock.now().timestamp()) - KEPT_HOURS * HOUR)
        for case, dumped in list(self._cases.data.items()):
            if dumped["latest"] < oldest:
                self._cases.data.pop(case, None)
        self._tally.forget_before(oldest)


class Publishing:
    """The agent that adds partitions up, the tables `hours` and `published`, and what others get to see."""

    def __init__(self, around: Around, cells: Any) -> None:
        app, knobs = around.app, around.settings.picture
        self._around, self._metrics, self._cells = around, around.metrics, cells
        self._picture = app.topic(knobs.topic, key_serializer="raw", value_serializer="raw")
        table: Any = app.Table("hours", default=dict, partitions=1)
        windows: Any = table.tumbling(timedelta(seconds=HOUR), expires=_KEPT)
        self._hours = windows.relative_to(lambda event: float(event.value["hour"]))
        topic = Topics.load(around.settings.topics.file).of(knobs.topic)
        published = app.Table("published", partitions=1)
        published.on_recover(self._recovered)
        self._publication = Publication(published, topic)
        app.agent(cells, name="publish", concurrency=1)(self._publish)

    async def tick(self, until: Hour) -> None:
        """Ask for the publication of this hour, behind all counts that were sent so far."""
        await self._cells.send(key="tick", value={"tick": until})

    async def _publish(self, stream: Any) -> None:
        await self._around.each(stream, self._take)

    async def _take(self, event: Any) -> None:
        """A tick; or the counts of one partition for an area, kind and hour."""
        if "tick" in event.value:
            await self._tick(Hour(event.value["tick"]))
            return
        parts = self._hours[event.key].value()
        self._hours[event.key] = {**parts, str(event.value["partition"]): event.value["counts"]}

    async def _tick(self, until: Hour) -> None:
        """Decide what this hour says, make that durable, then say it; the same if it has been decided before.

        A tick that comes a little late is passed over. One from long before means that the clock was set back.
        """
        if 0 < self._publication.until - until <= _LATE_S:
            return
        if until != self._publication.until:
            self._publication.decide(self._summed(), until, new_epoch=int(time.time()))
            await self._around.app.producer.flush()
        said = [
            await self._picture.send(key=each.key.encode(), value=each.payload, headers=each.headers)
            for each in self._publication.said()
        ]
        await asyncio.gather(*said)
        self._metrics.picture_needs.clear()
        for (kind, state), total in self._publication.totals.items():
            self._metrics.picture_needs.labels(kind, state).set(total)

    async def _recovered(self) -> None:
        """Figures that another process publishes now are not for this one to keep showing."""
        name = self._cells.get_topic_name()
        if not any(each.topic == name for each in self._around.app.consumer.assignment()):
            self._metrics.picture_needs.clear()

    def _summed(self) -> dict[Cell, Counts]:
        """The counts of `hours` over all partitions."""
        cells: dict[Cell, Counts] = {}
        for (key, (start, _)), parts in self._hours.table.data.items():
            area, kind = parts_of(key)
            total = NOTHING
            for reported, placed, unmet in parts.values():
                total = plus(total, (reported, placed, unmet))
            cells[Cell(area, kind, Hour(int(start)))] = total
        return cells
