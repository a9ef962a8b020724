"""The public list as rows; a constraint keeps pledges within what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.chassis.work import Work
from services.logistics.application.ports import Publication
from services.logistics.domain.appeal import Line, LineState
from services.logistics.domain.ids import Area, ItemId, LineId, Packs, WarehouseId

COLUMNS = (
    "line_id, area, item_id, state, wanted, pledged, arrived, settling, admitted, returned, received, shown"
)

_SAVE = f"""
INSERT INTO line ({COLUMNS}, excess)
SELECT *, GREATEST(0, pledged + arrived + settling - wanted) FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[],
    $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::integer[]
) AS ticked ({COLUMNS})
ON CONFLICT (line_id) DO UPDATE SET
    state = EXCLUDED.state, wanted = EXCLUDED.wanted, pledged = EXCLUDED.pledged, arrived = EXCLUDED.arrived,
    settling = EXCLUDED.settling, admitted = EXCLUDED.admitted, returned = EXCLUDED.returned,
    received = EXCLUDED.received, shown = EXCLUDED.shown, excess = EXCLUDED.excess
"""


class PostgresLines:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def publication(self, line_id: LineId) -> Publication | None:
        row = await self._work.connection.fetchrow(
            f"""
            SELECT {COLUMNS}, (
                SELECT warehouse_id FROM warehouse
                ORDER BY warehouse.area = line.area DESC, warehouse_id LIMIT 1
            ) AS warehouse_id
            FROM line WHERE line_id = $1 FOR NO KEY UPDATE OF line
            """,
            line_id,
        )
        if row is None:
            return None
        warehouse = row["warehouse_id"]
        return Publication(line(row), None if warehouse is None else WarehouseId(warehouse))

    async def all_locked(self) -> list[Line]:
        rows = await self._work.connection.fetch(
            f"SELECT {COLUMNS} FROM line ORDER BY line_id FOR NO KEY UPDATE"
        )
        return [line(row) for row in rows]

    async def shortfalls(self) -> dict[tuple[Area, ItemId], Packs]:
        rows = await self._work.connection.fetch(
            "SELECT area, item_id, packs FROM shortfall JOIN item USING (item_id)"
        )
        return {(Area(row["area"]), ItemId(row["item_id"])): Packs(row["packs"]) for row in rows}

    def note_shortfall(self, area: Area, item_id: ItemId, packs: Packs) -> None:
        self._work.write(
            """
            INSERT INTO shortfall (area, item_id, packs) VALUES ($1, $2, $3)
            ON CONFLICT (area, item_id) DO UPDATE SET packs = EXCLUDED.packs
            """,
            area, item_id, packs,
        )  # fmt: skip

    def pledge(self, line_id: LineId, packs: Packs) -> None:
        # `excess` stays as it is: beyond `wanted` the constraint line_never_over refuses this.
        self._work.write(
            "UPDATE line SET pledged = pledged + $2, admitted = admitted + $2 WHERE line_id = $1",
            line_id, packs,
            expect=1,
        )  # fmt: skip

    def settle(self, line_id: LineId, *, promised: Packs, arrived: Packs) -> None:
        self._work.write(
            """
            UPDATE line SET pledged = pledged - $2, arrived = arrived + $3, received = received + $3,
                returned = returned + GREATEST(0, $2 - $3),
                excess = GREATEST(0, pledged - $2 + arrived + $3 + settling - wanted)
            WHERE line_id = $1
            """,
            line_id, promised, arrived,
            expect=1,
        )  # fmt: skip

    def save(self, lines: Sequence[Line]) -> None:
        rows = [
            (
                each.line_id, each.area, each.item_id, each.state, each.wanted, each.pledged, each.arrived,
                each.settling, each.admitted, each.returned, each.received, each.shown,
            )
            for each in lines
        ]  # fmt: skip
        if rows:
            self._work.write(_SAVE, *map(list, zip(*rows, strict=True)))

    async def ticked_at(self) -> datetime | None:
        moment: datetime | None = await self._work.connection.fetchval("SELECT ticked_at FROM appeal")
        return moment

    def tick(self, at: datetime) -> None:
        self._work.write(
            """
            INSERT INTO appeal (ticked_at) VALUES ($1)
            ON CONFLICT (only_row) DO UPDATE SET ticked_at = EXCLUDED.ticked_at
            """,
            at,
        )


def line(row: asyncpg.Record) -> Line:
    return Line(
        LineId(row["line_id"]), Area(row["area"]), ItemId(row["item_id"]), LineState(row["state"]),
        Packs(row["wanted"]), Packs(row["pledged"]), Packs(row["arrived"]), Packs(row["settling"]),
        Packs(row["admitted"]), Packs(row["returned"]), Packs(row["received"]), Packs(row["shown"]),
    )  # fmt: skip
