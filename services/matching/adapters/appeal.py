"""The public appeal as logistics last told it, in PostgreSQL."""

from __future__ import annotations

from services.chassis.work import Work
from services.matching.domain.ids import LineId

_PUBLISH = """
INSERT INTO appeal_line (line_id, area, item_id, packs, state) VALUES ($1, $2, $3, $4, 'published')
ON CONFLICT (line_id) DO UPDATE
SET area = EXCLUDED.area, item_id = EXCLUDED.item_id, packs = EXCLUDED.packs, state = 'published'
"""
_SNAPSHOT = """
INSERT INTO appeal_line (line_id, area, item_id, packs, pledged, state) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (line_id) DO UPDATE
SET area = EXCLUDED.area, item_id = EXCLUDED.item_id, packs = EXCLUDED.packs, pledged = EXCLUDED.pledged,
    state = EXCLUDED.state
"""


class PostgresAppeal:
    def __init__(self, work: Work) -> None:
        self._work = work

    def publish(self, line_id: LineId, area: str, item_id: str, packs: int) -> None:
        self._work.write(_PUBLISH, line_id, area, item_id, packs)

    def pledged(self, line_id: LineId, packs: int) -> None:
        self._work.write("UPDATE appeal_line SET pledged = $2 WHERE line_id = $1", line_id, packs)

    def end(self, line_id: LineId, state: str) -> None:
        self._work.write("UPDATE appeal_line SET state = $2 WHERE line_id = $1", line_id, state)

    def snapshot(
        self, line_id: LineId, area: str, item_id: str, packs: int, pledged: int, state: str
    ) -> None:
        self._work.write(_SNAPSHOT, line_id, area, item_id, packs, pledged, state)
