"""Every event of a warehouse's shipments, once and in order, to whoever keeps the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from services.logistics.application.ports import Reads
from services.logistics.domain import journal
from services.logistics.domain.ids import WarehouseId
from services.logistics.domain.journal import Entry
from services.logistics.domain.refusal import not_found

BATCH = 200
POLL_S = 0.25


class Bell:
    """Rung after a commit that wrote a journal, heard by every watcher of this process."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """The next ring. Taken before a read, it cannot be missed between the read and the wait."""
        return self._next


async def watch_shipments(
    reads: Reads, bell: Bell, warehouse_id: WarehouseId, agency: str, resume_token: str
) -> AsyncGenerator[Entry]:
    """Endless: what is behind the token, then what comes.

    Positions are drawn under the warehouse's lock, so none appears behind one that was read: asking for what
    is above the last read misses nothing. Nothing is held open between two reads.
    """
    known = await reads.journal(warehouse_id)
    if known is None or known.agency != agency:
        raise not_found()
    read = journal.within(journal.position(resume_token, warehouse_id), known.last)
    while True:
        heard = bell.listen()
        entries = await reads.entries(warehouse_id, read, BATCH)
        for entry in entries:
            yield entry
            read = entry.position
        if not entries:
            await _rung(heard)


async def _rung(heard: asyncio.Event) -> None:
    """Until the bell rings here; another process of the service rings its own, so look now and then."""
    try:
        async with asyncio.timeout(POLL_S):
            await heard.wait()
    except TimeoutError:
        return
