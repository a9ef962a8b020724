"""Items and warehouses as rows."""

from __future__ import annotations

from services.chassis.work import Work
from services.logistics.domain.catalogue import Item, Warehouse
from services.logistics.domain.ids import Area, ItemId, Pieces, WarehouseId

_WAREHOUSE = "SELECT warehouse_id, name, area, address, agency FROM warehouse WHERE warehouse_id = $1"


class PostgresItems:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def of(self, item_id: ItemId) -> Item | None:
        row = await self._work.connection.fetchrow(
            "SELECT item_id, name, pack_size FROM item WHERE item_id = $1 FOR UPDATE", item_id
        )
        return None if row is None else Item(ItemId(row["item_id"]), row["name"], Pieces(row["pack_size"]))

    def put(self, item: Item) -> None:
        self._work.write(
            """
            INSERT INTO item (item_id, name, pack_size) VALUES ($1, $2, $3)
            ON CONFLICT (item_id) DO UPDATE SET name = EXCLUDED.name
            """,
            item.item_id, item.name, item.pack_size,
        )  # fmt: skip


class PostgresWarehouses:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def of(self, warehouse_id: WarehouseId) -> Warehouse | None:
        return await self._found(_WAREHOUSE, warehouse_id)

    async def locked(self, warehouse_id: WarehouseId) -> Warehouse | None:
        # Not FOR UPDATE: rows that refer to the warehouse may go on being written.
        return await self._found(f"{_WAREHOUSE} FOR NO KEY UPDATE", warehouse_id)

    async def _found(self, query: str, warehouse_id: WarehouseId) -> Warehouse | None:
        row = await self._work.connection.fetchrow(query, warehouse_id)
        return (
            None
            if row is None
            else Warehouse(
                WarehouseId(row["warehouse_id"]),
                row["name"],
                Area(row["area"]),
                row["address"],
                row["agency"],
            )
        )

    def put(self, warehouse: Warehouse) -> None:
        self._work.write(
            """
            INSERT INTO warehouse (warehouse_id, name, area, address, agency) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (warehouse_id) DO UPDATE SET name = EXCLUDED.name, area = EXCLUDED.area,
                address = EXCLUDED.address, agency = EXCLUDED.agency
            """,
            warehouse.warehouse_id, warehouse.name, warehouse.area, warehouse.address, warehouse.agency,
        )  # fmt: skip
