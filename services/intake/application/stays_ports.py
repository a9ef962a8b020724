"""What the use cases of stays, alarms and tasks need from outside."""

from datetime import date
from typing import Protocol
from uuid import UUID

from services.intake.application.agencies_ports import Mark
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.followups import Task, TaskKind, TaskOutcome
from services.intake.domain.household import Facts
from services.intake.domain.ids import CaseId, ReferralId, WorkerName
from services.intake.domain.stays import Action, Alarm, Stay


class Stays(Protocol):
    """Only who has locked the case may change any of its stays."""

    async def of_case(self, case_id: CaseId) -> list[Stay]:
        """By their first night."""
        ...

    async def begin(
        self, case: Case, referral_id: ReferralId | None, from_date: date, last_night: date | None
    ) -> Stay: ...

    def save(self, stay: Stay) -> None: ...

    async def accepted(self, case_id: CaseId) -> list[tuple[date, int]]:
        """Places that both sides agreed on and that nobody moved into yet: first night and nights."""
        ...


class Alarms(Protocol):
    async def raise_(self, case: Case, stay: Stay, ended_on: date) -> None:
        """The stay ended with nothing next; said twice is said once. An open one that doubted it becomes this one."""
        ...

    async def doubt(self, case: Case, stay: Stay, found_on: date) -> None:
        """The stay has not ended, but the household does not sleep there. None while one of the stay is open."""
        ...

    def settle(self, stay: Stay) -> None:
        """The stay goes on after all."""
        ...

    def settle_all(self, case_id: CaseId) -> None:
        """Nothing is to be done for the household any more: it was erased."""
        ...

    async def find(self, alarm_id: UUID) -> Alarm | None: ...

    async def seen_by(self, viewer: Viewer, after: Mark | None, limit: int) -> list[Alarm]:
        """Open ones of cases that they see in full; oldest first."""
        ...

    async def hidden(self, after: Mark | None, limit: int) -> list[Alarm]:
        """Open ones of confidential cases, for the hub; oldest first."""
        ...

    async def acknowledge(self, alarm: Alarm, action: Action, by: WorkerName, note: str) -> None: ...


class Tasks(Protocol):
    async def ask(self, case: Case, kind: TaskKind, about: str, due_on: date) -> bool:
        """Whether it is asked for the first time."""
        ...

    async def open_of(self, case_id: CaseId, kind: TaskKind) -> list[Task]: ...

    def ask_once_more(self, task: Task) -> None: ...

    def overtake(self, case_id: CaseId, kind: TaskKind) -> None:
        """What was asked is known by now."""
        ...

    async def find(self, task_id: UUID) -> Task | None: ...

    async def seen_by(self, viewer: Viewer, after: Mark | None, limit: int) -> list[Task]:
        """Open ones of cases that they see in full; earliest first."""
        ...

    async def hidden(self, after: Mark | None, limit: int) -> list[Task]:
        """Open ones of confidential cases that nobody is assigned to, for the hub; earliest first."""
        ...

    async def do(
        self, task: Task, outcome: TaskOutcome, code: int | None, by: WorkerName, note: str
    ) -> None: ...


class Situations(Protocol):
    async def record(
        self, case: Case, on_date: date, code: int, returned: bool, by: WorkerName, note: str
    ) -> None: ...

    async def latest(self, case_id: CaseId) -> tuple[date, int] | None: ...

    def tell_facts(self, case: Case, facts: Facts) -> None:
        """What others may know of the household from now on, where nothing in the vault changes."""
        ...

    def reopen(self, case: Case) -> None: ...
