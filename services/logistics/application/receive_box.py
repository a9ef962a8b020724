"""A box on the table: opened, screened, counted, and from then on nobody's."""

from __future__ import annotations

from services.logistics.application.parcels import ARRIVAL, advance
from services.logistics.application.ports import Work
from services.logistics.domain import receipts
from services.logistics.domain.events import DiscrepancyFound
from services.logistics.domain.ids import Label, Packs, Pieces
from services.logistics.domain.pledges import Pledge, PledgeState
from services.logistics.domain.receipts import Count, Outcome
from services.logistics.domain.refusal import not_found
from services.logistics.domain.shipments import Box

LIVE = (PledgeState.PACKED, PledgeState.SENT)


async def receive_box(work: Work, label: Label, count: Count, agency: str) -> Outcome:
    """The only place where a pledge and stock are in one transaction; no row or event keeps both.

    What is written here of the donor's side (the pledge's end, the box's end, a discrepancy) is the last that
    is ever written of it; what goes on is a count of pieces.
    """
    pledge = await work.pledges.labelled(label)
    found = await work.boxes.of(label)
    if found is None or found[1] != agency:
        raise not_found()
    box, _ = found
    receipt = receipts.receive(box, count)
    work.boxes.move([label], receipt.box)
    if receipt.screened or receipt.unscreened:
        stock = await work.stock.move(
            box.warehouse_id, box.item_id, screened=receipt.screened, unscreened=receipt.unscreened
        )
        if receipt.screened:
            work.tell(stock)
    await work.disarm(ARRIVAL, label)
    if receipt.usable is None:
        await advance(work, box.shipment_id)
        return receipt.outcome
    if pledge is not None:
        _end(work, pledge, box, receipt.usable)
    differs = receipt.usable != box.declared
    discrepancy = [DiscrepancyFound(box.shipment_id, label, box.declared, receipt.usable)] if differs else []
    await advance(work, box.shipment_id, *discrepancy)
    return receipt.outcome


def _end(work: Work, pledge: Pledge, box: Box, usable: Pieces) -> None:
    """The promise is kept as far as whole packs are on the table; the rest is wanted again."""
    promised = pledge.packs if pledge.state in LIVE else Packs(0)
    work.lines.settle(pledge.line_id, promised=promised, arrived=receipts.whole_packs(usable, box.pack_size))
    work.pledges.move(pledge.pledge_id, PledgeState.RECEIVED, pledge.label)
