"""What finding someone again needs from outside."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.intake.domain.household import Facts, Household, OnePlace, Person
from services.intake.domain.ids import AgencyId, CaseId, HouseholdId, MergeId, PersonId, WorkerName
from services.intake.domain.merge import Merge
from services.intake.domain.search import Candidate, Wanted


@dataclass(frozen=True, slots=True)
class Findable:
    """A person of a household that hides from nobody, with the case in which to go on: the open one, else the
    last; for a case that was merged the one that it is part of. `status` is "open" or "closed"."""

    person_id: PersonId
    household_id: HouseholdId
    case_id: CaseId
    status: str
    version: int
    person: Person = field(repr=False)


class Search(Protocol):
    async def candidates(self, agency_id: AgencyId, wanted: Wanted) -> Sequence[Candidate]:
        """Persons of the agency's households that are not confidential, most alike first, as of now."""
        ...

    async def findable(self, agency_id: AgencyId, person_ids: Sequence[PersonId]) -> Sequence[Findable]:
        """Those of them who may be shown by what the database says now, read from the vault."""
        ...


class Merges(Protocol):
    """Which cases are said to be with one household."""

    def begin(self, merge: Merge, agency_id: AgencyId) -> None: ...

    def undo(self, merge_id: MergeId, by: WorkerName, at: datetime) -> None: ...

    async def find(self, merge_id: MergeId) -> Merge | None: ...

    async def of(self, case_ids: Sequence[CaseId]) -> Sequence[Merge]:
        """All in which one of these cases has a part, undone ones included, newest first."""
        ...


class OnePlaces(Protocol):
    """By which random name each household's one place for a night goes, whoever entered it."""

    async def look(self, households: Collection[Household]) -> None:
        """Look up many at once, for whoever opens many cases in one work."""
        ...

    def part(self, *cases: CaseId) -> None:
        """They are kept in this work after adults parted: each goes by a name that is nobody else's from now on."""
        ...

    def called(self, case_id: CaseId, facts: Facts) -> Facts:
        """The facts with the name that this work has written for the case, if it has."""
        ...

    async def share(
        self, case_id: CaseId, household_id: HouseholdId, with_: HouseholdId | None
    ) -> OnePlace | None:
        """The household goes by another one's name from now on, or (None) by its own again. None: nothing changed."""
        ...
