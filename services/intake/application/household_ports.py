"""What the commands on households need from outside, beyond the vault."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, HouseholdId, PersonId


class HouseholdChanges(Protocol):
    """Which fields changed with which revision; names only."""

    def record(self, case: Case, revision: int, fields: Sequence[str], by: str) -> None: ...

    async def since(self, household_id: HouseholdId, revision: int) -> list[str]:
        """The names of all fields that changed after that revision, each once."""
        ...


@dataclass(frozen=True, slots=True)
class Keyless:
    """A case whose household was erased (not `readable`), or some of its persons, after the backup was made from
    which it was restored; or one with a consent that stood on somebody who was."""

    case_id: CaseId
    persons: tuple[PersonId, ...]
    readable: bool


class Forgetting(Protocol):
    """Makes subjects (persons, households) unreadable, and removes what could name them, wherever it is kept."""

    def forget(self, subjects: Sequence[UUID]) -> None: ...

    async def forget_words(self, household_id: HouseholdId) -> None:
        """What was said of the household as a whole until now; what is kept of it after this, has a new key."""
        ...

    def bar_return(self, case: Case, source_key: str) -> None:
        """An export that names the person so does not bring them back."""
        ...

    async def barred(self, case: Case, source_keys: Sequence[str]) -> set[str]: ...

    async def keyless(self) -> list[Keyless]: ...

    def begin_anew(self) -> None:
        """Whatever changed is numbered as of now: another cluster's transactions count from elsewhere."""
        ...

    def erase_case(self, case: Case) -> None:
        """The household is nobody any more, and its case closed with all of its needs."""
        ...
