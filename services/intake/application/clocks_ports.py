"""What the clocks of a household need from outside."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder
from services.intake.domain.ids import AgencyId, CaseId


class Clocks(Protocol):
    """What is promised to households. Each promise is kept once; those of one household in the order of their
    times, whichever process keeps them."""

    def arm(self, case_id: CaseId, agency_id: AgencyId, kind: str, about: str, due_at: datetime) -> None:
        """Promise it; arming it again moves it. `kind` and `about` say nothing of a person."""
        ...

    def disarm(self, case_id: CaseId, kind: str, about: str | None = None) -> None:
        """Take it back, if it was promised; with no `about` all of the kind."""
        ...

    def forget(self, case_id: CaseId) -> None:
        """Take everything back."""
        ...

    async def hold(self, case_id: CaseId) -> bool:
        """Lock the case without waiting; False when somebody else is at work on it."""
        ...

    def put_off(self, case_id: CaseId) -> None:
        """Have the case's timer fire again in a moment."""
        ...

    async def take(self, case_id: CaseId) -> Reminder | None:
        """The earliest that is due, which from now on is kept, or None."""
        ...

    async def rewind(self, case_id: CaseId) -> None:
        """Have the case's timer fire when the earliest of what is left is due."""
        ...


Ring = Callable[[Any, Case, Reminder], Awaitable[None]]
"""Keeps one promise, in the transaction that ends it: `ring(work, case, reminder)`. The case is locked."""
