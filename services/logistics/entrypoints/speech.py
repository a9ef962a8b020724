"""Between the messages of the door and the words of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from aid.logistics.v1 import logistics_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from services.logistics.application.ports import PledgeView, Shelf
from services.logistics.domain import journal
from services.logistics.domain.allocations import AllocationState, Bag
from services.logistics.domain.appeal import Line
from services.logistics.domain.catalogue import Item
from services.logistics.domain.ids import ItemId, Pieces, WarehouseId
from services.logistics.domain.journal import Entry
from services.logistics.domain.pledges import Admitted
from services.logistics.domain.receipts import Count, Screening
from services.logistics.domain.refusal import invalid

_SCREENINGS = {
    pb.SCREENING_CLEAN: Screening.CLEAN,
    pb.SCREENING_SUSPICIOUS: Screening.SUSPICIOUS,
    pb.SCREENING_PENDING: Screening.PENDING,
}
_BAG_STATES = {
    state.value: state
    for state in (AllocationState.RESERVED, AllocationState.DISPATCHED, AllocationState.HANDED_OVER)
}


def uuid(text: str, field: str) -> UUID:
    """A UUID of a request; the refusal names the field, never its value."""
    try:
        return UUID(text)
    except ValueError:
        raise invalid(f"{field}-invalid", f"The {field} is a UUID.") from None


def item(message: pb.Item) -> Item:
    return Item(ItemId(message.item_id), message.name, Pieces(message.pack_size))


def count(request: pb.ReceiveBoxRequest) -> Count:
    """A screening that is not said is never taken for a clean one."""
    screening = _SCREENINGS.get(request.screening)
    if screening is None:
        raise invalid("screening-missing", "Say what screening found: clean, suspicious, or pending.")
    return Count(Pieces(request.counted), Pieces(request.damaged), screening)


def bag_states(state: str) -> Sequence[AllocationState]:
    if not state:
        return (AllocationState.RESERVED, AllocationState.DISPATCHED)
    if state not in _BAG_STATES:
        raise invalid("state-invalid", "A bag is reserved, dispatched or handed over.")
    return (_BAG_STATES[state],)


def moment(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def item_message(known: Item) -> pb.Item:
    return pb.Item(item_id=known.item_id, name=known.name, pack_size=known.pack_size)


def line_message(line: Line, known: Item) -> pb.AppealLine:
    """The line as the last tick left it; what was pledged since stays unsaid."""
    return pb.AppealLine(
        line_id=str(line.line_id), area=line.area, item=item_message(known), packs_wanted=line.wanted,
        packs_pledged=line.shown, state=line.state,
    )  # fmt: skip


def admitted_message(admitted: Admitted) -> pb.PledgeResponse:
    return pb.PledgeResponse(
        pledge_id=str(admitted.pledge_id), secret=admitted.secret, packs=admitted.packs,
        send_by=moment(admitted.send_by),
    )  # fmt: skip


def pledge_message(view: PledgeView) -> pb.GetPledgeResponse:
    return pb.GetPledgeResponse(
        state=view.state, packs=view.packs, address=view.address, label=view.label or "",
        send_by=moment(view.send_by),
    )  # fmt: skip


def shelf_message(shelf: Shelf) -> pb.StockView:
    return pb.StockView(
        item_id=shelf.item_id, unscreened=shelf.unscreened, screened=shelf.screened, allocated=shelf.allocated
    )


def bag_message(bag: Bag) -> pb.BagView:
    return pb.BagView(
        bag_code=bag.bag_code, item_id=bag.item_id, quantity=bag.quantity, area=bag.area, week=bag.week,
        state=bag.state, size=bag.size,
    )  # fmt: skip


def entry_message(warehouse_id: WarehouseId, entry: Entry) -> pb.WatchShipmentsResponse:
    return pb.WatchShipmentsResponse(
        resume_token=journal.token(warehouse_id, entry.position), type=entry.type, payload=entry.payload,
        occurred_at=moment(entry.occurred_at),
    )  # fmt: skip
