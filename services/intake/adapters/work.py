"""Intake's unit of work: the chassis' transaction with intake's stores on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from services.chassis.keyring import Keyring
from services.chassis.metrics import Metrics
from services.chassis.topics import Topic
from services.chassis.work import Connection
from services.intake.adapters.access_log import PostgresAccessLog
from services.intake.adapters.agencies import PostgresAgencies
from services.intake.adapters.allocations import PostgresAllocations
from services.intake.adapters.break_glass import PostgresGlass
from services.intake.adapters.case_notes import CaseNotes
from services.intake.adapters.cases import PostgresCases
from services.intake.adapters.clocks import PostgresClocks
from services.intake.adapters.consents import PostgresConsents
from services.intake.adapters.desk import PostgresDesk
from services.intake.adapters.exports import PostgresExports
from services.intake.adapters.forgetting import PostgresForgetting
from services.intake.adapters.history import PostgresHistory
from services.intake.adapters.household_changes import PostgresHouseholdChanges
from services.intake.adapters.imports import PostgresImports
from services.intake.adapters.merges import PostgresMerges
from services.intake.adapters.needs import PostgresNeeds
from services.intake.adapters.norms import PostgresNorms
from services.intake.adapters.one_place import PostgresOnePlaces
from services.intake.adapters.places import PostgresPlaces
from services.intake.adapters.referrals import PostgresReferrals
from services.intake.adapters.reports import PostgresReports
from services.intake.adapters.search import PostgresSearch, Shelves
from services.intake.adapters.secrets import Secrets
from services.intake.adapters.stays import PostgresAlarms, PostgresSituations, PostgresStays
from services.intake.adapters.tasks import PostgresTasks
from services.intake.adapters.vault import PostgresVault
from services.intake.adapters.watch import CaseWatchers
from services.intake.adapters.wire import announcement
from services.intake.application.ports import IntakeWork
from services.intake.domain.events import CaseEvent, CaseOpened, NeedMet, NeedReported, StayEnding
from services.intake.domain.ids import CaseId


@dataclass(frozen=True, slots=True)
class Outfit:
    """What every work of intake is made with."""

    keyring: Keyring
    secrets: Secrets
    watchers: CaseWatchers
    cases_topic: Topic
    metrics: Metrics
    zone: tzinfo
    shelves: Shelves = field(default_factory=Shelves)

    def make(self) -> Callable[[Connection, datetime], IntakeWork]:
        return lambda connection, now: PostgresWork(connection, now, self)


class PostgresWork(IntakeWork):
    """The stores on PostgreSQL, all on the one connection of this work."""

    def __init__(self, connection: Connection, now: datetime, outfit: Outfit) -> None:
        super().__init__(connection, now)
        self.cause = None
        self.zone = outfit.zone
        agencies = PostgresAgencies(self, outfit.keyring)
        one_places = PostgresOnePlaces(self, outfit.secrets.one_place)
        vault = PostgresVault(self, outfit.keyring, agencies, one_places)
        needs = PostgresNeeds(self)
        self.agencies = agencies
        self.vault = vault
        self.needs = needs
        self.cases = PostgresCases(self, vault, needs, outfit.secrets)
        self.referrals = PostgresReferrals(self)
        self.allocations = PostgresAllocations(self)
        self.desk = PostgresDesk(self)
        self.places = PostgresPlaces(self, outfit.secrets)
        self.access_log = PostgresAccessLog(self)
        self.imports = PostgresImports(self, outfit.secrets)
        self.history = PostgresHistory(self)
        self.exports = PostgresExports(self)
        self.changes = PostgresHouseholdChanges(self)
        self.forgetting = PostgresForgetting(self, outfit.secrets)
        self.clocks = PostgresClocks(self)
        self.reports = PostgresReports(self, str(outfit.zone))
        self.consents = PostgresConsents(self, outfit.keyring, agencies)
        notes = CaseNotes(self, outfit.keyring, agencies)
        self.glass = PostgresGlass(self, notes)
        self.norms = PostgresNorms(self, notes)
        self.stays = PostgresStays(self)
        self.alarms = PostgresAlarms(self, notes, outfit.metrics)
        self.tasks = PostgresTasks(self, notes)
        self.situations = PostgresSituations(self, notes)
        self.search = PostgresSearch(self, vault, outfit.shelves)
        self.merges = PostgresMerges(self)
        self.one_places = self._one_places = one_places
        self._topic = outfit.cases_topic
        self._watchers = outfit.watchers
        self._metrics = outfit.metrics
        self._changed: set[CaseId] = set()

    def tell(self, *events: CaseEvent, occurred_at: datetime | None = None) -> None:
        self.announce(
            *(
                announcement(
                    self._topic,
                    self._one_places.named(event),
                    occurred_at=occurred_at or self.now,
                    recorded_at=self.now,
                    cause=self.cause,
                )
                for event in events
            )
        )

        self.after_commit(lambda: self._count(events))

    async def _commit(self) -> None:
        """A household that goes by another name says so, also where nothing else is told of its change."""
        self.tell(*self._one_places.untold())
        await super()._commit()

    def _count(self, events: Sequence[CaseEvent]) -> None:
        """Households in hiding are in no figure: one more would say that there is one, and when."""
        for event in events:
            match event:
                case CaseOpened() if not event.facts.confidential:
                    self._metrics.cases_opened_total.inc()
                case NeedReported() if not event.facts.confidential:
                    self._metrics.needs_reported_total.labels(event.need.kind.value).inc()
                case NeedMet() if not event.hidden:
                    self._metrics.needs_met_total.labels(event.kind.value).inc()
                case StayEnding() if not event.hidden:
                    self._metrics.stays_ending_total.inc()
                case _:
                    pass

    def changed(self, case_id: CaseId) -> None:
        if case_id not in self._changed:
            self._changed.add(case_id)
            self.after_commit(lambda: self._watchers.wake(case_id))
