"""What each kind of row says: one small value per row, holding only what the import uses."""

from dataclasses import dataclass
from datetime import date

from services.intake.domain.hmis_import import (
    Availability,
    BedType,
    HouseholdType,
    LivingSituation,
    ProjectType,
    Relationship,
    Sex,
)

from . import codes
from .report import Tally
from .rows import Row, RowRefused
from .versions import Version


@dataclass(frozen=True, slots=True)
class OrganizationRecord:
    id: str
    name: str
    victim_service_provider: bool


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    id: str
    name: str
    organisation_id: str
    organisation_name: str
    project_type: ProjectType
    residential: bool
    for_survivors: bool
    opens: date | None
    closes: date | None
    """Its last day."""


@dataclass(frozen=True, slots=True)
class InventoryRecord:
    id: str
    project_id: str
    household_type: HouseholdType
    beds: int
    units: int
    bed_type: BedType | None
    availability: Availability | None
    starts: date
    ends: date | None
    """Its last day."""


@dataclass(frozen=True, slots=True)
class ClientRecord:
    line: int
    names: tuple[str, str, str, str]
    """First, middle, last, suffix."""
    ssn: str
    birth_date: date | None
    birth_date_approximate: bool
    sex: Sex | None
    veteran: bool | None

    def __repr__(self) -> str:
        return f"ClientRecord(line {self.line})"


@dataclass(frozen=True, slots=True)
class EnrollmentRecord:
    line: int
    id: str
    person_id: str
    project_id: str
    household: str
    """The HouseholdID, or one made of the enrolment's own id where that is blank."""
    entered: date
    moved_in: date | None
    relationship: Relationship
    came_from: LivingSituation | None

    def __repr__(self) -> str:
        return f"EnrollmentRecord(line {self.line})"


@dataclass(frozen=True, slots=True)
class ExitRecord:
    line: int
    exited: date
    destination: LivingSituation | None


@dataclass(frozen=True, slots=True)
class HealthRecord:
    line: int
    recorded_on: date
    survivor: bool
    fleeing: bool
    pregnant: bool | None
    due: date | None


