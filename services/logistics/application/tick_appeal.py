"""The tick: the only moment at which the public list changes."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.chassis.ids import random_id
from services.logistics.application.ports import Work
from services.logistics.domain import appeal
from services.logistics.domain.events import LineEvent
from services.logistics.domain.ids import LineId, Packs

TICK = "appeal-tick"
SUBJECT = "appeal"
# A tick comes after the promises that end at the same whole hour, so that it shows them.
_AFTER = timedelta(milliseconds=1)


async def tick_appeal(work: Work, period: timedelta, due_at: datetime) -> int | None:
    """Freeze the list as of this tick and arm the next; returns the lines that want goods.

    A tick that was missed is not made up for. It makes way for the last one that is due, behind all promises
    that ended in between; None then.
    """
    last = appeal.tick_at(work.now, period)
    if due_at < last:
        await work.arm(TICK, SUBJECT, last + _AFTER)
        return None
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
    work.lines.tick(last)
    work.tell(*events)
    await work.arm(TICK, SUBJECT, last + period + _AFTER)
    return sum(1 for line in after if line.state is appeal.LineState.PUBLISHED)


async def resume_ticks(work: Work, period: timedelta) -> None:
    """At start: the tick after the last one is due, also when it was missed. Arming it again is harmless."""
    last = await work.lines.ticked_at()
    due = work.now if last is None else appeal.tick_at(last, period) + period + _AFTER
    await work.arm(TICK, SUBJECT, due)
