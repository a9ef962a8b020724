"""Intake's unit of work: the chassis' transaction with intake's stores on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Generic, TypeVar, cast

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


T = TypeVar("T")


class _Made(Generic[T]):
    """Makes what it stands for when it is first asked for, and is out of the way from then on."""

    def __init__(self, make: Callable[["PostgresWork"], T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, work: "PostgresWork", owner: type) -> T:
        made = work.__dict__[self._name] = self._make(work)
        return made


def made(make: Callable[["PostgresWork"], T]) -> T:
    """An attribute that is made when it is first used: most works use three of thirty."""
    return cast(T, _Made(make))


class PostgresWork(IntakeWork):
    """The stores on PostgreSQL, all on the one connection of this work; each is made when it is first used."""

    outfit: Outfit
    agencies = made(lambda work: PostgresAgencies(work, work.outfit.keyring))
    one_places = made(lambda work: PostgresOnePlaces(work, work.outfit.secrets.one_place))
    vault = made(lambda work: PostgresVault(work, work.outfit.keyring, work.agencies, work.one_places))
    needs = made(lambda work: PostgresNeeds(work))
    cases = made(lambda work: PostgresCases(work, work.vault, work.needs, work.outfit.secrets))
    referrals = made(lambda work: PostgresReferrals(work))
    allocations = made(lambda work: PostgresAllocations(work))
    desk = made(lambda work: PostgresDesk(work))
    places = made(lambda work: PostgresPlaces(work, work.outfit.secrets))
    access_log = made(lambda work: PostgresAccessLog(work))
    imports = made(lambda work: PostgresImports(work, work.outfit.secrets))
    history = made(lambda work: PostgresHistory(work))
    exports = made(lambda work: PostgresExports(work))
    changes = made(lambda work: PostgresHouseholdChanges(work))
    forgetting = made(lambda work: PostgresForgetting(work, work.outfit.secrets))
    clocks = made(lambda work: PostgresClocks(work))
    reports = made(lambda work: PostgresReports(work, str(work.outfit.zone)))
    consents = made(lambda work: PostgresConsents(work, work.outfit.keyring, work.agencies))
    _notes = made(lambda work: CaseNotes(work, work.outfit.keyring, work.agencies))
    glass = made(lambda work: PostgresGlass(work, work._notes))
    norms = made(lambda work: PostgresNorms(work, work._notes))
    stays = made(lambda work: PostgresStays(work))
    alarms = made(lambda work: PostgresAlarms(work, work._notes, work.outfit.metrics))
    tasks = made(lambda work: PostgresTasks(work, work._notes))
    situations = made(lambda work: PostgresSituations(work, work._notes))
    search = made(lambda work: PostgresSearch(work, work.vault, work.outfit.shelves))
    merges = made(lambda work: PostgresMerges(work))

    def __init__(self, connection: Connection, now: datetime, outfit: Outfit) -> None:
        super().__init__(connection, now)
        self.cause = None
        self.zone = outfit.zone
        self.outfit = outfit
        self._changed: set[CaseId] = set()

    def tell(self, *events: CaseEvent, occurred_at: datetime | None = None) -> None:
        self.announce(
            *(
                announcement(
                    self.outfit.cases_topic,
                    self.one_places.named(event),
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
        if untold := self.one_places.untold():
            self.tell(*untold)
        await super()._commit()

    def _count(self, events: Sequence[CaseEvent]) -> None:
        """Households in hiding are in no figure: one more would say that there is one, and when."""
        for event in events:
            match event:
                case CaseOpened() if not event.facts.confidential:
                    self.outfit.metrics.cases_opened_total.inc()
                case NeedReported() if not event.facts.confidential:
                    self.outfit.metrics.needs_reported_total.labels(event.need.kind.value).inc()
                case NeedMet() if not event.hidden:
                    self.outfit.metrics.needs_met_total.labels(event.kind.value).inc()
                case StayEnding() if not event.hidden:
                    self.outfit.metrics.stays_ending_total.inc()
                case _:
                    pass

    def changed(self, case_id: CaseId) -> None:
        if case_id not in self._changed:
            self._changed.add(case_id)
            self.after_commit(lambda: self.outfit.watchers.wake(case_id))
