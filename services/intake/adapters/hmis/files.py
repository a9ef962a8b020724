"""Which files an export has, which of them are needed, and what a right header is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from services.intake.domain.hmis_import import StructuralFault

from . import codes
from .headers import COLUMNS
from .versions import Version


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of the standard. `needed` are the columns this reader uses, in any version of the standard."""

    name: str
    key: str
    needed: tuple[str, ...]
    required: bool = False
    taken: bool = True
    """False: its rows are checked (ids, links, dates, codes) and counted, and none is imported yet."""
    dates: tuple[str, ...] = ()
    """Of a file that is only checked: columns that must hold a date or nothing."""
    coded: Mapping[str, frozenset[int]] = field(default_factory=lambda: MappingProxyType({}))
    """Of a file that is only checked: columns that must hold one of these codes or nothing."""

    def positions(self, header: Sequence[str], version: Version) -> dict[str, int]:
        """Where each column stands, by its present name. Raises StructuralFault("wrong-header") unless it is
        right.

        The message names columns that the standard asks for, never what the file holds instead: a file
        without a header would show its first person there.
        """
        if len(set(header)) != len(header):
            raise StructuralFault("wrong-header", f"{self.name}, line 1: a column is named twice")
        aliases = version.aliases(self.name)
        asked = self.needed
        if version is Version.FY2026:
            asked = tuple(COLUMNS.get(self.name, self.needed))
        missing = [name for name in asked if aliases.get(name, name) not in header]
        if missing:
            raise StructuralFault(
                "wrong-header",
                f"{self.name}, line 1: the header lacks {', '.join(missing)}; nothing was written",
            )
        present = {old: new for new, old in aliases.items()}
        return {present.get(name, name): position for position, name in enumerate(header)}

    def has_extras(self, header: Sequence[str], version: Version) -> bool:
        """True where a file that is taken has columns beyond the published ones."""
        return version is Version.FY2026 and self.taken and not set(header) <= set(COLUMNS[self.name])


EXPORT = FileSpec(
    "Export.csv", "ExportID", ("ExportID", "SourceID", "SourceName", "ExportEndDate", "CSVVersion"), True
)
ORGANIZATION = FileSpec(
    "Organization.csv", "OrganizationID",
    ("OrganizationID", "OrganizationName", "VictimServiceProvider", "DateDeleted"), True,
)  # fmt: skip
PROJECT = FileSpec(
    "Project.csv", "ProjectID",
    ("ProjectID", "OrganizationID", "ProjectName", "OperatingStartDate", "OperatingEndDate", "ProjectType",
     "TargetPopulation", "DateDeleted"), True,
)  # fmt: skip
INVENTORY = FileSpec(
    "Inventory.csv", "InventoryID",
    ("InventoryID", "ProjectID", "HouseholdType", "Availability", "UnitInventory", "BedInventory",
     "ESBedType", "InventoryStartDate", "InventoryEndDate", "DateDeleted"), True,
)  # fmt: skip
CLIENT = FileSpec(
    "Client.csv", "PersonalID",
    ("PersonalID", "FirstName", "MiddleName", "LastName", "NameSuffix", "SSN", "DOB", "DOBDataQuality",
     "VeteranStatus", "DateDeleted"), True,
)  # fmt: skip
ENROLLMENT = FileSpec(
    "Enrollment.csv", "EnrollmentID",
    ("EnrollmentID", "PersonalID", "ProjectID", "EntryDate", "HouseholdID", "RelationshipToHoH",
     "LivingSituation", "MoveInDate", "DateDeleted"), True,
)  # fmt: skip
EXIT = FileSpec(
    "Exit.csv",
    "ExitID",
    ("ExitID", "EnrollmentID", "PersonalID", "ExitDate", "Destination", "DateDeleted"),
    True,
)
HEALTH_AND_DV = FileSpec(
    "HealthAndDV.csv", "HealthAndDVID",
    ("HealthAndDVID", "EnrollmentID", "PersonalID", "InformationDate", "DomesticViolenceSurvivor",
     "WhenOccurred", "CurrentlyFleeing", "PregnancyStatus", "DueDate", "DateDeleted"),
)  # fmt: skip
CURRENT_LIVING_SITUATION = FileSpec(
    "CurrentLivingSituation.csv", "CurrentLivingSitID",
    ("CurrentLivingSitID", "EnrollmentID", "PersonalID", "InformationDate",
     "CurrentLivingSituation", "DateDeleted"),
)  # fmt: skip

TAKEN = (
    EXPORT, ORGANIZATION, PROJECT, INVENTORY, CLIENT, ENROLLMENT, EXIT, HEALTH_AND_DV,
    CURRENT_LIVING_SITUATION,
)  # fmt: skip
"""In the order in which they are read: what a row points at has been read before it."""


def _of_project(name: str, key: str, *dates: str) -> FileSpec:
    return FileSpec(name, key, (key, "ProjectID", "DateDeleted"), taken=False, dates=dates)


def _of_enrolment(
    name: str, key: str, *dates: str, coded: Mapping[str, frozenset[int]] = MappingProxyType({})
) -> FileSpec:
    return FileSpec(
        name, key, (key, "EnrollmentID", "PersonalID", "DateDeleted"), taken=False, dates=dates, coded=coded
    )


EVENT = _of_enrolment(
    "Event.csv",
    "EventID",
    "EventDate",
    "ResultDate",
    coded=MappingProxyType({"Event": codes.EVENT, "ReferralResult": codes.REFERRAL_RESULT}),
)

CHECKED = (
    _of_project("Funder.csv", "FunderID", "StartDate", "EndDate"),
    _of_project("ProjectCoC.csv", "ProjectCoCID"),
    _of_project("Affiliation.csv", "AffiliationID"),
    _of_project("HMISParticipation.csv", "HMISParticipationID", "HMISParticipationStatusStartDate"),
    _of_project("CEParticipation.csv", "CEParticipationID", "CEParticipationStatusStartDate"),
    _of_enrolment("EnrollmentCoC.csv", "EnrollmentCoCID", "InformationDate"),
    _of_enrolment("Disabilities.csv", "DisabilitiesID", "InformationDate"),
    _of_enrolment("IncomeBenefits.csv", "IncomeBenefitsID", "InformationDate"),
    _of_enrolment("EmploymentEducation.csv", "EmploymentEducationID", "InformationDate"),
    _of_enrolment("YouthEducationStatus.csv", "YouthEducationStatusID", "InformationDate"),
    _of_enrolment(
        "Services.csv",
        "ServicesID",
        "DateProvided",
        coded=MappingProxyType({"RecordType": codes.RECORD_TYPE}),
    ),
    EVENT,
    _of_enrolment("Assessment.csv", "AssessmentID", "AssessmentDate"),
    _of_enrolment("AssessmentQuestions.csv", "AssessmentQuestionID"),
    _of_enrolment("AssessmentResults.csv", "AssessmentResultID"),
)
"""Known files whose rows must fit the rest. User.csv (staff) and vendors' own files are not opened."""
