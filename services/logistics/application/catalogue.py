"""Make items and warehouses known, and what may be counted of them."""

from __future__ import annotations

from services.logistics.application.ports import Work
from services.logistics.domain.catalogue import Item, Warehouse


async def put_item(work: Work, item: Item) -> None:
    """A new item gets a shelf in every warehouse, and matching learns its pack size from the empty shelf."""
    known = await work.items.of(item.item_id)
    if known == item:
        return
    if known is not None:
        item.replaces(known)
    work.items.put(item)
    if known is None:
        await work.stock.shelve()
        work.tell(*await work.stock.levels(warehouse_id=None, item_id=item.item_id))


async def put_warehouse(work: Work, warehouse: Warehouse) -> None:
    """A new warehouse gets a shelf for every item; one that serves another area now says so for each."""
    known = await work.warehouses.locked(warehouse.warehouse_id)
    if known == warehouse:
        return
    work.warehouses.put(warehouse)
    if known is None or known.area != warehouse.area:
        await work.stock.shelve()
        work.tell(*await work.stock.levels(warehouse_id=warehouse.warehouse_id, item_id=None))
