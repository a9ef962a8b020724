"""Stock set aside for one need, which logistics knows by a random id and a bag code and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from services.logistics.domain.ids import AllocationId, Area, BagCode, ItemId, Pieces, WarehouseId
from services.logistics.domain.refusal import invalid, not_found, refused

MOST_PIECES = 100_000
_SIZE = re.compile(r"[a-z0-9-]{1,16}")
_WEEK = re.compile(r"\d{4}-W(0[1-9]|[1-4]\d|5[0-3])")


class AllocationState(StrEnum):
    RESERVED = "reserved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DISPATCHED = "dispatched"
    HANDED_OVER = "handed over"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What matching asks for."""

    allocation_id: AllocationId
    item_id: ItemId
    quantity: Pieces
    area: Area
    week: str
    size: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.quantity <= MOST_PIECES:
            raise invalid("quantity-invalid", f"An allocation is 1 to {MOST_PIECES} pieces.")
        if not _WEEK.fullmatch(self.week):
            raise invalid("week-invalid", 'The week of a run is an ISO week such as "2026-W48".')
        if self.size and not _SIZE.fullmatch(self.size):
            raise invalid("size-invalid", 'A size is a short word such as "68" or "eu-24".')


@dataclass(frozen=True, slots=True)
class Bag:
    """An allocation that has goods. `withdrawn` says that matching no longer wants it while it is out."""

    allocation_id: AllocationId
    bag_code: BagCode
    item_id: ItemId
    quantity: Pieces
    area: Area
    week: str
    warehouse_id: WarehouseId
    state: AllocationState
    carrier: str
    withdrawn: bool
    day: date | None
    size: str = ""

    def may_leave(self) -> None:
        """Only a bag on the shelf goes out."""
        if self.state is not AllocationState.RESERVED:
            raise refused("bag-not-reserved", "This bag is not on the shelf.")

    def carried_by(self, carrier: str) -> None:
        """To all but its carrier a bag is as if absent."""
        if not self.carrier or self.carrier != carrier:
            raise not_found()

    def has_handoff(self) -> None:
        """The point is told while the bag is on its way, and not a moment longer."""
        if self.state is not AllocationState.DISPATCHED:
            raise refused("bag-not-under-way", "This bag is not under way.")
        if self.withdrawn:
            raise refused("bag-withdrawn", "This bag is no longer wanted; bring it back.")

    def may_be_given(self) -> None:
        """A bag that met its household has met it, also when it was withdrawn meanwhile."""
        if self.state is not AllocationState.DISPATCHED:
            raise refused("bag-not-under-way", "This bag is not under way.")
