"""Count what was on a shelf before the network knew it, or what it says it knows."""

from __future__ import annotations

from services.logistics.application.ports import Work
from services.logistics.domain.ids import ItemId, Pieces, WarehouseId
from services.logistics.domain.receipts import MOST_PIECES
from services.logistics.domain.refusal import invalid, not_found


async def count_stock(
    work: Work, warehouse_id: WarehouseId, item_id: ItemId, screened: Pieces, agency: str
) -> None:
    """`screened` pieces are on the shelf, allocated ones included; fewer than are allocated is refused."""
    if not 0 <= screened <= MOST_PIECES:
        raise invalid("count-invalid", f"A count is 0 to {MOST_PIECES} pieces.")
    warehouse = await work.warehouses.of(warehouse_id)
    if warehouse is None or warehouse.agency != agency:
        raise not_found()
    stock = await work.stock.count(warehouse_id, item_id, screened)
    if stock is None:
        raise not_found()
    work.tell(stock)
