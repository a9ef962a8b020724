"""Wakes whoever watches a case in this process; for changes made elsewhere they look again by themselves."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.intake.domain.ids import CaseId


class CaseAlarm:
    """Rings once for any number of changes since it was last heard."""

    def __init__(self, look_again_s: float) -> None:
        self._changed = asyncio.Event()
        self._look_again_s = look_again_s

    def ring(self) -> None:
        self._changed.set()

    async def rings(self) -> None:
        try:
            async with asyncio.timeout(self._look_again_s):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()


class CaseWatchers:
    """Who watches which case; nothing is kept for a case that nobody watches."""

    def __init__(self, look_again_s: float) -> None:
        self._look_again_s = look_again_s
        self._alarms: dict[CaseId, set[CaseAlarm]] = {}

    @contextmanager
    def watch(self, case_id: CaseId) -> Iterator[CaseAlarm]:
        alarm = CaseAlarm(self._look_again_s)
        self._alarms.setdefault(case_id, set()).add(alarm)
        try:
            yield alarm
        finally:
            watching = self._alarms[case_id]
            watching.discard(alarm)
            if not watching:
                del self._alarms[case_id]

    def wake(self, case_id: CaseId) -> None:
        for alarm in self._alarms.get(case_id, ()):
            alarm.ring()
