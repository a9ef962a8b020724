"""A box on the table: what screening and counting make of it, for the shelf and for the line it answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.logistics.domain.ids import Packs, Pieces
from services.logistics.domain.refusal import invalid, refused
from services.logistics.domain.shipments import DONE, Box, BoxState

MOST_PIECES = 100_000


class Screening(StrEnum):
    CLEAN = "clean"
    SUSPICIOUS = "suspicious"
    PENDING = "pending"


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    SHORT = "short"
    OVER = "over"
    DAMAGED = "damaged"
    SET_APART = "set apart"
    WAITING = "waiting for screening"


@dataclass(frozen=True, slots=True)
class Count:
    """What the crew says of a box: pieces that are usable, pieces that are not, and whether it was opened."""

    counted: Pieces
    damaged: Pieces
    screening: Screening

    def __post_init__(self) -> None:
        if not 0 <= self.counted <= MOST_PIECES or not 0 <= self.damaged <= MOST_PIECES:
            raise invalid("count-invalid", f"A count is 0 to {MOST_PIECES} pieces.")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a count does. `screened` and `unscreened` move the stock; `usable` is None while nobody looked."""

    outcome: Outcome
    box: BoxState
    screened: Pieces
    unscreened: Pieces
    usable: Pieces | None

    @property
    def opened(self) -> bool:
        """Whether this ends the box's own story, its donor's label included."""
        return self.usable is not None


def receive(box: Box, count: Count) -> Receipt:
    """What becomes of the box; raises Refusal when it was opened before.

    Nothing that was not opened and found clean becomes screened stock: what is pending is counted by
    declaration, what is suspicious is no stock at all.
    """
    if box.state in DONE - {BoxState.GIVEN_UP}:
        raise refused("box-already-received", "This box was opened and counted before.")
    waiting = box.declared if box.state is BoxState.UNSCREENED else Pieces(0)
    if count.screening is Screening.PENDING:
        arriving = Pieces(box.declared - waiting)
        return Receipt(Outcome.WAITING, BoxState.UNSCREENED, Pieces(0), arriving, usable=None)
    if count.screening is Screening.SUSPICIOUS:
        return Receipt(Outcome.SET_APART, BoxState.SET_APART, Pieces(0), Pieces(-waiting), usable=Pieces(0))
    screened = count.counted
    return Receipt(_judged(box, count), BoxState.RECEIVED, screened, Pieces(-waiting), usable=screened)


def _judged(box: Box, count: Count) -> Outcome:
    if count.damaged:
        return Outcome.DAMAGED
    if count.counted == box.declared:
        return Outcome.ACCEPTED
    return Outcome.SHORT if count.counted < box.declared else Outcome.OVER


def whole_packs(usable: Pieces, pack_size: Pieces) -> Packs:
    """What a box answers of its line: a pack that is not whole stays wanted."""
    return Packs(usable // pack_size)
