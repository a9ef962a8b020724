"""One transaction of logistics: its rows, what it tells, and the journals of the warehouses it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.chassis.database import Connection
from services.chassis.metrics import Metrics
from services.logistics.adapters.allocations import PostgresAllocations
from services.logistics.adapters.catalogue import PostgresItems, PostgresWarehouses
from services.logistics.adapters.lines import PostgresLines
from services.logistics.adapters.pledges import PostgresPledges
from services.logistics.adapters.shipments import PostgresBoxes, PostgresShipments
from services.logistics.adapters.stock import PostgresStock
from services.logistics.adapters.wire import Wire
from services.logistics.application.ports import Work
from services.logistics.application.watch_shipments import Bell
from services.logistics.domain.events import (
    Event,
    ShipmentClosed,
    ShipmentDispatched,
    ShipmentEvent,
    ShipmentExpected,
    ShipmentReceived,
)
from services.logistics.domain.ids import WarehouseId

# Drawing the positions locks the warehouse's row until commit: they become visible in order, and a rollback
# gives them back. The INSERT selects FROM the UPDATE, so no row is written before the lock is held.
_JOURNAL = """
WITH drawn AS (
    UPDATE warehouse SET journal_last = journal_last + cardinality($2::text[]) WHERE warehouse_id = $1
    RETURNING journal_last - cardinality($2::text[]) AS before
)
INSERT INTO journal (warehouse_id, position, type, payload, occurred_at)
SELECT $1, before + nth, type, payload, $4
FROM drawn, unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS told (type, payload, nth)
"""


_STATES: dict[type[Event], str] = {
    ShipmentExpected: "expected",
    ShipmentDispatched: "dispatched",
    ShipmentReceived: "received",
    ShipmentClosed: "closed",
}


class PostgresWork(Work):
    """Rows are locked in one order everywhere: allocation, pledge, box, stock, line, shipment, warehouse, streams.

    A box is guarded by its pledge, which is locked before it. What still meets in another order (two batches of
    proposals over the same shelves) is undone and run again.
    """

    def __init__(
        self,
        connection: Connection,
        now: datetime,
        wire: Wire,
        bell: Bell,
        metrics: Metrics,
    ) -> None:
        super().__init__(connection, now)
        self._wire = wire
        self._metrics = metrics
        self._bell = bell
        self.items = PostgresItems(self)
        self.warehouses = PostgresWarehouses(self)
        self.stock = PostgresStock(self)
        self.lines = PostgresLines(self)
        self.pledges = PostgresPledges(self)
        self.boxes = PostgresBoxes(self)
        self.shipments = PostgresShipments(self)
        self.allocations = PostgresAllocations(self)

    def tell(self, *events: Event) -> None:
        self.announce(*(self._wire.announcement(event, self.now) for event in events))

    async def tell_warehouse(self, warehouse_id: WarehouseId, events: Sequence[ShipmentEvent]) -> None:
        announcements = [self._wire.announcement(event, self.now) for event in events]
        self.announce(*announcements)
        await self.connection.execute(
            _JOURNAL, warehouse_id, [each.type for each in announcements],
            [each.payload for each in announcements], announcements[0].occurred_at,
        )  # fmt: skip
        self.after_commit(self._bell.ring)
        for state in (_STATES[type(event)] for event in events if type(event) in _STATES):
            self.after_commit(self._metrics.shipments_total.labels(state).inc)
