"""What the use cases need from outside: stores of one transaction, and the neighbour that finds places."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Protocol

from services.chassis.call import Call
from services.chassis.envelope import Received
from services.chassis.work import Work
from services.intake.application.agencies_ports import Desk, Glass
from services.intake.application.clocks_ports import Clocks
from services.intake.application.consents_ports import Consents
from services.intake.application.exports_ports import Exports
from services.intake.application.household_ports import Forgetting, HouseholdChanges
from services.intake.application.norms_ports import Norms
from services.intake.application.places_ports import Places
from services.intake.application.reports_ports import Reports
from services.intake.application.search_ports import Merges, OnePlaces, Search
from services.intake.application.stays_ports import Alarms, Situations, Stays, Tasks
from services.intake.domain.agencies import Agency, Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.contact import SafeContact
from services.intake.domain.events import CaseEvent
from services.intake.domain.household import Facts, Household, Person
from services.intake.domain.ids import (
    AgencyId,
    AllocationId,
    ArrivalCode,
    CaseId,
    HouseholdId,
    NeedId,
    PersonId,
    ReferralId,
    WorkerName,
)
from services.intake.domain.imports import ImportedHistory
from services.intake.domain.needs import Need, NeedKind
from services.intake.domain.outcomes import (
    NeedOutcome,
    NeedState,
    Referral,
    ReferralState,
    Unmatched,
    WouldChange,
)


@dataclass(frozen=True, slots=True)
class NewCase:
    """All that is written when a case is opened. `parted`: its persons come from another household, in this work."""

    case_id: CaseId
    household_id: HouseholdId
    agency_id: AgencyId
    opened_by: WorkerName
    opened_at: datetime
    known: "KnownHousehold"
    arrival_code: ArrivalCode | None
    needs: tuple[Need, ...]
    assigned: bool
    import_marks: tuple[bytes, ...] = ()
    closed_at: datetime | None = None
    parted: bool = False

    @property
    def facts(self) -> Facts:
        return self.known.facts

    def as_case(self, recorded_at: datetime) -> Case:
        """The case as it is once this is written, for whoever opens it."""
        return Case(
            case_id=self.case_id,
            household_id=self.household_id,
            agency_id=self.agency_id,
            opened_by=self.opened_by,
            opened_at=self.opened_at,
            recorded_at=recorded_at,
            closed_at=self.closed_at,
            facts=self.facts,
            arrival_code=self.arrival_code,
            version=1,
            assigned=self.assigned,
        )


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person as the vault has it. `source_key` names the person in the export it came from, or is empty."""

    person_id: PersonId
    person: Person
    source_key: str = field(default="", repr=False)
    source_due: date | None = field(default=None, repr=False)
    """The due date that the last export said: what differs from it is a worker's word."""


@dataclass(frozen=True, slots=True)
class HouseholdSecrets:
    """What of a household never leaves intake."""

    survivor: bool = field(repr=False)
    fleeing: bool = field(repr=False)
    lifted: bool = field(repr=False)
    handoff_point: str = field(repr=False)
    handoff_slot: str = field(repr=False)
    safe_contact: SafeContact = field(repr=False)
    avoid_words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KnownHousehold:
    """A household as the vault has it: `persons` are those of `household`, in its order, with their ids.

    `facts` are what others were told of it, as of the day they were told.
    """

    household: Household
    persons: tuple[KnownPerson, ...]
    facts: Facts


@dataclass(frozen=True, slots=True)
class Imported:
    """A household that was imported before: `digest` is a keyed digest of what was said of it then."""

    household_id: HouseholdId
    case_id: CaseId
    digest: bytes


@dataclass(frozen=True, slots=True)
class NeedRecord:
    """A need, how far it is, and what an export said when it asked for it (None: an agency reported it)."""

    need: Need
    withdrawn: bool
    met: bool
    import_mark: bytes | None

    @property
    def open(self) -> bool:
        return not (self.withdrawn or self.met)


@dataclass(frozen=True, slots=True)
class ImportedNeed:
    """What became of a need that an import reported; no state for a household that the hub looks after."""

    source_key: str
    need_id: NeedId
    state: NeedState | None
    unmatched: Unmatched | None


@dataclass(frozen=True, slots=True)
class Approach:
    """Who asks, and the case they ask for, if there is one; `taken` if the id they made for a need is in use."""

    case: Case | None
    viewer: Viewer
    taken: bool


Approaching = tuple[CaseId, Asker, NeedId | None]
"""Which case is asked for, who asks, and the id that they made for a need, if they made one."""


@dataclass(frozen=True, slots=True)
class Met:
    """A need that has just become met. `hidden`: its household is in hiding."""

    kind: NeedKind
    hidden: bool


@dataclass(frozen=True, slots=True)
class AllocationPart:
    """What is known of an allocation after logistics' word; no case until matching has told of it."""

    case_id: CaseId | None
    need_id: NeedId | None
    handed_over: bool


