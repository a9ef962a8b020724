"""Set goods aside for matching, or say what could be had instead."""

from __future__ import annotations

from services.chassis.ids import code
from services.logistics.application.ports import Work
from services.logistics.domain.allocations import AllocationState, Proposal
from services.logistics.domain.events import AllocationRefused, AllocationReserved
from services.logistics.domain.ids import AllocationId, BagCode


async def reserve_allocation(work: Work, proposal: Proposal) -> AllocationState | None:
    """What became of it; None when it was answered, or withdrawn, before.

    Matching decides from what it last heard of stock, so a refusal is an ordinary answer.
    """
    if await work.allocations.known(proposal.allocation_id):
        return None
    stock = await work.stock.reserve(proposal.item_id, proposal.quantity, proposal.area)
    if stock is None:
        available = await work.stock.available(proposal.item_id)
        work.allocations.refuse(proposal, available)
        work.tell(AllocationRefused(proposal.allocation_id, available))
        return AllocationState.REFUSED
    bag_code = BagCode(code())
    work.allocations.reserve(proposal, stock.warehouse_id, bag_code)
    work.tell(AllocationReserved(proposal.allocation_id, bag_code), stock)
    return AllocationState.RESERVED


async def withdraw_allocation(work: Work, allocation_id: AllocationId) -> bool:
    """Whether goods became free. A withdrawal that overtakes its proposal is remembered and wins.

    A bag that is already out stays out until somebody says where it went; it only loses its destination.
    """
    bag = await work.allocations.withdrawn(allocation_id)
    if bag is None or bag.state is not AllocationState.RESERVED:
        return False
    work.allocations.move(bag, AllocationState.WITHDRAWN)
    work.tell(await work.stock.release(bag.warehouse_id, bag.item_id, bag.quantity))
    return True
