"""What place requests need from outside."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.place_requests import PlaceRequest

PLACE_OVER = "place-over"
"""The timer that forgets a request, and later its id; its subject is that id."""


@dataclass(frozen=True, slots=True)
class PlaceNames:
    """What a request goes by; the same for the same caller's same key, and told from it by nobody else."""

    request_id: CaseId
    need_id: NeedId
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A request that was made before: what was asked (None: it is over, and nothing is known of it any more)."""

    fingerprint: bytes | None
    arrival_code: ArrivalCode | None


class Places(Protocol):
    def names(self, worker: str, key: str) -> PlaceNames: ...
    async def known(self, request_id: CaseId) -> KnownPlace | None: ...
    async def keep(self, request: PlaceRequest, token: str, fingerprint: bytes) -> bool:
        """Whether it is new: of two that come at the same time one is."""
        ...

    async def by_token(self, token: str) -> tuple[CaseId, ArrivalCode] | None: ...
    async def by_code(self, code: ArrivalCode) -> CaseId | None: ...
    async def remembered_until(self, request_id: CaseId) -> datetime | None:
        """When it will be forgotten, if nobody leaves before."""
        ...

    def remember_less(self, request_id: CaseId, until: datetime, asking: bytes) -> None:
        """Forget it then, as before; unless somebody asked for more nights since `asking` did."""
        ...

    async def forget(self, request_id: CaseId) -> bool:
        """Keep nothing but its id; whether there was more."""
        ...

    def drop(self, request_id: CaseId) -> None: ...
