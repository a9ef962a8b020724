"""Everything an export says, gathered in one pass over each file, with what was refused on the way.

This is the one place that holds an export in memory: a small record per client, enrolment and row that hangs
on it. An export too large for that needs another class with these attributes, over a spool file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from . import files
from .files import FileSpec
from .records import (
    ClientRecord,
    EnrollmentRecord,
    ExitRecord,
    HealthRecord,
    InventoryRecord,
    LivingRecord,
    OrganizationRecord,
    ProjectRecord,
    Reader,
    household_of,
)
from .register import VICTIM_SERVICE_PROVIDER, Register, victim_service_provider
from .report import Tally
from .rows import Row, RowRefused


@dataclass(slots=True)
class Stay:
    """One enrolment with the rows that hang on it."""

    id: str
    row: EnrollmentRecord
    exit: ExitRecord | None = None
    health: list[HealthRecord] = field(default_factory=list)
    living: list[LivingRecord] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Stay(line {self.row.line})"


@dataclass(frozen=True, slots=True)
class Cause:
    """The first refused line of a household: why all of it is refused."""

    file: str
    line: int
    reason: str


class Tables:
    """Takes rows file by file, in the order of `files.TAKEN`, then checks the others against what was taken.

    `spoilt` are the households that lost a line, and so are refused whole. `lost` are persons with an
    enrolment that was refused; they are taken only if another household has them.
    """

    def __init__(self, reader: Reader, tally: Tally) -> None:
        self._read, self._tally = reader, tally
        self.organizations = Register[OrganizationRecord](files.ORGANIZATION, tally)
        self.projects = Register[ProjectRecord](files.PROJECT, tally)
        self.inventory = Register[InventoryRecord](files.INVENTORY, tally)
        self.clients = Register[ClientRecord](files.CLIENT, tally)
        self.stays = Register[Stay](files.ENROLLMENT, tally)
        self.spoilt: dict[str, Cause] = {}
        self.lost: dict[str, str] = {}
        self._hanging = {
            spec.name: Register[Stay](spec, tally)
            for spec in (files.EXIT, files.HEALTH_AND_DV, files.CURRENT_LIVING_SITUATION)
        }

    def take(self, spec: FileSpec, rows: Iterable[Row]) -> None:
        """Take a file that the import uses. What is refused is counted, and pulls down what it must."""
        take, drop = {
            files.ORGANIZATION.name: (self._organization, self.organizations.refuse),
            files.PROJECT.name: (self._project, self.projects.refuse),
            files.INVENTORY.name: (self._inventory, self.inventory.refuse),
            files.CLIENT.name: (self._client, self.clients.refuse),
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
        """Hold a file that gives nothing yet against the rest. Its refused rows spoil no household."""
        seen = Register[None](spec, self._tally)
        for row in rows:
            try:
                if self._counts(row):
                    seen.claim(row)
                    self._check(spec, row)
            except RowRefused as why:
                self._tally.refuse(row, why)

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
        own = self.clients.claim(row)
        self.clients.rows[own] = self._read.client(row)

    def _enrollment(self, row: Row) -> None:
        own = self.stays.claim(row)
        self.projects.find(row)
        self.clients.find(row)
        self.stays.rows[own] = Stay(own, self._read.enrollment(row))

    def _drop_enrollment(self, row: Row, why: RowRefused) -> None:
        earlier = self.stays.refuse(row, why)
        self._lose(row.text("PersonalID"), why.reason)
        self._spoil(household_of(row), row, why)
        if earlier is not None:
            self._lose(earlier.row.person_id, why.reason)
            self._spoil(earlier.row.household, row, why)

    def _hang(self, row: Row) -> None:
        """An exit, a health or a living-situation row: it must be of the person whose enrolment it names."""
        register = self._hanging[row.file]
        own, stay = register.claim(row), self.stays.find(row)
        _same_person(row, stay)
        if row.file == files.EXIT.name:
            if stay.exit is not None:
                raise RowRefused("second-exit", f"line {stay.exit.line} already ends its enrolment")
            stay.exit = self._read.exit(row, stay.row.entered)
        elif row.file == files.HEALTH_AND_DV.name:
            stay.health.append(self._read.health(row))
        else:
            stay.living.append(self._read.current_living(row))
        register.rows[own] = stay

    def _drop_hanging(self, row: Row, why: RowRefused) -> None:
        for stay in (self._hanging[row.file].refuse(row, why), self.stays.rows.get(row.text("EnrollmentID"))):
            if stay is not None:
                self._spoil(stay.row.household, row, why)

    def _check(self, spec: FileSpec, row: Row) -> None:
        if "EnrollmentID" in spec.needed:
            _same_person(row, self.stays.find(row))
        else:
            self.projects.find(row)
        for column in spec.dates:
            row.maybe_day(column)
        for column, known in spec.coded.items():
            row.code(column, known)

    def _spoil(self, household: str, row: Row, why: RowRefused) -> None:
        self.spoilt.setdefault(household, Cause(row.file, row.line, why.reason))

    def _lose(self, person_id: str, reason: str) -> None:
        if reason == VICTIM_SERVICE_PROVIDER:
            self.lost[person_id] = reason
        else:
            self.lost.setdefault(person_id, "household-refused")


def _same_person(row: Row, stay: Stay) -> None:
    if row.text("PersonalID") != stay.row.person_id:
        raise RowRefused("other-person", "its PersonalID is not that of its enrolment")
