"""What consents need from outside."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.intake.domain.cases import Case
from services.intake.domain.consents import Consent, ConsentText, EndedBy
from services.intake.domain.ids import CaseId, ConsentId, PersonId, WorkerName


@dataclass(frozen=True, slots=True)
class Read:
    """One reading; without a person for what is said of the household as a whole. `read_id` is random."""

    read_id: UUID
    at: datetime
    reader: str
    reader_agency: str
    person_id: PersonId | None
    why: str
    consent: str


@dataclass(frozen=True, slots=True)
class Bars:
    """`members` of a household who sign for nobody else. `others`: somebody was barred who is no member, and who is
    no longer known or is entered in another case of the same household: any member may be them."""

    members: Collection[PersonId]
    others: bool


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
    async def barred_in(self, case_id: CaseId) -> Collection[PersonId]:
        """Whoever was barred in it, and is a member or was one."""
        ...

    def unbar(self, person_id: PersonId) -> None: ...
    def take_bars_along(self, persons: Collection[PersonId], to: CaseId) -> None:
        """Who is barred stays so in a household of their own."""
        ...

    async def bars(self, case_ids: Collection[CaseId], members: Collection[PersonId]) -> Bars:
        """Those of these members, in whichever case they were barred, and of these cases, whoever they were."""
        ...

    async def reads(self, case_id: CaseId, person_id: PersonId | None, after: UUID | None) -> Sequence[Read]:
        """Of the persons who are in the household now, wherever they were read; of those who were forgotten, in this
        case; and of the household as a whole. Who left for another household is told of there."""
        ...
