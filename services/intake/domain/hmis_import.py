"""What a HMIS CSV export says, in the network's own words: offers, households, and every row that was refused
and why.

Nothing here reads a file. An adapter produces these values, use cases consume them. Personal fields and the
source's identifiers never appear in a `repr`, so that a stray log line or traceback cannot carry them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum
from typing import NewType

SourceKey = NewType("SourceKey", str)
"""Names one record of one source across its exports: importing it again finds what is there."""

LivingSituation = NewType("LivingSituation", int)
"""HUD lists 3.917, 4.12 and 3.12: 100s homeless, 200s institutional, 300s temporary, 400s permanent."""

Progress = Callable[[str, int, int], None]
"""Told `(file, bytes done, bytes in all)` while a file is read, and once with both equal at its end."""


class StructuralFault(Exception):  # noqa: N818 - it says what happened
    """The export as a whole cannot be trusted, so nothing of it may be written. `reason` is a stable slug."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ProjectType(IntEnum):
    """HUD list 2.02.6."""

    EMERGENCY_SHELTER_ENTRY_EXIT = 0
    EMERGENCY_SHELTER_NIGHT_BY_NIGHT = 1
    TRANSITIONAL_HOUSING = 2
    PERMANENT_SUPPORTIVE_HOUSING = 3
    STREET_OUTREACH = 4
    SERVICES_ONLY = 6
    OTHER = 7
    SAFE_HAVEN = 8
    HOUSING_ONLY = 9
    HOUSING_WITH_SERVICES = 10
    DAY_SHELTER = 11
    HOMELESSNESS_PREVENTION = 12
    RAPID_REHOUSING = 13
    COORDINATED_ENTRY = 14

    @property
    def permanent(self) -> bool:
        """True where households enrol before they get a key: only a move-in date says they sleep there."""
        return self in _PERMANENT

    @property
    def residential(self) -> bool:
        """True where an open enrolment means that a place is taken."""
        return self.permanent or self in _TEMPORARY


_PERMANENT = frozenset({
    ProjectType.PERMANENT_SUPPORTIVE_HOUSING, ProjectType.HOUSING_ONLY,
    ProjectType.HOUSING_WITH_SERVICES, ProjectType.RAPID_REHOUSING,
})  # fmt: skip
_TEMPORARY = frozenset({
    ProjectType.EMERGENCY_SHELTER_ENTRY_EXIT, ProjectType.EMERGENCY_SHELTER_NIGHT_BY_NIGHT,
    ProjectType.TRANSITIONAL_HOUSING, ProjectType.SAFE_HAVEN,
})  # fmt: skip


class HouseholdType(IntEnum):
    """HUD list 2.07.4: whom an inventory row is for, and what a household is."""

    WITHOUT_CHILDREN = 1
    ADULTS_AND_CHILDREN = 3
    ONLY_CHILDREN = 4


class BedType(IntEnum):
    """HUD list 2.07.5; only emergency shelters record it."""

    FACILITY = 1
    VOUCHER = 2
    OTHER = 3


class Availability(IntEnum):
    """HUD list 2.07.6; only emergency shelters record it."""

    YEAR_ROUND = 1
    SEASONAL = 2
    OVERFLOW = 3


class Relationship(IntEnum):
    """HUD list 3.15.1: to the head of the household."""

    SELF = 1
    CHILD = 2
    PARTNER = 3
    OTHER_RELATIVE = 4
    UNRELATED = 5
    NOT_COLLECTED = 99


class Sex(IntEnum):
    """HUD list 4.21."""

    FEMALE = 0
    MALE = 1
    UNKNOWN = 8
    NOT_ANSWERED = 9
    NOT_COLLECTED = 99


class Confidentiality(Enum):
    """Why a household is treated as hiding from somebody. Only an advocate lifts it."""

    FLEEING = "fleeing"
    SURVIVOR = "survivor"
    RECORDED_ELSEWHERE = "recorded-elsewhere"
    """A member is a survivor or fleeing in another household of the same export."""
    NOT_RECORDED = "not-recorded"
    """The export has no HealthAndDV.csv: nobody's safety is known, so everybody's is protected."""


