"""The tick: the only moment at which the public list changes."""

from __future__ import annotations

from datetime import timedelta

from services.chassis.ids import random_id
from services.logistics.application.ports import Work
from services.logistics.domain import appeal
from services.logistics.domain.events import LineEvent
from services.logistics.domain.ids import LineId, Packs

TICK = "appeal-tick"
SUBJECT = "appeal"


async def tick_appeal(work: Work, period: timedelta) -> int:
    """Freeze the list as of this tick and arm the next; returns the lines that stand on it.

    A tick that was missed (the service was down) is not made up for: the next one shows what is true then.
    """
    lines = await work.lines.all_locked()
    missing = await work.lines.shortfalls()
    after, events = [], list[LineEvent]()
    for line in lines:
        ticked, told = appeal.ticked(line, missing.pop((line.area, line.item_id), Packs(0)))
        after.append(ticked)
        events += told
    for (area, item_id), packs in sorted(missing.items()):
        if packs:
            line, told = appeal.published(LineId(random_id()), area, item_id, packs)
            after.append(line)
            events += told
    work.lines.save(after)
    work.lines.tick(appeal.tick_at(work.now, period))
    work.tell(*events)
    await work.arm(TICK, SUBJECT, appeal.tick_after(work.now, period))
    return sum(1 for line in after if line.state is appeal.LineState.PUBLISHED)


async def resume_ticks(work: Work, period: timedelta) -> None:
    """At start: the tick after the last one is due, also when it was missed meanwhile. Arming it again is harmless."""
    last = await work.lines.ticked_at()
    due = appeal.tick_at(work.now, period) if last is None else appeal.tick_after(last, period)
    await work.arm(TICK, SUBJECT, due)
