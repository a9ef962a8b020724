"""What is refused is refused by line, takes its household with it, and is said without naming anybody."""

from pathlib import Path

import pytest

from services.intake.adapters.hmis import read_export, sentences
from services.intake.adapters.hmis.reading import Reading
from tests.contract.hmis.building import ExportBuilder


@pytest.fixture
def export() -> ExportBuilder:
    """A mother and child in H1, somebody else in H2: each test spoils H1."""
    builder = ExportBuilder()
    builder.client("C1", FirstName="Marisol", SSN="000120417")
    builder.client("C2", born="2024-05-05")
    builder.client("C3")
    builder.enrolment("E1", "C1", "H1")
    builder.enrolment("E2", "C2", "H1", RelationshipToHoH="2")
    builder.enrolment("E3", "C3", "H2")
    builder.health("E1", "C1", DomesticViolenceSurvivor="0")
    builder.exit("E3", "C3", "2026-09-15", Destination="410")
    return builder


def refused(reading: Reading) -> dict[tuple[str, int], str]:
    return {(refusal.file, refusal.line): refusal.reason for refusal in reading.report.refusals}


def only_h2_is_taken(reading: Reading) -> bool:
    [household] = reading.households()
    return household.source_key == "hmis:XX-500:household:H2" and reading.report.households_refused == 1


@pytest.mark.parametrize(
    ("file", "line", "column", "value", "expected"),
    [
        ("Enrollment.csv", 2, "EntryDate", "2026-13-01", "broken-date"),
        ("Enrollment.csv", 2, "EntryDate", "01/09/2026", "broken-date"),
        ("Enrollment.csv", 2, "EntryDate", "20260901", "broken-date"),
        ("Enrollment.csv", 2, "EntryDate", "", "blank"),
        ("Enrollment.csv", 2, "MoveInDate", "later", "broken-date"),
        ("Enrollment.csv", 2, "RelationshipToHoH", "6", "unknown-code"),
        ("Enrollment.csv", 2, "LivingSituation", "16", "unknown-code"),
        ("Enrollment.csv", 2, "DateDeleted", "yes", "broken-date"),
        ("Enrollment.csv", 2, "PersonalID", "C9", "orphan"),
        ("Enrollment.csv", 2, "ProjectID", "P9", "orphan"),
        ("Enrollment.csv", 3, "EnrollmentID", "E1", "duplicate-id"),
        ("Enrollment.csv", 3, "EnrollmentID", "", "blank"),
        ("Client.csv", 2, "DOB", "1990-02-30", "broken-date"),
        ("Client.csv", 2, "VeteranStatus", "2", "unknown-code"),
        ("Client.csv", 2, "Sex", "female", "unknown-code"),
        ("Client.csv", 2, "Sex", "²", "unknown-code"),
        ("Client.csv", 3, "PersonalID", "C1", "duplicate-id"),
        ("HealthAndDV.csv", 2, "InformationDate", "yesterday", "broken-date"),
        ("HealthAndDV.csv", 2, "DueDate", "2026-9-1", "broken-date"),
        ("HealthAndDV.csv", 2, "DomesticViolenceSurvivor", "7", "unknown-code"),
        ("HealthAndDV.csv", 2, "CurrentlyFleeing", "Y", "unknown-code"),
        ("HealthAndDV.csv", 2, "PersonalID", "C2", "other-person"),
    ],
)
def test_one_refused_row_refuses_its_household_whole_and_no_other(
    tmp_path: Path, export: ExportBuilder, file: str, line: int, column: str, value: str, expected: str
) -> None:
    export.set(file, line, column, value)
    reading = read_export(export.folder(tmp_path))
    assert only_h2_is_taken(reading)
    found = refused(reading)
    assert found[file, line] == expected
    assert {("Enrollment.csv", 2), ("Enrollment.csv", 3), ("Client.csv", 2), ("Client.csv", 3)} <= set(found)
    assert all(not name.startswith("Exit") and line != 4 for name, line in found)


def test_both_lines_that_claim_one_id_are_refused(tmp_path: Path, export: ExportBuilder) -> None:
    export.set("Client.csv", 3, "PersonalID", "C1")
    found = refused(read_export(export.folder(tmp_path)))
    assert found["Client.csv", 2] == found["Client.csv", 3] == "duplicate-id"


