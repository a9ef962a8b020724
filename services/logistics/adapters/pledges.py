"""Donors' promises as rows; of what opens them only hashes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg

from services.chassis.work import Work
from services.logistics.application.ports import Expired, Made, NewPledge
from services.logistics.domain.ids import ItemId, Label, LineId, Packs, Pieces, PledgeId, WarehouseId
from services.logistics.domain.pledges import Pledge, PledgeState

_PLEDGE = """
SELECT pledge_id, pledge.line_id, item_id, packs, pack_size, pledge.state, send_by, warehouse_id, label,
    address
FROM pledge JOIN line USING (line_id) JOIN item USING (item_id) JOIN warehouse USING (warehouse_id)
"""


class PostgresPledges:
    def __init__(self, work: Work) -> None:
        self._work = work

    async def made_with(self, key_hashes: Collection[bytes]) -> Mapping[bytes, Made]:
        rows = await self._work.connection.fetch(
            """
            SELECT key_hash, pledge_id, line_id, asked, packs, send_by FROM pledge
            WHERE key_hash = ANY($1::bytea[])
            """,
            list(key_hashes),
        )
        return {
            row["key_hash"]: Made(
                PledgeId(row["pledge_id"]), LineId(row["line_id"]), Packs(row["asked"]), Packs(row["packs"]),
                row["send_by"],
            )
            for row in rows
        }  # fmt: skip

    def add(self, pledges: Sequence[NewPledge]) -> None:
        rows = [
            (
                new.pledge_id, new.line_id, new.packs, new.asked, new.send_by, new.warehouse_id,
                new.key_hash, new.secret_hash,
            )
            for new in pledges
        ]  # fmt: skip
        self._work.write(
            """
            INSERT INTO pledge
                (pledge_id, line_id, packs, asked, send_by, warehouse_id, key_hash, secret_hash, state)
            SELECT *, 'pledged' FROM unnest(
                $1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::timestamptz[], $6::uuid[],
                $7::bytea[], $8::bytea[]
            )
            """,
            *map(list, zip(*rows, strict=True)),
        )

    async def opened_by(self, secret_hash: bytes) -> tuple[Pledge, str] | None:
        row = await self._work.connection.fetchrow(
            f"{_PLEDGE} WHERE secret_hash = $1 FOR UPDATE OF pledge", secret_hash
        )
        return None if row is None else (pledge(row), row["address"])

    async def labelled(self, label: Label) -> Pledge | None:
        row = await self._work.connection.fetchrow(f"{_PLEDGE} WHERE label = $1 FOR UPDATE OF pledge", label)
        return None if row is None else pledge(row)

    def move(self, pledge_id: PledgeId, state: PledgeState, label: Label | None) -> None:
        self._work.write(
            "UPDATE pledge SET state = $2, label = $3 WHERE pledge_id = $1", pledge_id, state, label, expect=1
        )

    async def expire(self, line_id: LineId, due: datetime) -> Expired:
        # Locked in one order; one that is being sent at this moment is waited for, and then left alone.
        rows = await self._work.connection.fetch(
            """
            UPDATE pledge SET state = 'expired' WHERE state IN ('pledged', 'packed') AND pledge_id IN (
                SELECT pledge_id FROM pledge
                WHERE line_id = $1 AND send_by <= $2 AND state IN ('pledged', 'packed')
                ORDER BY pledge_id FOR UPDATE
            )
            RETURNING packs, label
            """,
            line_id, due,
        )  # fmt: skip
        labels = [Label(row["label"]) for row in rows if row["label"] is not None]
        return Expired(len(rows), Packs(sum(row["packs"] for row in rows)), labels)


def pledge(row: asyncpg.Record) -> Pledge:
    return Pledge(
        PledgeId(row["pledge_id"]), LineId(row["line_id"]), ItemId(row["item_id"]), Packs(row["packs"]),
        Pieces(row["pack_size"]), PledgeState(row["state"]), row["send_by"], WarehouseId(row["warehouse_id"]),
        None if row["label"] is None else Label(row["label"]),
    )  # fmt: skip
