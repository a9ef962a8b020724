"""What the renewal of keys needs from outside."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

from services.intake.domain.ids import AgencyId

Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and of how many."""


class KeyRotation(Protocol):
    async def rewrap_all(self, at: Progress) -> int: ...
    async def agencies(self) -> Sequence[AgencyId]: ...
    async def renew(self, agency_id: AgencyId, at: Progress) -> timedelta | None: ...