def test_an_enrolment_id_claimed_in_two_households_refuses_both(
    tmp_path: Path, export: ExportBuilder
) -> None:
    export.set("Enrollment.csv", 4, "EnrollmentID", "E1")
    reading = read_export(export.folder(tmp_path))
    assert list(reading.households()) == []
    assert refused(reading)["Exit.csv", 2] == "orphan"


@pytest.mark.parametrize("file", ["HealthAndDV.csv", "Exit.csv"])
def test_a_row_whose_enrolment_is_not_there_is_refused_alone(
    tmp_path: Path, export: ExportBuilder, file: str
) -> None:
    line = export.health("E9", "C1") if file == "HealthAndDV.csv" else export.exit("E9", "C1", "2026-09-20")
    reading = read_export(export.folder(tmp_path))
    assert refused(reading) == {(file, line): "orphan"}
    assert reading.report.households_accepted == 2


def test_an_enrolment_cannot_end_twice(tmp_path: Path, export: ExportBuilder) -> None:
    export.exit("E1", "C1", "2026-09-15")
    second = export.exit("E1", "C1", "2026-09-16", ExitID="again")
    reading = read_export(export.folder(tmp_path))
    assert refused(reading)["Exit.csv", second] == "second-exit"
    assert only_h2_is_taken(reading)


def test_a_shifted_row(tmp_path: Path, export: ExportBuilder) -> None:
    export.rows["Enrollment.csv"][0].append("")
    reading = read_export(export.folder(tmp_path))
    assert refused(reading)["Enrollment.csv", 2] == "wrong-field-count"
    assert only_h2_is_taken(reading)


def test_what_its_source_deleted_is_neither_taken_nor_refused(tmp_path: Path, export: ExportBuilder) -> None:
    export.set("Exit.csv", 2, "DateDeleted", "2026-09-20 10:00:00")
    export.set("HealthAndDV.csv", 2, "DateDeleted", "2026-09-20")
    export.set("HealthAndDV.csv", 2, "DomesticViolenceSurvivor", "nonsense")
    reading = read_export(export.folder(tmp_path))
    assert reading.report.refusals == ()
    second = list(reading.households())[1]
    assert second.lodging is not None
    counts = {count.file: count for count in reading.report.files}
    assert (counts["Exit.csv"].read, counts["Exit.csv"].accepted, counts["Exit.csv"].deleted) == (1, 0, 1)


def test_a_client_without_an_enrolment_does_not_enter(tmp_path: Path, export: ExportBuilder) -> None:
    line = export.client("C4")
    reading = read_export(export.folder(tmp_path))
    assert refused(reading) == {("Client.csv", line): "no-enrolment"}
    assert reading.report.persons_accepted == 3


def test_an_inventory_row_is_refused_alone(tmp_path: Path, export: ExportBuilder) -> None:
    bad = [
        export.inventory("I3", "P1", "2", "4"),
        export.inventory("I4", "P1", "1", "-4"),
        export.inventory("I5", "P1", "1", "many"),
        export.inventory("I6", "P1", "1", ""),
        export.inventory("I7", "P9", "1", "4"),
        export.inventory("I8", "P1", "1", "4", InventoryStartDate="spring"),
    ]
    reading = read_export(export.folder(tmp_path))
    assert refused(reading) == dict(
        zip(
            [("Inventory.csv", line) for line in bad],
            ["unknown-code", "broken-number", "broken-number", "blank", "orphan", "broken-date"],
            strict=True,
        )
    )
    assert len(reading.offers) == 2
    assert reading.report.households_accepted == 2


def test_what_hangs_on_a_refused_project_falls_with_it(tmp_path: Path, export: ExportBuilder) -> None:
    line = export.project("P2", "5")
    inventory = export.inventory("I3", "P2", "1", "4")
    export.person(4, "H3", ProjectID="P2")
    found = refused(read_export(export.folder(tmp_path)))
    assert found == {
        ("Project.csv", line): "unknown-code",
        ("Inventory.csv", inventory): "parent-refused",
        ("Enrollment.csv", 5): "parent-refused",
        ("Client.csv", 5): "household-refused",
    }


