"""What an export of an agency's cases needs from outside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from services.intake.domain.cases import Case
from services.intake.domain.household import Household
from services.intake.domain.ids import AgencyId, CaseId, PersonId, WorkerName
from services.intake.domain.imports import ImportedHistory


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a case beyond its household: its past, where it stays now, whether it needs a bed."""

    history: ImportedHistory
    stays_since: date | None
    needs_lodging: bool


@dataclass(frozen=True, slots=True)
class ExportedCase:
    """A case as it leaves: `person_ids` are in the order of the household's persons."""

    case: Case
    household: Household = field(repr=False)
    person_ids: tuple[PersonId, ...]
    told: Told = field(repr=False)


class Exports(Protocol):
    async def cases(
        self, agency_id: AgencyId, worker: WorkerName, after: CaseId | None, limit: int
    ) -> Sequence[Case]:
        """The agency's cases behind that one, in the order of their ids."""
        ...

    async def told(self, case_ids: Sequence[CaseId]) -> Mapping[CaseId, Told]: ...


class Sheets(Protocol):
    """A HMIS CSV export in the making. What was added is given out once, at the end."""

    def add(self, case: ExportedCase) -> None: ...
    def pieces(self) -> Iterator[bytes]:
        """The packed file, in pieces."""
        ...