class Agencies(Protocol):
    async def viewer(self, asker: Asker) -> Viewer: ...
    async def register(self, agency: Agency) -> None: ...
    async def find(self, agency_id: AgencyId) -> Agency | None: ...
    def register_worker(self, worker: WorkerName, agency_id: AgencyId) -> None: ...
    async def knows_worker(self, worker: WorkerName) -> Agency | None: ...
    async def imported(self, source_id: str, source_key: str, name: str) -> AgencyId: ...
    async def all_imported(self, source_id: str, names: Mapping[str, str]) -> None: ...


class Cases(Protocol):
    """`find` sees what is committed; whoever then changes the case says so with `advance`, and is run again
    if somebody else was faster. `lock` waits for them instead."""

    async def open(self, case: NewCase) -> None: ...
    async def taken(self, case_id: CaseId) -> bool: ...
    async def look(self, case_ids: Collection[CaseId]) -> None: ...
    async def approach(self, case_id: CaseId, asker: Asker, new_need: NeedId | None = None) -> Approach: ...
    async def approach_all(self, approaching: Collection[Approaching]) -> None: ...
    async def find(self, case_id: CaseId, worker: WorkerName) -> Case | None: ...
    async def find_by_code(self, code: ArrivalCode, worker: WorkerName) -> Case | None: ...
    async def lock(self, case_id: CaseId, worker: WorkerName) -> Case | None: ...
    async def revision(self, case_id: CaseId) -> int | None: ...
    def advance(self, case: Case) -> None: ...
    def close(self, case: Case) -> None: ...
    def assign(self, case_id: CaseId, worker: WorkerName, by: WorkerName) -> None: ...
    async def free_arrival_code(self, case_id: CaseId) -> ArrivalCode: ...
    def set_arrival_code(self, case_id: CaseId, code: ArrivalCode) -> None: ...


class Needs(Protocol):
    def report(self, case: Case, need: Need, import_mark: bytes | None = None) -> None: ...
    async def find(self, case_id: CaseId, need_id: NeedId) -> NeedRecord | None: ...
    def change(self, case_id: CaseId, need: Need) -> None: ...
    def withdraw(self, case_id: CaseId, need_id: NeedId) -> None: ...
    def retire(self, need_ids: Sequence[NeedId]) -> None: ...
    async def any_taken(self, need_ids: Sequence[NeedId]) -> bool: ...
    async def look(self, need_ids: Collection[NeedId]) -> None: ...
    async def meet(self, case_id: CaseId, need_id: NeedId) -> Met | None: ...
    async def meet_when_handed_over(self, case_id: CaseId, need_id: NeedId) -> Met | None: ...
    def unmatched(
        self, case_id: CaseId, need_id: NeedId, why: Unmatched, would_change: WouldChange | None
    ) -> None: ...
    def reset_unmatched(self, case_id: CaseId) -> None: ...
    async def records(self, case_id: CaseId) -> list[NeedRecord]: ...
    async def outcomes(self, case_id: CaseId) -> list[NeedOutcome]: ...


class Vault(Protocol):
    """`change` forgets whoever is no longer in the household, but for those who are `leaving` for another one."""

    async def persons(self, case: Case) -> list[KnownPerson]: ...
    async def known(self, case: Case) -> KnownHousehold: ...

    async def left(self, case: Case) -> KnownHousehold:
        """Of a restored household: also when what was said of it as a whole is readable no more."""
        ...

    async def secrets(self, case: Case) -> HouseholdSecrets: ...
    async def change(self, case: Case, known: KnownHousehold, leaving: Collection[PersonId] = ()) -> None: ...


class Referrals(Protocol):
    def proposed(self, case_id: CaseId, referral: Referral) -> None: ...
    def moved(self, case_id: CaseId, referral_id: ReferralId, need_id: NeedId, to: ReferralState) -> None: ...
    def keep_only(self, case_id: CaseId, referral_ids: Sequence[ReferralId]) -> None: ...


class Allocations(Protocol):
    async def allocated(
        self, allocation_id: AllocationId, case_id: CaseId, need_id: NeedId, quantity: int
    ) -> bool: ...
    def taken_back(self, allocation_id: AllocationId, case_id: CaseId, need_id: NeedId) -> None: ...
    def take_back_all_but(self, case_id: CaseId, allocation_ids: Sequence[AllocationId]) -> None: ...
    async def told(self, allocation_id: AllocationId, state: str, bag_code: str) -> AllocationPart: ...
    async def carried(self, allocation_id: AllocationId) -> CaseId | None: ...
    def forget(self, case_id: CaseId) -> None: ...


class AccessLog(Protocol):
    def read(
        self,
        reader: str,
        agency: str,
        case_id: CaseId,
        persons: Sequence[PersonId],
        why: str,
        consent: str = "",
    ) -> None: ...


