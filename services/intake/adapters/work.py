"""Intake's unit of work: the chassis' transaction with intake's stores on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.call import Call
from services.chassis.envelope import Received
from services.chassis.keyring import Keyring
from services.chassis.metrics import Metrics
from services.chassis.topics import Topic
from services.chassis.work import Connection, Work
from services.intake.adapters.access_log import PostgresAccessLog
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.adapters.allocations import PostgresAllocations
from services.intake.adapters.cases import PostgresCases
from services.intake.adapters.imports import PostgresImports
from services.intake.adapters.needs import PostgresNeeds
from services.intake.adapters.referrals import PostgresReferrals
from services.intake.adapters.secrets import Secrets
from services.intake.adapters.vault import PostgresVault
from services.intake.adapters.watch import CaseWatchers
from services.intake.adapters.wire import announcement
from services.intake.domain.events import CaseEvent, CaseOpened, NeedMet, NeedReported
from services.intake.domain.ids import CaseId


@dataclass(frozen=True, slots=True)
class Outfit:
    """What every work of intake is made with."""

    keyring: Keyring
    secrets: Secrets
    watchers: CaseWatchers
    cases_topic: Topic
    metrics: Metrics

    def make(self) -> Callable[[Connection, datetime], "PostgresWork"]:
        return lambda connection, now: PostgresWork(connection, now, self)


class PostgresWork(Work):
    """`cause` is the call or event that this work answers; what it announces carries on its trace."""

    def __init__(self, connection: Connection, now: datetime, outfit: Outfit) -> None:
        super().__init__(connection, now)
        self.cause: Received | Call | None = None
        self.agencies = PostgresAgencies(self, outfit.keyring)
        self.vault = PostgresVault(self, outfit.keyring, self.agencies)
        self.needs = PostgresNeeds(self)
        self.cases = PostgresCases(self, self.vault, self.needs, outfit.secrets)
        self.referrals = PostgresReferrals(self)
        self.allocations = PostgresAllocations(self)
        self.access_log = PostgresAccessLog(self)
        self.imports = PostgresImports(self, outfit.secrets)
        self._topic = outfit.cases_topic
        self._watchers = outfit.watchers
        self._metrics = outfit.metrics
        self._changed: set[CaseId] = set()

    def tell(self, *events: CaseEvent, occurred_at: datetime | None = None) -> None:
        self.announce(
            *(
                announcement(
                    self._topic,
                    event,
                    occurred_at=occurred_at or self.now,
                    recorded_at=self.now,
                    cause=self.cause,
                )
                for event in events
            )
        )

        self.after_commit(lambda: self._count(events))

    def _count(self, events: Sequence[CaseEvent]) -> None:
        for event in events:
            match event:
                case CaseOpened():
                    self._metrics.cases_opened_total.inc()
                case NeedReported():
                    self._metrics.needs_reported_total.labels(event.need.kind.value).inc()
                case NeedMet():
                    self._metrics.needs_met_total.labels(event.kind.value).inc()
                case _:
                    pass

    def changed(self, case_id: CaseId) -> None:
        if case_id not in self._changed:
            self._changed.add(case_id)
            self.after_commit(lambda: self._watchers.wake(case_id))
