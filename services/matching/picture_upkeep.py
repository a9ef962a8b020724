"""What operators do with the picture: begin it anew from the retained topics, and look at it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.chassis import kafka_admin, logs
from services.chassis.kafka_admin import OwnTopic
from services.matching.adapters import picture_wire
from services.matching.picture_model import HOUR, KEPT_HOURS, SUPPRESSED, hour_of, window
from services.matching.picture_settings import PictureSettings

_log = logs.logger("picture")
_LOOK_AGAIN_S = 0.1
_REBUILD_PATIENCE_S = 120.0
# A member that was killed is counted by the broker until its session has ended.
_GROUP_PATIENCE_MARGIN = timedelta(seconds=5)

# A segment is deleted as a whole: with one a day, what is kept for six days is gone after seven.
_AS_LONG_AS_ITS_SOURCE = {
    "retention.ms": str((KEPT_HOURS - 24) * HOUR * 1000),
    "segment.ms": str(24 * HOUR * 1000),
}


def own_topics(settings: PictureSettings, partitions: int) -> list[OwnTopic]:
    """What Faust would make by itself; but a topic that it makes while it joins its group is not assigned."""
    group, replication = settings.picture.group, settings.picture.replication
    kept = {"cleanup.policy": "compact,delete", **_AS_LONG_AS_ITS_SOURCE}
    return [
        OwnTopic(f"{group}-cells", 1, replication, {"cleanup.policy": "delete", **_AS_LONG_AS_ITS_SOURCE}),
        OwnTopic(f"{group}-cases-changelog", partitions, replication, kept),
        OwnTopic(f"{group}-hours-changelog", 1, replication, kept),
        OwnTopic(f"{group}-published-changelog", 1, replication, {"cleanup.policy": "compact"}),
    ]


class Folder:
    """The state folder: its lock says who is the picture here, its mark that all is to be forgotten first.

    The mark stays until everything has been forgotten, whoever does it and however often it is interrupted.
    """

    def __init__(self, path: Path) -> None:
        self._lock = path / "lock"
        self._mark = path / "rebuild"
        self.tables = path / "tables"
        path.mkdir(parents=True, exist_ok=True)

    @property
    def marked(self) -> bool:
        return self._mark.exists()

    def mark(self) -> None:
        self._mark.touch()

    def unmark(self) -> None:
        self._mark.unlink(missing_ok=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Be the picture here; waits while another process is."""
        while not (taken := self._take()):
            _log.warning("state-folder-in-use", process=self.holder())
            await asyncio.sleep(1)
        with taken:
            yield

    def try_hold(self) -> contextlib.ExitStack | None:
        """Be the picture here until the answer is closed; None when another process is."""
        return self._take()

    def _take(self) -> contextlib.ExitStack | None:
        stack = contextlib.ExitStack()
        file = stack.enter_context(self._lock.open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stack.close()
            return None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return stack

    def holder(self) -> int | None:
        """The process that is the picture here, if any."""
        if (free := self._take()) is not None:
            free.close()
            return None
        written = self._lock.read_text()
        return int(written) if written else None


async def forget(settings: PictureSettings, folder: Folder) -> list[str]:
    """Forget tables, changelogs, offsets and the folder's tables; the caller holds the folder.

    The published topic stays: the next publication has a later epoch and replaces what it says.
    """
    patience = timedelta(milliseconds=settings.kafka.session_timeout_ms) + _GROUP_PATIENCE_MARGIN
    group = settings.picture.group
    topics = await kafka_admin.forget(settings.kafka, group, f"{group}-", patience)
    shutil.rmtree(folder.tables, ignore_errors=True)
    folder.unmark()
    _log.info("forgotten", topics=len(topics))
    return topics


async def rebuild(settings: PictureSettings, console: Console) -> int:
    """Have everything forgotten and, where a picture runs, wait until it has counted all anew."""
    folder = Folder(settings.folder)
    folder.mark()
    running = folder.holder()
    if running is not None:
        console.print(f"The running picture (process {running}) is asked to begin anew.")
        os.kill(running, signal.SIGTERM)
    try:
        async with asyncio.timeout(_REBUILD_PATIENCE_S):
            await _until_forgotten(settings, folder)
            if running is None:
                console.print(
                    "Forgotten. At its next start the picture counts anew from the retained topics."
                )
                return 0
            await _until_caught_up(settings)
    except kafka_admin.GroupInUseError as error:
        folder.unmark()
        console.print(f"The group {error} still has members elsewhere: stop them first, then do this again.")
        return 1
    except TimeoutError:
        console.print("It has not begun anew in time: is it kept running, and is Kafka up? See its log.")
        return 1
    except kafka_admin.UNREACHABLE as error:
        console.print(f"Kafka at {settings.kafka.bootstrap} does not answer ({type(error).__name__}).")
        return 1
    console.print("Forgotten, and counted anew from the retained topics.")
    return 0


async def _until_forgotten(settings: PictureSettings, folder: Folder) -> None:
    """Whoever holds the folder forgets: the restarted picture, or else we."""
    while folder.marked:
        if (hold := folder.try_hold()) is not None:
            with hold:
                if folder.marked:
                    await forget(settings, folder)
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _until_caught_up(settings: PictureSettings) -> None:
    """A group that was just forgotten has no coordinator for a moment, which is no reason to give up."""
    sources = (settings.picture.cases, settings.picture.referrals)
    while True:
        with contextlib.suppress(*kafka_admin.UNREACHABLE):
            async with kafka_admin.Lookout.over(settings.kafka, settings.picture.group) as lookout:
                partitions = {topic: await lookout.partitions(topic) for topic in sources}
                if not any(each.lag for each in await lookout.standings(partitions)):
                    return
        await asyncio.sleep(_LOOK_AGAIN_S)


async def show(settings: PictureSettings, console: Console) -> int:
    """Print the picture as it was last published."""
    try:
        records = await kafka_admin.newest(settings.kafka, settings.picture.topic)
    except kafka_admin.UNREACHABLE as error:
        console.print(f"Kafka at {settings.kafka.bootstrap} does not answer ({type(error).__name__}).")
        return 1
    pictures = sorted(picture_wire.read_picture(record.value) for record in records.values() if record.value)
    now = settings.clock_source().now()
    table = Table(title=f"Regional picture, the 48 hours before {now:%Y-%m-%d %H}:00 UTC", caption=_CAPTION)
    for name in ("area", "kind", "hour (UTC)"):
        table.add_column(name)
    for name in ("reported", "placed", "unmet"):
        table.add_column(name, justify="right")
    current = window(hour_of(now.timestamp()))
    for area, kind, hours in pictures:
        for hour, counts in hours:
            if int(hour.timestamp()) in current:
                table.add_row(area or "anywhere", kind, _hour(hour), *(_count(each) for each in counts))
    console.print(table)
    if not table.row_count:
        console.print("Nothing to show: every count is under 10.")
    return 0


_CAPTION = "Counts under 10 are not shown; others are rounded to 5. Households in hiding are not counted."


def _hour(hour: datetime) -> str:
    return f"{hour:%Y-%m-%d %H}:00"


def _count(count: int) -> str:
    return "<10" if count == SUPPRESSED else str(count)
