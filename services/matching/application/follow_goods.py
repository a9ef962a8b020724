"""Keep up with what logistics says of allocations and stock."""

from __future__ import annotations

from dataclasses import replace

from services.matching.application.ports import MatchingWork
from services.matching.domain.events import NeedDeallocated
from services.matching.domain.goods import Shelf
from services.matching.domain.ids import AllocationId


async def allocation_reserved(work: MatchingWork, allocation_id: AllocationId) -> None:
    """A withdrawal may have crossed the reservation; logistics hears of it in any case, on the next round."""
    allocation = await work.goods.get(allocation_id)
    if allocation is not None and allocation.state == "proposed":
        work.goods.save(replace(allocation, state="reserved"))


async def allocation_refused(work: MatchingWork, allocation_id: AllocationId, available: int) -> None:
    """Our idea of the stock was stale: correct it, and let the need wait for the next round."""
    allocation = await work.goods.get(allocation_id)
    if allocation is None or allocation.state != "proposed":
        return
    work.goods.save(replace(allocation, state="refused"))
    work.goods.correct(allocation.item_id, at_most=available)
    if allocation.case_id is not None and allocation.need_id is not None:
        work.say(NeedDeallocated(allocation.case_id, allocation.need_id, allocation_id))


async def handover_confirmed(work: MatchingWork, allocation_id: AllocationId) -> None:
    """One that was taken back stays that, wherever its bag went: logistics is told all the same."""
    allocation = await work.goods.get(allocation_id)
    if allocation is not None and allocation.state in ("proposed", "reserved"):
        work.goods.save(replace(allocation, state="handed over"))


async def allocation_seen(
    work: MatchingWork, allocation_id: AllocationId, state: str, available: int
) -> None:
    """How the allocation stands there, in place of events that were missed."""
    match state:
        case "reserved":
            await allocation_reserved(work, allocation_id)
        case "refused":
            await allocation_refused(work, allocation_id, available)
        case "handed over":
            await handover_confirmed(work, allocation_id)
        case _:
            # "withdrawn" is our own word come back; a word we do not know changes nothing here.
            return


def stock_changed(work: MatchingWork, shelf: Shelf, pack_size: int) -> None:
    work.goods.count(shelf, max(1, pack_size), work.now)
