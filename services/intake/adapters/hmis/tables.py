"""Everything an export says, gathered in one pass over each file, with what was refused on the way.

Organisations, projects and their inventory are held in memory: they are few in any region. People, and what was
recorded of them, go to the store.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import files
from .files import FileSpec
from .records import (
    ClientRecord,
    EnrollmentRecord,
    EventRecord,
    ExitRecord,
    HealthRecord,
    InventoryRecord,
    LivingRecord,
    OrganizationRecord,
    ProjectRecord,
    Reader,
    household_of,
)
from .register import VICTIM_SERVICE_PROVIDER, Claims, Register, victim_service_provider
from .report import Tally
from .rows import Row, RowRefused
from .store import Store

HEALTH, LIVING, EVENT = range(3)
_KINDS = {HEALTH: HealthRecord, LIVING: LivingRecord, EVENT: EventRecord}

_ADD_CLIENT = "INSERT INTO client (line, said) VALUES (?, ?)"
_ADD_ENROLMENT = """
INSERT INTO enrolment (line, household, client, person, entered, said) VALUES (?, ?, ?, ?, ?, ?)
"""
_ADD_HANGING = "INSERT INTO hanging (enrolment, kind, line, said) VALUES (?, ?, ?, ?)"
_END = "UPDATE enrolment SET exit_line = ?, ended = ? WHERE id = ?"
_HIDES = "UPDATE client SET hides = 1 WHERE id = (SELECT client FROM enrolment WHERE id = ?)"
_OF_ENROLMENT = "SELECT person, entered, exit_line FROM enrolment WHERE id = ?"
_DROP_ENROLMENT = "UPDATE enrolment SET standing = 0 WHERE id = ?"
_SPOIL = "UPDATE household SET file = ?, line = ?, reason = ? WHERE id = ? AND reason IS NULL"
# Of a victim service provider's people it is said that they are; of others, the first thing that was found.
_LOSE = "UPDATE client SET lost = CASE WHEN ?1 = ?2 THEN ?1 ELSE coalesce(lost, ?1) END WHERE id = ?3"
_STAYS = """
SELECT enrolment.id, client.id, enrolment.said, ended, client.said, hides
FROM enrolment JOIN client ON client.id = client WHERE household = ? AND enrolment.standing ORDER BY enrolment.id
"""
_HANGING = "SELECT kind, said FROM hanging WHERE enrolment = ? ORDER BY id"


@dataclass(frozen=True, slots=True)
class Stay:
    """One enrolment with the rows that hang on it, and its client."""

    row: EnrollmentRecord
    client: ClientRecord
    client_number: int
    hides: bool
    """The client is a survivor or fleeing in some household of the export."""
    exit: ExitRecord | None = None
    health: list[HealthRecord] = field(default_factory=list)
    living: list[LivingRecord] = field(default_factory=list)
    events: list[EventRecord] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Stay(line {self.row.line})"


class Tables:
    """Takes rows file by file, in the order of `files.TAKEN`, then checks the others against what was taken.

    In the store, a household with a `reason` lost a line, and so is refused whole. A client that is `lost` had
    an enrolment that was refused: it is taken only if another household has it.
    """

    def __init__(self, reader: Reader, tally: Tally, store: Store) -> None:
        self._read, self._tally, self._store = reader, tally, store
        self._seal = store.seal.close
        self.organizations = Register[OrganizationRecord](files.ORGANIZATION, tally)
        self.projects = Register[ProjectRecord](files.PROJECT, tally)
        self.inventory = Register[InventoryRecord](files.INVENTORY, tally)
        numbers = {spec.name: number for number, spec in enumerate((*files.TAKEN, *files.CHECKED))}
        self._claims = {
            spec.name: Claims(numbers[spec.name], spec, tally, store)
            for spec in (*files.TAKEN, *files.CHECKED)
        }
        self._clients = self._claims[files.CLIENT.name]
        self._enrolments = self._claims[files.ENROLLMENT.name]
        self._last_household = ("", 0)

    def take(self, spec: FileSpec, rows: Iterable[Row]) -> None:
        """Take a file that the import uses. What is refused is counted, and pulls down what it must."""
        take, drop = {
            files.ORGANIZATION.name: (self._organization, self.organizations.refuse),
            files.PROJECT.name: (self._project, self.projects.refuse),
            files.INVENTORY.name: (self._inventory, self.inventory.refuse),
            files.CLIENT.name: (self._client, self._drop_client),
            files.ENROLLMENT.name: (self._enrollment, self._drop_enrollment),
        }.get(spec.name, (self._hang, self._drop_hanging))
        for row in rows:
            try:
                if self._counts(row):
                    take(row)
            except RowRefused as why:
                self._tally.refuse(row, why)
                drop(row, why)

    def check(self, spec: FileSpec, rows: Iterable[Row]) -> None:
        """Hold a file that says little of a household against the rest. Its refused rows spoil none."""
        claims = self._claims[spec.name]
        for row in rows:
            try:
                if self._counts(row):
                    claims.claim(row)
                    claims.accept(row, 0)
                    self._check(spec, row)
            except RowRefused as why:
                self._tally.refuse(row, why)

    def stays(self, household: int) -> list[Stay]:
        """The enrolments of a household, in the order of the file, with all that was recorded of them."""
        open_ = self._store.seal.open
        found = []
        for number, client, said, ended, person, hides in self._store.rows(_STAYS, household):
            stay = Stay(
                open_(said, EnrollmentRecord),
                open_(person, ClientRecord),
                client,
                bool(hides),
                None if ended is None else open_(ended, ExitRecord),
            )
            of_kind: tuple[list[HealthRecord], list[LivingRecord], list[EventRecord]]
            of_kind = (stay.health, stay.living, stay.events)
            for kind, record in self._store.rows(_HANGING, number):
                of_kind[kind].append(open_(record, _KINDS[kind]))
            found.append(stay)
        return found

    def households(self) -> Iterator[int]:
        """Those that lost no line, in the order in which the export first names them."""
        query = "SELECT id FROM household WHERE reason IS NULL ORDER BY id"
        return (number for (number,) in self._store.each(query))

    def _counts(self, row: Row) -> bool:
        """False for a row that its source has deleted."""
        self._tally.read(row.file)
        row.whole()
        if row.deleted():
            self._tally.deleted(row.file)
            return False
        return True

    def _organization(self, row: Row) -> None:
        own, record = self.organizations.claim(row), self._read.organization(row)
        if record.victim_service_provider:
            raise victim_service_provider()
        self.organizations.rows[own] = record

    def _project(self, row: Row) -> None:
        own, organisation = self.projects.claim(row), self.organizations.find(row)
        self.projects.rows[own] = self._read.project(row, organisation)

    def _inventory(self, row: Row) -> None:
        own = self.inventory.claim(row)
        self.projects.find(row)
        self.inventory.rows[own] = self._read.inventory(row)

    def _client(self, row: Row) -> None:
        self._clients.claim(row)
        record = self._read.client(row)
        self._clients.accept(row, self._store.do(_ADD_CLIENT, row.line, self._seal(record)))

    def _drop_client(self, row: Row, why: RowRefused) -> None:
        earlier = self._clients.refuse(row, why)
        if earlier is not None:
            self._store.do("UPDATE client SET standing = 0 WHERE id = ?", earlier)

    def _enrollment(self, row: Row) -> None:
        self._enrolments.claim(row)
        self.projects.find(row)
        client = self._clients.find(row)
        record = self._read.enrollment(row)
        number = self._store.do(
            _ADD_ENROLMENT,
            row.line,
            self._household(record.household),
            client,
            self._store.seal.name(record.person_id),
            record.entered.toordinal(),
            self._seal(record),
        )
        self._enrolments.accept(row, number)

    def _household(self, own: str) -> int:
        """The number of a household; a new one for a name that was not heard before."""
        if self._last_household[0] != own:
            name = self._store.seal.name(own)
            known = self._store.one("SELECT id FROM household WHERE name = ?", name)
            number = known[0] if known else self._store.do("INSERT INTO household (name) VALUES (?)", name)
            self._last_household = (own, number)
        return self._last_household[1]

    def _drop_enrollment(self, row: Row, why: RowRefused) -> None:
        self._lose(self._clients.get(row.text("PersonalID")), why.reason)
        self._spoil(self._household(household_of(row)), row, why)
        earlier = self._enrolments.refuse(row, why)
        if earlier is not None:
            client, household = self._store.one(
                "SELECT client, household FROM enrolment WHERE id = ?", earlier
            )
            self._store.do(_DROP_ENROLMENT, earlier)
            self._lose(client, why.reason)
            self._spoil(household, row, why)

    def _hang(self, row: Row) -> None:
        """An exit, a health or a living-situation row: it must be of the person whose enrolment it names."""
        claims = self._claims[row.file]
        claims.claim(row)
        enrolment = self._enrolments.find(row)
        person, entered, exit_line = self._store.one(_OF_ENROLMENT, enrolment)
        self._same_person(row, person)
        if row.file == files.EXIT.name:
            if exit_line is not None:
                raise RowRefused("second-exit", f"line {exit_line} already ends its enrolment")
            record = self._read.exit(row, entered)
            self._store.do(_END, row.line, self._seal(record), enrolment)
        elif row.file == files.HEALTH_AND_DV.name:
            health = self._read.health(row)
            if health.fleeing or health.survivor:
                self._store.do(_HIDES, enrolment)
            self._add(enrolment, HEALTH, row, health)
        else:
            self._add(enrolment, LIVING, row, self._read.current_living(row))
        claims.accept(row, enrolment)

    def _add(self, enrolment: int, kind: int, row: Row, record: object) -> None:
        self._store.do(_ADD_HANGING, enrolment, kind, row.line, self._seal(record))

    def _drop_hanging(self, row: Row, why: RowRefused) -> None:
        """The row's household falls, and that of an earlier line with the same id."""
        earlier = self._claims[row.file].refuse(row, why)
        for enrolment in (earlier, self._enrolments.get(row.text("EnrollmentID"))):
            if enrolment is not None:
                [household] = self._store.one("SELECT household FROM enrolment WHERE id = ?", enrolment)
                self._spoil(household, row, why)

    def _check(self, spec: FileSpec, row: Row) -> None:
        enrolment = None
        if "EnrollmentID" in spec.needed:
            enrolment = self._enrolments.find(row)
            self._same_person(row, self._store.one(_OF_ENROLMENT, enrolment)[0])
        else:
            self.projects.find(row)
        for column in spec.dates:
            row.maybe_day(column)
        for column, known in spec.coded.items():
            row.code(column, self._read.known(column, known))
        if spec is files.EVENT and enrolment is not None:
            self._add(enrolment, EVENT, row, self._read.event(row))

    def _spoil(self, household: int, row: Row, why: RowRefused) -> None:
        self._store.do(_SPOIL, row.file, row.line, why.reason, household)

    def _lose(self, client: int | None, reason: str) -> None:
        if client is not None:
            said = reason if reason == VICTIM_SERVICE_PROVIDER else "household-refused"
            self._store.do(_LOSE, said, VICTIM_SERVICE_PROVIDER, client)

    def _same_person(self, row: Row, person: bytes) -> None:
        if self._store.seal.name(row.text("PersonalID")) != person:
            raise RowRefused("other-person", "its PersonalID is not that of its enrolment")