class Imports(Protocol):
    async def lock(self, source_id: str, source_key: str) -> Imported | None: ...
    async def lock_all(self, source_id: str, source_keys: Sequence[str]) -> dict[str, Imported]: ...
    async def needs_of(self, case_ids: Sequence[CaseId]) -> dict[CaseId, list[NeedId]]: ...
    def remember(self, source_id: str, source_key: str, imported: Imported) -> None: ...
    def digest(self, content: bytes) -> bytes: ...
    async def outcomes(self, source_id: str, after: str) -> list[ImportedNeed]: ...

    def stay_away(self, case: Case, source_key: str) -> None:
        """Who left the household is not brought back into it by an export that still names them so."""
        ...

    async def staying_away(self, case: Case, source_keys: Sequence[str]) -> set[str]: ...

    def stay_away_too(self, before: CaseId, now: CaseId) -> None:
        """Who left the household of the case before stays away from that of the case that follows it, too."""
        ...

    async def unname(self, household_id: HouseholdId) -> None:
        """An erased household: its row can be found by who asks with the name, and tells the name to nobody."""
        ...


class History(Protocol):
    async def exits(self, case_id: CaseId) -> set[tuple[date, int]]:
        """Those that exports told of so far: their days and destinations."""
        ...

    def keep(
        self, case_id: CaseId, agency_id: AgencyId, history: ImportedHistory, by: WorkerName
    ) -> None: ...
    def replace(
        self, case_id: CaseId, agency_id: AgencyId, history: ImportedHistory, by: WorkerName
    ) -> None: ...


class IntakeWork(Work):
    """One transaction of intake: what it changes and what it announces commit together or not at all.

    `cause` is the call or event that it answers: what it announces carries on its trace. `zone` says where the
    region's days begin.
    """

    cause: Received | Call | None
    zone: tzinfo
    agencies: Agencies
    cases: Cases
    needs: Needs
    vault: Vault
    referrals: Referrals
    allocations: Allocations
    access_log: AccessLog
    desk: Desk
    glass: Glass
    places: Places
    imports: Imports
    history: History
    exports: Exports
    changes: HouseholdChanges
    forgetting: Forgetting
    clocks: Clocks
    norms: Norms
    search: Search
    merges: Merges
    one_places: OnePlaces
    consents: Consents
    reports: Reports
    stays: Stays
    alarms: Alarms
    tasks: Tasks
    situations: Situations

    @property
    def today(self) -> date:
        """The region's day, and the name of the night that follows it."""
        return self.now.astimezone(self.zone).date()

    def tell(self, *events: CaseEvent, occurred_at: datetime | None = None) -> None:
        """Announce what happened; announcements of one case keep this order."""
        raise NotImplementedError

    def changed(self, case_id: CaseId) -> None:
        """Wake whoever watches the case, once this is committed."""
        raise NotImplementedError


class Works(Protocol):
    """Makes units of work."""

    def __call__(self) -> AbstractAsyncContextManager[IntakeWork]: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A place that matching set aside."""

    referral: Referral


@dataclass(frozen=True, slots=True)
class NoPlace:
    """There is none, and the single fact that would change it, if one would."""

    reason: Unmatched
    would_change: WouldChange | None


@dataclass(frozen=True, slots=True)
class SearchGoesOn:
    """Nothing is known yet: matching did not answer in time, and has the need by its own way."""

    ask_again_seconds: int


@dataclass(frozen=True, slots=True)
class HubContact:
    """Where a household in hiding turns; the same for every such answer."""

    phone: str
    meeting_point: str
    arrival_code: ArrivalCode


TonightAnswer = Held | NoPlace | SearchGoesOn | HubContact


@dataclass(frozen=True, slots=True)
class Hub:
    """The 24-hour desk that arranges confidential placements."""

    phone: str
    meeting_point: str
    handoff_slot: str

    def contact(self, code: ArrivalCode) -> HubContact:
        return HubContact(phone=self.phone, meeting_point=self.meeting_point, arrival_code=code)


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker of the household may be shown of a referral's place; for a confidential one it is the hub."""

    name: str
    contact: str
    arrival_code: str = ""


class Matching(Protocol):
    """The neighbour that finds places. `call` is the one on whose behalf it is asked: it limits the wait."""

    async def places(
        self, case_id: CaseId, referral_ids: Sequence[ReferralId], call: Call
    ) -> Mapping[ReferralId, Place]:
        """Of those that it knows and can tell in time."""
        ...

    async def find_tonight(self, case_id: CaseId, need: Need, facts: Facts, call: Call) -> TonightAnswer: ...

    async def answer_referral(
        self, case_id: CaseId, referral_id: ReferralId, accepted: bool, call: Call
    ) -> ReferralState: ...

    async def extend_stay(
        self, case_id: CaseId, referral_id: ReferralId, last_night: date, call: Call
    ) -> date:
        """The last night as it is then. Its refusals are the caller's answer."""
        ...
