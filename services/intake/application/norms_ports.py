"""What the use cases of derived needs need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from services.intake.domain.cases import Case
from services.intake.domain.derived_needs import Asked
from services.intake.domain.ids import CaseId, NeedId, WorkerName
from services.intake.domain.needs import Need
from services.intake.domain.norms import Overrule, Plan


@dataclass(frozen=True, slots=True)
class Followed:
    """That a case's needs are kept in step with its household; `derived_on` is the latest day they were."""

    plan: Plan
    derived_on: date


class Norms(Protocol):
    async def followed(self, case_id: CaseId) -> Followed | None: ...
    def follow(self, case: Case, plan: Plan, by: WorkerName) -> None: ...
    def derived(self, case_id: CaseId, on: date) -> None:
        """Brought in step with the household as of that day; never of an earlier one than before."""
        ...

    def stop(self, case_id: CaseId) -> None: ...
    async def asked(self, case_id: CaseId) -> list[Asked]:
        """The derived needs that are open or met, in the order of their reports."""
        ...

    def report(self, case: Case, need: Need, period: date | None) -> None: ...
    def change(self, case_id: CaseId, asked: Asked) -> None:
        """The open need is this one now, for that span of days."""
        ...

    def meet(self, case_id: CaseId, need_id: NeedId) -> None:
        """Enough was received."""
        ...

    async def overrules(self, case: Case) -> list[Overrule]:
        """In the order in which they were said."""
        ...

    async def overrule(self, case: Case, word: Overrule) -> None:
        """In place of what was said before of the same."""
        ...

    def lift(self, case_id: CaseId, norm: str, item_id: str) -> None: ...
    async def handed_over(self, case_id: CaseId) -> Sequence[tuple[NeedId, int]]:
        """Pieces of each need that the household received."""
        ...
