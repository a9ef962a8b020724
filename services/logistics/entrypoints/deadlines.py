"""What logistics does when a promise falls due."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from services.chassis.metrics import Metrics
from services.chassis.timers import Deadline, Due
from services.logistics.application.admit_pledges import EXPIRY
from services.logistics.application.bags import TOLD, tell_handovers
from services.logistics.application.parcels import ARRIVAL, expire_pledges, give_up_box
from services.logistics.application.ports import Work
from services.logistics.application.tick_appeal import TICK, tick_appeal
from services.logistics.domain.ids import Label, LineId
from services.logistics.settings import AppealSettings


class Deadlines:
    """One method per kind of timer; each acts in the transaction that ends the timer."""

    def __init__(self, settings: AppealSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics

    def by_kind(self) -> Mapping[str, Deadline[Work]]:
        return {TICK: self.tick, EXPIRY: self.pledges_end, ARRIVAL: self.box_is_lost, TOLD: self.handovers}

    async def tick(self, due: Due, work: Work) -> None:
        """The public list changes now, and arms its next change."""
        standing = await tick_appeal(work, self._settings.tick, due.due_at)
        if standing is not None:
            work.after_commit(partial(self._metrics.appeal_lines_open.set, standing))

    async def pledges_end(self, due: Due, work: Work) -> None:
        """All pledges of one line that were to be sent by the same hour."""
        line_id, _, _ = due.subject.partition("/")
        ended = await expire_pledges(work, LineId(UUID(line_id)), due.due_at)
        work.after_commit(partial(self._metrics.pledges_expired_total.inc, ended))

    async def handovers(self, due: Due, work: Work) -> None:
        """What was given since the last time is told together."""
        await tell_handovers(work)

    async def box_is_lost(self, due: Due, work: Work) -> None:
        """A parcel that was sent and never came."""
        await give_up_box(work, Label(due.subject))
