"""A pledge becomes a parcel: packed, sent, or given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.chassis.ids import code
from services.logistics.application.ports import Work
from services.logistics.domain import shipments
from services.logistics.domain.events import BoxAdded, DiscrepancyFound, ShipmentEvent, ShipmentExpected
from services.logistics.domain.ids import Label, LineId, Packs, Pieces, ShipmentId, WarehouseId
from services.logistics.domain.pledges import Pledge, PledgeState, hashed
from services.logistics.domain.refusal import not_found
from services.logistics.domain.shipments import BoxState, ShipmentState

ARRIVAL = "box-arrival"


async def pack_box(work: Work, secret: str, quantity: Pieces) -> tuple[Label, str]:
    """The parcel's label and where to send it. It joins the day's shipment to its warehouse."""
    pledge, address = await _opened(work, secret)
    pledge.may_pack(quantity)
    shipment_id, new = await work.shipments.expected(pledge.warehouse_id, work.now.date())
    label = Label(code())
    work.boxes.add(label, shipment_id, pledge.item_id, quantity)
    work.pledges.move(pledge.pledge_id, PledgeState.PACKED, label)
    events: list[ShipmentEvent] = [ShipmentExpected(shipment_id, pledge.warehouse_id)] if new else []
    events.append(BoxAdded(shipment_id, label, pledge.item_id, quantity))
    await work.tell_warehouse(pledge.warehouse_id, events)
    return label, address


async def send_box(work: Work, secret: str, patience: timedelta) -> None:
    """From now on the parcel is on its way; one that is not here after `patience` is given up."""
    pledge, _ = await _opened(work, secret)
    pledge.may_send()
    if pledge.label is None:
        raise not_found()
    work.pledges.move(pledge.pledge_id, PledgeState.SENT, pledge.label)
    work.boxes.move([pledge.label], BoxState.SENT)
    await work.arm(ARRIVAL, pledge.label, work.now + patience)
    for shipment_id in await work.shipments.of_boxes([pledge.label]):
        await advance(work, shipment_id)


async def expire_pledges(work: Work, line_id: LineId, due: datetime) -> int:
    """What was not sent in time is wanted again. Returns how many pledges that ended."""
    expired = await work.pledges.expire(line_id, due)
    if expired.pledges:
        work.lines.settle(line_id, promised=expired.packs, arrived=Packs(0))
    await _give_up(work, expired.labels)
    return expired.pledges


async def give_up_box(work: Work, label: Label) -> bool:
    """A parcel that was sent and never came: its packs are wanted again. False when it came after all."""
    pledge = await work.pledges.labelled(label)
    found = await work.boxes.of(label)
    if found is None or found[0].state is not BoxState.SENT:
        return False
    box, _ = found
    if pledge is not None and pledge.state is PledgeState.SENT:
        work.pledges.move(pledge.pledge_id, PledgeState.EXPIRED, label)
        work.lines.settle(pledge.line_id, promised=pledge.packs, arrived=Packs(0))
    lost = DiscrepancyFound(box.shipment_id, label, box.declared, Pieces(0))
    work.boxes.move([label], BoxState.GIVEN_UP)
    await advance(work, box.shipment_id, lost)
    return True


async def advance(work: Work, shipment_id: ShipmentId, *before: ShipmentEvent) -> None:
    """Let the shipment follow its boxes; `before` is told first, unless nothing more may be told of it."""
    warehouse_id, state, boxes = await work.shipments.progress(shipment_id)
    if state is ShipmentState.CLOSED:
        return
    after, events = shipments.progress(shipment_id, state, boxes)
    if after is not state:
        work.shipments.move(shipment_id, after)
    await _tell(work, warehouse_id, [*before, *events])


async def _give_up(work: Work, labels: Sequence[Label]) -> None:
    if not labels:
        return
    work.boxes.move(labels, BoxState.GIVEN_UP)
    for shipment_id in await work.shipments.of_boxes(labels):
        await advance(work, shipment_id)


async def _tell(work: Work, warehouse_id: WarehouseId, events: Sequence[ShipmentEvent]) -> None:
    if events:
        await work.tell_warehouse(warehouse_id, events)


async def _opened(work: Work, secret: str) -> tuple[Pledge, str]:
    """The pledge behind a secret; a wrong secret opens nothing and says no more."""
    opened = await work.pledges.opened_by(hashed(secret))
    if opened is None:
        raise not_found()
    return opened