@dataclass(frozen=True, slots=True)
class LivingRecord:
    line: int
    recorded_on: date
    situation: LivingSituation


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What coordinated entry did for a household: a referral by its kind, and what became of it."""

    line: int
    on: date
    event: int
    result: int | None
    result_on: date | None


def household_of(row: Row) -> str:
    """The household an enrolment's row belongs to, also of a row that is refused. Blank: a household of its
    own.

    The two kinds of key differ in their first letter, so that no HouseholdID can meet an EnrollmentID.
    """
    shared = row.text("HouseholdID")
    return f"household:{shared}" if shared else f"single:{row.text('EnrollmentID')}"


class Reader:
    """Reads rows of one version of the standard, and counts each older code that it translates."""

    def __init__(self, version: Version, tally: Tally) -> None:
        self._version, self._tally = version, tally

    def organization(self, row: Row) -> OrganizationRecord:
        marked = row.code("VictimServiceProvider", codes.YES_NO)
        if marked is None:
            self._tally.note("victim-service-provider-blank")
        return OrganizationRecord(row.id("OrganizationID"), row.text("OrganizationName"), marked == 1)

    def project(self, row: Row, organisation: OrganizationRecord) -> ProjectRecord:
        project_type = self._project_type(row)
        services_only = row.code("RRHSubType", codes.RRH_SUBTYPE) == codes.RRH_SERVICES_ONLY
        population = row.code("TargetPopulation", codes.TARGET_POPULATION)
        return ProjectRecord(
            id=row.id("ProjectID"),
            name=row.text("ProjectName"),
            organisation_id=organisation.id,
            organisation_name=organisation.name,
            project_type=project_type,
            residential=project_type.residential
            and not (project_type is ProjectType.RAPID_REHOUSING and services_only),
            for_survivors=population == codes.SURVIVORS,
            opens=row.maybe_day("OperatingStartDate"),
            closes=row.maybe_day("OperatingEndDate"),
        )

    def inventory(self, row: Row) -> InventoryRecord:
        household_type = row.member("HouseholdType", HouseholdType)
        if household_type is None:
            raise RowRefused("blank", "HouseholdType is blank")
        return InventoryRecord(
            id=row.id("InventoryID"),
            project_id=row.id("ProjectID"),
            household_type=household_type,
            beds=row.number("BedInventory"),
            units=row.number("UnitInventory", blank=0),
            bed_type=row.member("ESBedType", BedType),
            availability=row.member("Availability", Availability),
            starts=row.day("InventoryStartDate"),
            ends=row.maybe_day("InventoryEndDate"),
        )

    def client(self, row: Row) -> ClientRecord:
        quality = row.code("DOBDataQuality", codes.DATE_QUALITY)
        veteran = row.code("VeteranStatus", codes.YES_NO_REASON)
        return ClientRecord(
            line=row.line,
            names=(row.raw("FirstName"), row.raw("MiddleName"), row.raw("LastName"), row.raw("NameSuffix")),
            ssn=row.raw("SSN"),
            birth_date=row.maybe_day("DOB"),
            birth_date_approximate=quality == codes.APPROXIMATE,
            sex=self._sex(row),
            veteran=_yes_no(veteran),
        )

    def known(self, column: str, codes_today: frozenset[int]) -> frozenset[int]:
        """The codes of a column in this version of the standard, for one that is only checked."""
        if self._version is Version.FY2022:
            return codes_today | codes.RETIRED_BEFORE_2024.get(column, frozenset())
        return codes_today

    def _sex(self, row: Row) -> Sex | None:
        """Until FY2024 exports asked for gender, in columns of which several may be marked. One mark, for woman
        or for man, is read as that sex and counted as translated; whatever else was said is "not collected"."""
        marks = codes.GENDERS.get(self._version)
        if marks is None:
            return row.member("Sex", Sex)
        marked = [column for column in marks if row.code(column, codes.YES_NO_REASON) == 1]
        unknown = row.member("GenderNone", Sex)
        if not marked:
            return unknown
        sex = marks[marked[0]] if len(marked) == 1 else Sex.NOT_COLLECTED
        # Which ones of several is nobody's business in a report.
        said = marked[0] if len(marked) == 1 else "more than one gender"
        self._tally.mapped(row.file, "Sex", said, str(sex.value))
        return sex

    def enrollment(self, row: Row) -> EnrollmentRecord:
        return EnrollmentRecord(
            line=row.line,
            id=row.id("EnrollmentID"),
            person_id=row.id("PersonalID"),
            project_id=row.id("ProjectID"),
            household=household_of(row),
            entered=row.day("EntryDate"),
            moved_in=row.maybe_day("MoveInDate"),
            relationship=row.member("RelationshipToHoH", Relationship) or Relationship.NOT_COLLECTED,
            came_from=self._living(row, "LivingSituation", codes.PRIOR_LIVING_SITUATION),
        )

    def exit(self, row: Row, entered: int) -> ExitRecord:
        """An exit before the entry is a slip of the source: that the stay is over is still beyond doubt.

        `entered` is the ordinal of the day of entry.
        """
        exited = row.day("ExitDate")
        self._tally.note("exit-before-entry", exited.toordinal() < entered)
        return ExitRecord(row.line, exited, self._living(row, "Destination", codes.DESTINATION))

    def health(self, row: Row) -> HealthRecord:
        row.code("WhenOccurred", codes.WHEN_OCCURRED)
        return HealthRecord(
            line=row.line,
            recorded_on=row.day("InformationDate"),
            survivor=row.code("DomesticViolenceSurvivor", codes.YES_NO_REASON) == 1,
            fleeing=row.code("CurrentlyFleeing", codes.YES_NO_REASON) == 1,
            pregnant=_yes_no(row.code("PregnancyStatus", codes.YES_NO_REASON)),
            due=row.maybe_day("DueDate"),
        )

    def current_living(self, row: Row) -> LivingRecord:
        situation = self._living(row, "CurrentLivingSituation", codes.CURRENT_LIVING_SITUATION)
        if situation is None:
            raise RowRefused("blank", "CurrentLivingSituation is blank")
        return LivingRecord(row.line, row.day("InformationDate"), situation)

    def event(self, row: Row) -> EventRecord:
        event = row.code("Event", codes.EVENT)
        if event is None:
            raise RowRefused("blank", "Event is blank")
        result = row.code("ReferralResult", codes.REFERRAL_RESULT)
        return EventRecord(row.line, row.day("EventDate"), event, result, row.maybe_day("ResultDate"))

    def _project_type(self, row: Row) -> ProjectType:
        """Before FY2024 one type was for all emergency shelters, and a second column said how they count."""
        found = row.member("ProjectType", ProjectType)
        if found is None:
            raise RowRefused("blank", "ProjectType is blank")
        if self._version is not Version.FY2022 or found != codes.EMERGENCY_SHELTER_BEFORE_2024:
            return found
        counts_nights = row.code("TrackingMethod", codes.TRACKING_METHOD) == codes.NIGHT_BY_NIGHT_BEFORE_2024
        new = (
            ProjectType.EMERGENCY_SHELTER_NIGHT_BY_NIGHT if counts_nights
            else ProjectType.EMERGENCY_SHELTER_ENTRY_EXIT
        )  # fmt: skip
        old = "1, TrackingMethod 3" if counts_nights else "1, TrackingMethod 0"
        self._tally.mapped(row.file, "ProjectType", old, str(new.value))
        return new

    def _living(self, row: Row, column: str, known: frozenset[int]) -> LivingSituation | None:
        if self._version is not Version.FY2022:
            found = row.code(column, known)
            return None if found is None else LivingSituation(found)
        # What was not renumbered (doesn't know, other, deceased, ...) is below 100 in both.
        old = row.code(column, _BELOW_100)
        if old is None:
            return None
        new = codes.LIVING_SITUATION_BEFORE_2024.get(old, old)
        if new != old:
            self._tally.mapped(row.file, column, str(old), str(new))
        if new not in known:
            raise RowRefused("unknown-code", f"{column} has no code {old}")
        return LivingSituation(new)


_BELOW_100 = frozenset(range(1, 100))


def _yes_no(code: int | None) -> bool | None:
    """Codes 8, 9 and 99 know as little as a blank."""
    return {0: False, 1: True}.get(code) if code is not None else None
