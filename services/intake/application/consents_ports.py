"""What consents need from outside."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.intake.domain.cases import Case
from services.intake.domain.consents import Consent, ConsentText, EndedBy
from services.intake.domain.ids import CaseId, ConsentId, PersonId, WorkerName


@dataclass(frozen=True, slots=True)
class Read:
    """One reading; without a person for what is said of the household as a whole."""

    read_id: int
    at: datetime
    reader: str
    reader_agency: str
    person_id: PersonId | None
    why: str
    consent: str


class Consents(Protocol):
    async def publish(self, text: ConsentText) -> ConsentText:
        """The text as it stands under that version and language, which may have been there before."""
        ...

    async def text(self, version: str, language: str) -> ConsentText | None: ...
    async def texts(self) -> list[ConsentText]: ...
    async def record(self, case: Case, consent: Consent, by: WorkerName) -> None: ...
    async def of_case(self, case: Case) -> list[Consent]: ...
    async def keyless(self, case_id: CaseId) -> Collection[ConsentId]:
        """Those that have not ended although somebody was erased who signed them, or for whom they are: as a
        backup from before has them."""
        ...

    def end(self, consent_id: ConsentId, by: EndedBy) -> None: ...
    def bar(self, case: Case, person_id: PersonId, by: WorkerName) -> None: ...
    def unbar(self, person_id: PersonId) -> None: ...
    async def barred(self, case_id: CaseId) -> Collection[PersonId]: ...
    async def reads(
        self, case_id: CaseId, person_id: PersonId | None, after: int | None
    ) -> Sequence[Read]: ...
