"""A bag leaves with its carrier, who alone learns where it goes, and meets its household."""

from __future__ import annotations

import secrets
from datetime import timedelta

from services.logistics.application.ports import Handoffs, Reads, Work
from services.logistics.domain.allocations import AllocationState, Bag
from services.logistics.domain.appeal import tick_at
from services.logistics.domain.catalogue import text
from services.logistics.domain.events import HandoverConfirmed
from services.logistics.domain.ids import BagCode
from services.logistics.domain.refusal import not_found

TOLD = "handovers-told"


async def dispatch_bag(work: Work, bag_code: BagCode, carrier: str, agency: str) -> None:
    """The bag goes out with this carrier; only the crew of its warehouse sends it."""
    bag = await _owned(work, bag_code, agency)
    bag.may_leave()
    work.allocations.move(bag, AllocationState.DISPATCHED, carrier=text(carrier, "carrier"))


async def confirm_handover(work: Work, bag_code: BagCode, carrier: str, told_every: timedelta) -> None:
    """The bag met its household: the goods leave stock, and the day is told, never the hour.

    With `told_every` it is told on the next such tick, among the others: bags that were given one after the
    other may belong to one household, and their neighbourhood in the log would say so.
    """
    found = await work.allocations.bag(bag_code)
    if found is None:
        raise not_found()
    bag, _ = found
    bag.carried_by(carrier)
    bag.may_be_given()
    day = work.now.date()
    at_once = not told_every
    work.allocations.move(bag, AllocationState.HANDED_OVER, carrier=carrier, day=day, told=at_once)
    work.stock.hand_out(bag.warehouse_id, bag.item_id, bag.quantity)
    if at_once:
        work.tell(HandoverConfirmed(bag.allocation_id, day))
    else:
        await work.arm(TOLD, "", tick_at(work.now, told_every) + told_every)


async def tell_handovers(work: Work) -> int:
    """All that happened since the last time, in an order that says nothing; how many."""
    handovers = await work.allocations.untold()
    secrets.SystemRandom().shuffle(handovers)
    work.tell(*handovers)
    return len(handovers)


async def get_handoff(
    reads: Reads, handoffs: Handoffs, bag_code: BagCode, carrier: str, patience_s: float
) -> tuple[str, str]:
    """Point and slot, asked of intake each time and kept nowhere."""
    bag = await reads.bag(bag_code)
    if bag is None:
        raise not_found()
    bag.carried_by(carrier)
    bag.has_handoff()
    return await handoffs.of(bag.allocation_id, patience_s)


async def _owned(work: Work, bag_code: BagCode, agency: str) -> Bag:
    found = await work.allocations.bag(bag_code)
    if found is None or found[1] != agency:
        raise not_found()
    return found[0]
