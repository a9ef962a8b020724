"""Makes small HMIS CSV exports: whole and right unless a test says otherwise."""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from services.intake.adapters.hmis.files import CHECKED, TAKEN
from services.intake.adapters.hmis.headers import COLUMNS

HEADERS: dict[str, tuple[str, ...]] = {
    **COLUMNS,
    **{spec.name: (*spec.needed, *spec.dates, *spec.coded) for spec in CHECKED},
}
KEYS = {spec.name: spec.key for spec in (*TAKEN, *CHECKED)}


class ExportBuilder:
    """A shelter with ten beds for adults and ten for families, as of 30 September 2026; no households yet."""

    def __init__(self) -> None:
        self.headers: dict[str, tuple[str, ...]] = {name: HEADERS[name] for name in COLUMNS}
        self.rows: dict[str, list[list[str]]] = {name: [] for name in COLUMNS}
        self.add(
            "Export.csv", ExportID="X1", SourceID="XX-500", ExportEndDate="2026-09-30", CSVVersion="2026 v1.0"
        )
        self.add(
            "Organization.csv", OrganizationID="O1", OrganizationName="Lighthouse", VictimServiceProvider="0"
        )
        self.project("P1", "0")
        self.inventory("I1", "P1", household_type="1", beds="10")
        self.inventory("I2", "P1", household_type="3", beds="10")

    def add(self, file: str, **fields: str) -> int:
        """Add a row; returns the line it stands on."""
        if file not in self.rows:
            self.headers[file], self.rows[file] = HEADERS[file], []
        unknown = set(fields) - set(self.headers[file])
        assert not unknown, f"{file} has no column {unknown}"
        self.rows[file].append([fields.get(column, "") for column in self.headers[file]])
        return len(self.rows[file]) + 1

    def project(self, project_id: str, project_type: str, organization_id: str = "O1", **fields: str) -> int:
        return self.add(
            "Project.csv",
            **{
                "ProjectID": project_id,
                "OrganizationID": organization_id,
                "ProjectName": f"Project {project_id}",
                "OperatingStartDate": "2020-01-01",
                "ProjectType": project_type,
                "TargetPopulation": "4",
                **fields,
            },
        )

    def inventory(
        self, inventory_id: str, project_id: str, household_type: str, beds: str, **fields: str
    ) -> int:
        return self.add(
            "Inventory.csv",
            **{
                "InventoryID": inventory_id,
                "ProjectID": project_id,
                "HouseholdType": household_type,
                "Availability": "1",
                "BedInventory": beds,
                "UnitInventory": "0",
                "InventoryStartDate": "2022-01-01",
                **fields,
            },
        )

    def client(self, person_id: str, born: str = "1990-01-01", **fields: str) -> int:
        return self.add("Client.csv", **{"PersonalID": person_id, "FirstName": "Ann", "DOB": born, **fields})

    def enrolment(self, enrolment_id: str, person_id: str, household: str, **fields: str) -> int:
        return self.add(
            "Enrollment.csv",
            **{
                "EnrollmentID": enrolment_id,
                "PersonalID": person_id,
                "ProjectID": "P1",
                "EntryDate": "2026-09-01",
                "HouseholdID": household,
                "RelationshipToHoH": "1",
                **fields,
            },
        )

    def person(self, number: int, household: str, **enrolment: str) -> None:
        """A client C<number> with an enrolment E<number>."""
        self.client(f"C{number}")
        self.enrolment(f"E{number}", f"C{number}", household, **enrolment)

    def exit(self, enrolment_id: str, person_id: str, day: str, **fields: str) -> int:
        return self.add(
            "Exit.csv",
            **{
                "ExitID": f"X{enrolment_id}",
                "EnrollmentID": enrolment_id,
                "PersonalID": person_id,
                "ExitDate": day,
                **fields,
            },
        )

    def health(self, enrolment_id: str, person_id: str, **fields: str) -> int:
        number = len(self.rows["HealthAndDV.csv"]) + 1
        return self.add(
            "HealthAndDV.csv",
            **{
                "HealthAndDVID": f"D{number}",
                "EnrollmentID": enrolment_id,
                "PersonalID": person_id,
                "InformationDate": "2026-09-01",
                **fields,
            },
        )

    def set(self, file: str, line: int, column: str, value: str) -> None:
        self.rows[file][line - 2][self.headers[file].index(column)] = value

    def text(self, file: str) -> str:
        stream = io.StringIO(newline="")
        csv.writer(stream).writerows([self.headers[file], *self.rows[file]])
        return stream.getvalue()

    def folder(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        for file in self.rows:
            (path / file).write_text(self.text(file), encoding="utf-8", newline="")
        return path

    def zip(self, path: Path, inside: str = "", extra: Iterable[tuple[str, bytes]] = ()) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in self.rows:
                archive.writestr(inside + file, self.text(file))
            for name, content in extra:
                archive.writestr(name, content)
        return path
