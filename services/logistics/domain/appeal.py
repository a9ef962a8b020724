"""The public list: what a line lets in, and what the world may see of it, tick by tick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.logistics.domain.events import (
    LineClosed,
    LineEvent,
    LineFulfilled,
    LinePublished,
    PledgesAdmitted,
    PledgesExpired,
)
from services.logistics.domain.ids import Area, ItemId, LineId, Packs
from services.logistics.domain.refusal import Refusal, refused

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
NONE = Packs(0)


class LineState(StrEnum):
    PUBLISHED = "published"
    FULFILLED = "fulfilled"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Line:
    """One item that one area wants. All figures are packs.

    `wanted` and `state` move on the tick only, so that nobody can watch a household's need come and go.
    Against it count `pledged` (promised and not here yet), `arrived` (received since the last tick) and
    `settling` (received between the last two): goods on the shelf count until matching has had a whole tick
    to take them off its shortfall, or the same packs would be asked for twice. `admitted` and `returned` are
    what moved since the last tick; `received` is all that ever arrived since the line was published;
    `shown` is the figure the public sees.
    """

    line_id: LineId
    area: Area
    item_id: ItemId
    state: LineState
    wanted: Packs
    pledged: Packs = NONE
    arrived: Packs = NONE
    settling: Packs = NONE
    admitted: Packs = NONE
    returned: Packs = NONE
    received: Packs = NONE
    shown: Packs = NONE

    @property
    def covered(self) -> Packs:
        """What counts against the line; may exceed `wanted` when less is wanted than before."""
        return Packs(self.pledged + self.arrived + self.settling)

    @property
    def open(self) -> Packs:
        """What may still be pledged."""
        return Packs(max(0, self.wanted - self.covered)) if self.state is LineState.PUBLISHED else Packs(0)

    def closed_to_pledges(self) -> Refusal:
        """Why nothing can be pledged."""
        if self.state is LineState.PUBLISHED:
            return refused("line-covered", "Everything on this line is promised; thank you.")
        return refused("line-closed", "This line is not on the list any more; thank you.")


def shares(open_packs: Packs, asked: list[Packs]) -> list[Packs]:
    """What each of several donors who come together may give: in their order, and never more than is open."""
    granted = []
    for packs in asked:
        share = Packs(min(packs, open_packs))
        open_packs = Packs(open_packs - share)
        granted.append(share)
    return granted


def ticked(line: Line, missing: Packs) -> tuple[Line, list[LineEvent]]:
    """The line after a tick, and what it announces, when matching says that `missing` packs are short."""
    state = _state(line, missing)
    republished = state is LineState.PUBLISHED and line.state is not LineState.PUBLISHED
    after = replace(
        line,
        state=state,
        wanted=missing,
        settling=line.arrived,
        arrived=Packs(0),
        admitted=Packs(0),
        returned=Packs(0),
        received=Packs(0) if republished else line.received,
    )
    after = replace(after, shown=after.covered)
    return after, _announced(line, after)


def published(line_id: LineId, area: Area, item_id: ItemId, missing: Packs) -> tuple[Line, list[LineEvent]]:
    """A line that was never on the list before."""
    line = Line(line_id, area, item_id, LineState.PUBLISHED, missing)
    return line, [LinePublished(line_id, area, item_id, missing)]


def _state(line: Line, missing: Packs) -> LineState:
    """A line whose need is met stays visible as fulfilled for one tick; one that met nothing just leaves."""
    if missing:
        return LineState.PUBLISHED
    if line.state is LineState.PUBLISHED and line.received:
        return LineState.FULFILLED
    return LineState.CLOSED


def _announced(before: Line, after: Line) -> list[LineEvent]:
    events: list[LineEvent] = []
    if before.admitted:
        events.append(PledgesAdmitted(after.line_id, after.shown))
    if before.returned:
        events.append(PledgesExpired(after.line_id, after.shown))
    if after.state is LineState.PUBLISHED and (after.wanted, after.state) != (before.wanted, before.state):
        events.append(LinePublished(after.line_id, after.area, after.item_id, after.wanted))
    if after.state is LineState.FULFILLED:
        events.append(LineFulfilled(after.line_id))
    if after.state is LineState.CLOSED and before.state is not LineState.CLOSED:
        events.append(LineClosed(after.line_id))
    return events


def tick_at(moment: datetime, period: timedelta) -> datetime:
    """The last tick at or before `moment`; ticks stand at whole periods since 1970, whoever computes them."""
    return EPOCH + ((moment - EPOCH) // period) * period
