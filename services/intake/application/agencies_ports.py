"""What a worker's desk and its emergencies need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.intake.domain.agencies import Viewer
from services.intake.domain.break_glass import BrokenGlass
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, GlassId, WorkerName


@dataclass(frozen=True, slots=True)
class Mark:
    """The last one of a page that is ordered by time, newest first: the next page begins behind it."""

    at: datetime
    which: UUID


@dataclass(frozen=True, slots=True)
class RegisteredWorker:
    worker: WorkerName
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A breaking of the glass as a supervisor is told of it."""

    glass: BrokenGlass
    agency: str


class Desk(Protocol):
    """What a worker sees of their agency, a page at a time: at most `limit` of them."""

    async def cases(self, viewer: Viewer, after: Mark | None, limit: int) -> Sequence[Case]: ...
    async def workers(self, agency_id: AgencyId, after: str, limit: int) -> Sequence[RegisteredWorker]: ...


class Glass(Protocol):
    """Breakings of the glass. `elsewhere`: the supervisor's own agency, whose breakings are none of theirs."""

    async def keep(self, glass: BrokenGlass) -> None: ...
    async def unread(
        self, elsewhere: AgencyId | None, after: Mark | None, limit: int
    ) -> Sequence[Notice]: ...
    async def acknowledge(self, glass_id: GlassId, elsewhere: AgencyId | None, by: WorkerName) -> bool: ...
    async def end(self, glass_id: GlassId) -> None: ...
