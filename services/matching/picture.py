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
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from rich.console import Console

from services.chassis import kafka_admin
from services.chassis.clock import Clock
from services.chassis.lifecycle import BrokenPartError, launch
from services.chassis.metrics import Metrics
from services.matching import picture_process, picture_upkeep
from services.matching.picture_agents import Around, Counting, Publishing
from services.matching.picture_model import Hour
from services.matching.picture_process import Fail
from services.matching.picture_settings import PictureSettings, settings_from_environment

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