@dataclass(frozen=True, slots=True)
class Export:
    """One export: who made it, and the day whose evening it describes."""

    source_id: str
    export_id: str
    as_of: date
    csv_version: str
    digest: str
    """SHA-256 over the files read: the same digest is the same export, whose numbers may be resumed at."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the export that is not a victim service provider's."""

    source_key: SourceKey
    source_id: str
    name: str
    organisation_key: SourceKey
    """Two organisations may have one name."""
    organisation_name: str
    project_type: ProjectType
    residential: bool
    """By its type, except rapid re-housing of the subtype that gives services only."""
    for_survivors: bool
    """Its target population are survivors of violence: the place itself is confidential."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One inventory row. `valid` means that its beds can be slept in on the evening of `Export.as_of`."""

    source_key: SourceKey
    project_key: SourceKey
    project_source_id: str
    project_name: str
    organisation_name: str
    project_type: ProjectType
    household_type: HouseholdType
    beds: int
    units: int
    bed_type: BedType | None
    availability: Availability | None
    for_survivors: bool
    starts: date
    ends: date | None
    valid: bool
    why_not: str | None
    """A slug: not-started, ended, project-not-open-yet, project-closed, not-residential or no-beds."""


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """As last recorded. A due date may lie in the past; what follows from it is decided by its reader."""

    recorded_on: date
    due: date | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """A member of a household. Names, number and birth date are as the source gave them, hashed or not."""

    source_key: SourceKey = field(repr=False)
    first_name: str = field(repr=False)
    middle_name: str = field(repr=False)
    last_name: str = field(repr=False)
    name_suffix: str = field(repr=False)
    ssn: str = field(repr=False)
    birth_date: date | None = field(repr=False)
    birth_date_approximate: bool
    sex: Sex | None
    relationship: Relationship
    veteran: bool | None
    survivor: bool
    fleeing: bool
    pregnancy: Pregnancy | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One person's time in one project, kept as history whether it is over or not."""

    source_key: SourceKey = field(repr=False)
    person_key: SourceKey = field(repr=False)
    project_key: SourceKey
    entered: date
    exited: date | None
    moved_in: date | None
    came_from: LivingSituation | None
    destination: LivingSituation | None


@dataclass(frozen=True, slots=True)
class Placement:
    """The household has a place already: occupancy to be recorded, also where it is more than there is room
    for.

    `offer_key` is None when the project has no valid inventory at all. `over_by` is how many of its `beds`
    lie beyond the offer's capacity, given the households placed before it (by entry date, then key).
    """

    project_key: SourceKey
    offer_key: SourceKey | None
    person_keys: tuple[SourceKey, ...] = field(repr=False)
    beds: int
    over_by: int
    entered: date
    moved_in: date | None
    awaiting_move_in: bool
    """In permanent housing without a move-in date by `Export.as_of`: promised, not yet slept in."""


@dataclass(frozen=True, slots=True)
class LodgingNeed:
    """The household is with a project that gives no bed: it needs somewhere to sleep."""

    project_key: SourceKey
    person_keys: tuple[SourceKey, ...] = field(repr=False)
    since: date
    sleeping: LivingSituation | None
    """Where it was last known to sleep: the newest current living situation, else the one before entry."""


@dataclass(frozen=True, slots=True)
class ReferralMade:
    """An event of coordinated entry (HUD list 4.20.2), and its result (4.20.D) where one is known."""

    on: date
    event: int
    result: int | None
    result_on: date | None


@dataclass(frozen=True, slots=True)
class Household:
    """The unit of import: taken whole or refused whole. It becomes one case."""

    number: int
    """Its place in the export, from 1. An import that stopped after number n goes on with n + 1."""
    source_key: SourceKey = field(repr=False)
    household_type: HouseholdType
    persons: tuple[Person, ...]
    enrolments: tuple[Enrolment, ...]
    confidentiality: Confidentiality | None
    lodging: Placement | LodgingNeed | None
    """None when every enrolment is over by `Export.as_of` (or has not begun)."""
    referrals: tuple[ReferralMade, ...] = ()
    found: tuple[date, LivingSituation] | None = None
    """When and where a worker last found that it sleeps (HUD 4.12)."""

    @property
    def confidential(self) -> bool:
        return self.confidentiality is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line that was not taken. `reason` is a stable slug; `message` shows no personal field."""

    file: str
    line: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FileCount:
    """`read == accepted + refused + deleted`. Nothing of a file that is not `taken` is imported yet."""

    file: str
    taken: bool
    read: int
    accepted: int
    refused: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """An older code that was read as its present one, and how often."""

    file: str
    column: str
    old: str
    new: str
    count: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the report should know although nothing was refused for it."""

    slug: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """What became of every row."""

    files: tuple[FileCount, ...]
    households_accepted: int
    households_refused: int
    persons_accepted: int
    refusals: Sequence[Refusal]
    """By file and line; may be read from disk as it is gone through."""
    mapped: tuple[Mapped, ...]
    notes: tuple[Note, ...]
