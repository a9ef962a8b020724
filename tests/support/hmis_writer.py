"""Writes HMIS CSV exports as the systems of FY2022, FY2024 and FY2026 write them: the same facts, in each year's
columns and codes.

    with ExportWriter(folder, Version.FY2022, as_of) as export:
        export.add("Client.csv", PersonalID="C1", Sex="0")  # present names and codes; written in that year's

What a year has no column for is left out. Columns that nobody fills are there and blank.
"""

import csv
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.intake.adapters.hmis.codes import LIVING_SITUATION_BEFORE_2024
from services.intake.adapters.hmis.files import CHECKED
from services.intake.adapters.hmis.headers import COLUMNS
from services.intake.adapters.hmis.versions import Version

NAMES = {Version.FY2022: "2022", Version.FY2024: "2024 v1.3", Version.FY2026: "2026 v1.0"}
_STAMPS = "DateCreated DateUpdated UserID DateDeleted ExportID"
_OLD_LIVING = {new: old for old, new in LIVING_SITUATION_BEFORE_2024.items()}
_LIVING = frozenset({"LivingSituation", "Destination", "CurrentLivingSituation"})
# Columns that only later years have, by file; and what earlier years had in their place.
_LATER = {
    Version.FY2022: {
        "Export.csv": ["ImplementationID"],
        "Project.csv": ["RRHSubType"],
        "Client.csv": ["Sex", "HispanicLatinao", "MidEastNAfrican", "AdditionalRaceEthnicity"],
        "Enrollment.csv": ["EnrollmentCoC", "RentalSubsidyType", "MentalHealthConsultation"],
        "Exit.csv": ["DestinationSubsidyType"],
        "CurrentLivingSituation.csv": ["CLSSubsidyType"],
    },
    Version.FY2024: {
        "Client.csv": ["Sex", "HispanicLatinao"],
        "Enrollment.csv": ["MentalHealthConsultation"],
    },
}
_EARLIER = {
    Version.FY2022: {
        "Project.csv": ["TrackingMethod", "HMISParticipatingProject"],
        "Client.csv": ["Ethnicity", "Female", "Male", "NoSingleGender", "Transgender", "Questioning", "GenderNone"],
        "Enrollment.csv": ["LastPermanentStreet", "LastPermanentCity", "LastPermanentState", "LastPermanentZIP"],
    },
    Version.FY2024: {
        "Client.csv": [
            "HispanicLatinaeo", "Woman", "Man", "NonBinary", "CulturallySpecific", "Transgender", "Questioning",
            "DifferentIdentity", "GenderNone", "DifferentIdentityText",
        ],
        "Enrollment.csv": ["SexualOrientation", "TranslationNeeded", "PreferredLanguage"],
    },
}  # fmt: skip
_GENDERS = {
    Version.FY2022: ("Female", "Male", "NoSingleGender", "Transgender", "Questioning"),
    Version.FY2024: (
        "Woman", "Man", "NonBinary", "CulturallySpecific", "Transgender", "Questioning", "DifferentIdentity",
    ),
}  # fmt: skip


def columns(file: str, version: Version) -> list[str]:
    """The header of that file in that year."""
    known = COLUMNS.get(file)
    if known is None:
        [spec] = [each for each in CHECKED if each.name == file]
        return [*dict.fromkeys((*spec.needed, *spec.dates, *spec.coded, *_STAMPS.split()))]
    later = _LATER.get(version, {}).get(file, [])
    kept = [version.aliases(file).get(name, name) for name in known if name not in later]
    stamps = kept.index("DateCreated") if "DateCreated" in kept else len(kept)
    return kept[:stamps] + _EARLIER.get(version, {}).get(file, []) + kept[stamps:]


class ExportWriter:
    """One export. Every file of `files` is there, if only with its header."""

    def __init__(
        self,
        folder: Path,
        version: Version,
        as_of: date,
        source_id: str = "XX-500",
        files: Iterable[str] = COLUMNS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._version, self._files = folder, version, tuple(files)
        self._open = ExitStack()
        self._sheets: dict[str, tuple[Any, dict[str, int]]] = {}
        self.rows: dict[str, int] = {}
        for file in self._files:
            self._sheet(file)
        self.add(
            "Export.csv",
            ExportID=f"{source_id}-{as_of}",
            SourceID=source_id,
            SourceName="Made up",
            ExportStartDate=f"{as_of.year - 3}-10-01",
            ExportEndDate=as_of.isoformat(),
            CSVVersion=NAMES[version],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def add(self, file: str, **fields: str) -> None:
        """A row, given in the names and codes of FY2026."""
        writer, places = self._sheet(file)
        row = [""] * len(places)
        for name, value in self._in_its_year(file, fields).items():
            row[places[name]] = value
        writer.writerow(row)
        self.rows[file] += 1

    def _sheet(self, file: str) -> tuple[Any, dict[str, int]]:
        if file not in self._sheets:
            stream = (self._folder / file).open("w", encoding="utf-8", newline="")
            self._open.enter_context(stream)
            header = columns(file, self._version)
            writer = csv.writer(stream)
            writer.writerow(header)
            self._sheets[file] = (writer, {name: place for place, name in enumerate(header)})
            self.rows[file] = 0
        return self._sheets[file]

    def _in_its_year(self, file: str, fields: dict[str, str]) -> dict[str, str]:
        if self._version is Version.FY2026:
            return fields
        aliases = self._version.aliases(file)
        told = {aliases.get(name, name): value for name, value in fields.items()}
        if file == "Client.csv":
            told |= _gender(told.pop("Sex", ""), self._version)
        if self._version is Version.FY2022:
            if file == "Project.csv" and told["ProjectType"] in {"0", "1"}:
                told["TrackingMethod"] = {"0": "0", "1": "3"}[told["ProjectType"]]
                told["ProjectType"] = "1"
            for name in _LIVING & told.keys():
                told[name] = str(_OLD_LIVING.get(int(told[name]), told[name])) if told[name] else ""
        return told


def _gender(sex: str, version: Version) -> dict[str, str]:
    """Before FY2026 gender was asked, in several columns, each 0 or 1; or why it is not known."""
    if sex in {"0", "1"}:
        women, men, *others = _GENDERS[version]
        return {women: str(int(sex == "0")), men: str(int(sex == "1")), **dict.fromkeys(others, "0")}
    return {"GenderNone": sex}
