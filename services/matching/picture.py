"""The regional picture: a Faust app in a process of its own that counts needs by area, kind and hour.

Derived and rebuildable, never the state of record: it may be forgotten at any time, and counts the same anew.

The topics of cases are read partition by partition. The table `cases` remembers each case in one record, and
the counts of a partition follow from it. An event that comes again (Faust delivers at least once) finds itself
in `cases` and changes nothing. Areas run across partitions: the counts of each partition go, as full state,
through a topic of one partition into the windowed table `hours`, with a window per hour of domain time; all of
them are sent again after a start or a rebalance, so that none can have been lost. A tick, sent through that
same topic once an hour, publishes what `hours` holds by then.

Faust makes topics of its own, all named after the group: `<group>-cells`, which leads from partitions to
areas, and the tables' changelogs `<group>-{cases,hours,published}-changelog`. They are not in `topics.yaml`,
since nobody else writes or reads them, and `rebuild` deletes them. They hold case ids and small counts, so
nobody but the picture's own principal may read the prefix `<group>-`; they are kept no longer than restricted
topics are.

    python -m services.matching.picture            run it
    python -m services.matching.picture rebuild    forget everything and count anew from the retained topics
    python -m services.matching.picture show       print what was last published
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from rich.console import Console

from services.chassis import envelope, kafka_admin, logs
from services.chassis.clock import Clock
from services.chassis.envelope import MalformedError
from services.chassis.lifecycle import BrokenPartError, launch
from services.chassis.metrics import Metrics
from services.chassis.topics import Topics
from services.matching import picture_process, picture_upkeep
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
from services.matching.picture_settings import PictureSettings, settings_from_environment

_log = logs.logger("picture")
_KEPT = timedelta(hours=KEPT_HOURS)
_LATE_S = 2 * HOUR
_FETCH_AGAIN_S = 0.05


class Fetches(driver.AIOKafkaConsumerThread):
    """Faust's reading of Kafka, told exactly what to fetch.

    Faust hands aiokafka the very set that it goes on changing, and to aiokafka 0.14.0 an empty one means "of
    everything" (`Fetcher.fetched_records`). Faust 0.15.3 empties it for a moment when its tables are restored
    (`Recovery._restart_recovery`): a fetch that was on its way then took what the streams were to get, Faust
    threw that away, and where nothing had been committed yet nobody went back for it
    (`AIOKafkaConsumer.seek_to_committed` leaves such a partition where it stands).
    """

    consumer: Reader

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[Any], timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:  # fmt: skip
        wanted = self.consumer.wanted(set(active_partitions))
        if not wanted:
            await asyncio.sleep(_FETCH_AGAIN_S)
            return {}
        return await super()._fetch_records(consumer, wanted, timeout=timeout, max_records=max_records)


class Reader(driver.Consumer):
    """Faust's consumer, which gives the streams nothing before it stands at what was committed.

    Faust lets the streams' records in a moment before it goes there (`Recovery.on_recovery_completed`). What
    came in that moment came twice, and was counted as a gap, beside which commits advance one by one.
    """

    _placed = False

    def _new_consumer_thread(self) -> Fetches:
        return Fetches(self, loop=self.loop, beacon=self.beacon)

    def wanted(self, active: set[Any]) -> set[Any]:
        """Of these partitions, those that may be fetched now. Called on the thread that fetches."""
        return active if self._placed else {each for each in active if self._is_changelog_tp(each)}

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        self._placed = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        await super().perform_seek()
        self._placed = self.flow_active  # during a rebalance it is done for nothing


class Transport(driver.Transport):
    Consumer = Reader


class PictureApp(faust.App):
    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


def application(settings: PictureSettings) -> PictureApp:
    """Faust as the picture uses it: at least once, one event at a time, no web server of its own."""
    return PictureApp(
        settings.picture.group,
        broker=[f"kafka://{each}" for each in settings.kafka.bootstrap.split(",")],
        store=f"{settings.picture.store}://",
        datadir=str(settings.folder / "tables"),
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_replication_factor=settings.picture.replication,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.kafka.instance_id,
        broker_commit_interval=0.5,
        broker_session_timeout=settings.kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.kafka.session_timeout_ms / 5000,
        producer_linger=0.05,  # seconds; batches matter more than the moment
        producer_request_timeout=60,
    )


class Undelivered(faust.Sensor):
    """Faust only logs a record that Kafka did not take; here that ends the process, before any commit."""

    def __init__(self, fail: Fail) -> None:
        super().__init__()
        self._fail = fail

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        self._fail(exc)


@dataclass(frozen=True, slots=True)
class Around:
    """What both agents work with."""

    app: faust.App
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


class Engine:
    """The app with both agents. Made when Kafka is there, on the loop that is to run it."""

    def __init__(
        self, settings: PictureSettings, clock: Clock, metrics: Metrics, partitions: int, fail: Fail
    ) -> None:
        self._app = application(settings)
        self._kafka, self._own_topics = settings.kafka, picture_upkeep.own_topics(settings, partitions)
        self._app.sensors.add(Undelivered(fail))
        around = Around(self._app, settings, clock, metrics, fail)
        cells = self._app.topic(
            f"{settings.picture.group}-cells", partitions=1, key_type=str, key_serializer="raw",
            value_serializer="json",
        )  # fmt: skip
        self._counting = Counting(around, partitions, cells)
        self._publishing = Publishing(around, cells)

    async def start(self) -> None:
        await kafka_admin.make(self._kafka, self._own_topics)
        self._app.finalize()
        await self._app.start()

    async def ended(self) -> None:
        """Faust keeps a crash to itself; this raises it."""
        await self._app.wait_until_stopped()
        raise self._app.crash_reason or BrokenPartError("faust")

    async def stop(self) -> None:
        """Finish the event at hand, hand the records over, commit."""
        await self._app.stop()

    async def tick(self, until: Hour) -> None:
        await self._publishing.tick(until)

    def sweep(self) -> None:
        self._counting.sweep()

    def restored(self) -> int:
        """Offsets up to which Faust has read its changelogs, added up."""
        tables: Any = self._app.tables
        return sum(offset or 0 for offset in list(tables.recovery.active_offsets.values()))


def main(argv: list[str]) -> int:
    settings = settings_from_environment()
    picture_process.configure_logs(settings)
    match argv:
        case []:
            launch(picture_process.serve(settings, Engine))
            return 0
        case ["rebuild"]:
            return asyncio.run(picture_upkeep.rebuild(settings, Console()))
        case ["show"]:
            return asyncio.run(picture_upkeep.show(settings, Console()))
        case _:
            sys.stderr.write("usage: python -m services.matching.picture [rebuild | show]\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