def test_a_victim_service_provider_is_refused_line_by_line(tmp_path: Path, export: ExportBuilder) -> None:
    """Its people may not enter a shared system: not they, nor their health, nor that a place is theirs."""
    export.add("Organization.csv", OrganizationID="O2", VictimServiceProvider="1")
    export.project("P2", "0", "O2")
    export.inventory("I3", "P2", "3", "4")
    export.client("C4")
    export.client("C5")
    export.enrolment("E4", "C4", "H4", ProjectID="P2")
    export.enrolment("E5", "C3", "H5", ProjectID="P2")  # C3 is in H2 as well
    export.health("E4", "C4", CurrentlyFleeing="1")
    export.exit("E5", "C3", "2026-09-20")
    export.add("Services.csv", ServicesID="S1", EnrollmentID="E4", PersonalID="C4")
    export.add("ProjectCoC.csv", ProjectCoCID="K1", ProjectID="P2")
    reading = read_export(export.folder(tmp_path))
    found = refused(reading)
    assert found.pop(("Client.csv", 6)) == "no-enrolment"
    assert found == dict.fromkeys(
        [
            ("Organization.csv", 3),
            ("Project.csv", 3),
            ("Inventory.csv", 4),
            ("Client.csv", 5),
            ("Enrollment.csv", 5),
            ("Enrollment.csv", 6),
            ("HealthAndDV.csv", 3),
            ("Exit.csv", 3),
            ("Services.csv", 2),
            ("ProjectCoC.csv", 2),
        ],
        "victim-service-provider",
    )
    assert reading.report.households_accepted == 2
    assert reading.report.persons_accepted == 3
    assert {project.source_id for project in reading.projects} == {"P1"}
    assert {offer.project_source_id for offer in reading.offers} == {"P1"}


def test_files_that_are_only_checked_spoil_no_household(tmp_path: Path, export: ExportBuilder) -> None:
    def service(
        own: str, enrolment: str = "E1", person: str = "C1", day: str = "2026-09-02", kind: str = "200"
    ) -> int:
        return export.add(
            "Services.csv",
            ServicesID=own,
            EnrollmentID=enrolment,
            PersonalID=person,
            DateProvided=day,
            RecordType=kind,
        )

    service("S1")
    bad = [
        service("S2", enrolment="E9"),
        service("S3", person="C2"),
        service("S4", day="?"),
        service("S5", kind="1"),
    ]
    reading = read_export(export.folder(tmp_path))
    assert [refused(reading)["Services.csv", line] for line in bad] == [
        "orphan",
        "other-person",
        "broken-date",
        "unknown-code",
    ]
    assert reading.report.households_accepted == 2
    counts = {count.file: count for count in reading.report.files}
    assert (counts["Services.csv"].read, counts["Services.csv"].accepted) == (5, 1)
    assert not counts["Services.csv"].taken


def test_every_row_read_is_accounted_for(tmp_path: Path, export: ExportBuilder) -> None:
    export.set("Enrollment.csv", 2, "EntryDate", "?")
    export.set("Exit.csv", 2, "DateDeleted", "2026-09-20 10:00:00")
    report = read_export(export.folder(tmp_path)).report
    for count in report.files:
        assert count.read == count.accepted + count.refused + count.deleted
        assert count.refused == sum(refusal.file == count.file for refusal in report.refusals)


PERSONAL = "Quillfeather-000120417"


@pytest.mark.parametrize(
    "file", ["Client.csv", "Enrollment.csv", "HealthAndDV.csv", "Exit.csv", "Organization.csv"]
)
def test_no_message_shows_what_stood_in_a_field(tmp_path: Path, export: ExportBuilder, file: str) -> None:
    """Whatever column a name slips into: it may be one that holds a code, a date or an id."""
    for place, column in enumerate(export.headers[file]):
        export.rows[file].append([*export.rows[file][0]])
        export.rows[file][-1][place] = PERSONAL
        assert column
    reading = read_export(export.folder(tmp_path))
    said = "\n".join(sentences(reading.report)) + repr(reading) + repr(reading.report)
    assert reading.report.refusals
    assert PERSONAL not in said
    assert "000120417" not in said


def test_nothing_that_is_printed_by_accident_names_a_person(tmp_path: Path, export: ExportBuilder) -> None:
    export.set("Client.csv", 2, "LastName", PERSONAL)
    export.set("Client.csv", 2, "DOB", "1991-03-07")
    reading = read_export(export.folder(tmp_path))
    household = next(iter(reading.households()))
    assert household.persons[0].last_name == PERSONAL
    shown = repr(household) + str(household.persons) + repr(reading)
    for personal in (PERSONAL, "Marisol", "000120417", "1991", "C1", "E1", "H1"):
        assert personal not in shown
