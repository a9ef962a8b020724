"""An export that lacks a file or a column, or is of an unknown version, is refused whole."""

from pathlib import Path

import pytest

from services.intake.adapters.hmis import read_export
from services.intake.adapters.hmis.files import TAKEN
from services.intake.domain.hmis_import import Confidentiality, StructuralFault
from tests.contract.hmis.building import ExportBuilder

REQUIRED = [spec.name for spec in TAKEN if spec.required]


def fault(path: Path) -> StructuralFault:
    with pytest.raises(StructuralFault) as caught:
        read_export(path)
    return caught.value


@pytest.mark.parametrize("file", REQUIRED)
def test_a_missing_required_file(tmp_path: Path, file: str) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = export.folder(tmp_path)
    (folder / file).unlink()
    found = fault(folder)
    assert found.reason == "missing-file"
    assert file in found.message


@pytest.mark.parametrize("file", [spec.name for spec in TAKEN])
def test_a_wrong_header(tmp_path: Path, file: str) -> None:
    export = ExportBuilder()
    export.headers[file] = ("Wrong", *export.headers[file][1:])
    found = fault(export.folder(tmp_path))
    assert found.reason == "wrong-header"
    assert file in found.message
    assert "Wrong" not in found.message  # it might be a person's name


@pytest.mark.parametrize(
    ("file", "column"), [("Export.csv", "ImplementationID"), ("Enrollment.csv", "MentalHealthConsultation")]
)
def test_a_published_column_must_be_there_also_when_nothing_reads_it(
    tmp_path: Path, file: str, column: str
) -> None:
    export = ExportBuilder()
    place = export.headers[file].index(column)
    export.headers[file] = export.headers[file][:place] + export.headers[file][place + 1 :]
    for row in export.rows[file]:
        del row[place]
    found = fault(export.folder(tmp_path))
    assert found.reason == "wrong-header"
    assert column in found.message


def test_a_file_without_a_header(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.client("C1", FirstName="Marisol")
    folder = export.folder(tmp_path)
    client = folder / "Client.csv"
    client.write_bytes(client.read_bytes().split(b"\r\n", 1)[1])
    found = fault(folder)
    assert found.reason == "wrong-header"
    assert "Marisol" not in found.message


def test_an_empty_file(tmp_path: Path) -> None:
    folder = ExportBuilder().folder(tmp_path)
    (folder / "Enrollment.csv").write_bytes(b"")
    assert fault(folder).reason == "wrong-header"


def test_a_column_that_is_named_twice(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.headers["Client.csv"] = (*export.headers["Client.csv"], "DOB")
    assert fault(export.folder(tmp_path)).reason == "wrong-header"


def test_a_wrong_header_in_a_file_that_is_only_checked(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.add("Services.csv", ServicesID="S1")
    export.headers["Services.csv"] = ("Wrong", *export.headers["Services.csv"][1:])
    assert fault(export.folder(tmp_path)).reason == "wrong-header"


def test_columns_in_another_order_and_more_of_them_are_no_fault(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    header = export.headers["Client.csv"]
    export.headers["Client.csv"] = (*reversed(header), "Vendor")
    export.rows["Client.csv"] = [[*reversed(row), "x"] for row in export.rows["Client.csv"]]
    reading = read_export(export.folder(tmp_path))
    assert reading.report.households_accepted == 1
    assert "extra-columns" in {note.slug for note in reading.report.notes}


@pytest.mark.parametrize("version", ["", "2020", "2027 v1.0", "20261", "one"])
def test_an_unknown_version(tmp_path: Path, version: str) -> None:
    export = ExportBuilder()
    export.set("Export.csv", 2, "CSVVersion", version)
    assert fault(export.folder(tmp_path)).reason == "unknown-version"


@pytest.mark.parametrize("end", ["", "30 September", "2026-02-30"])
def test_an_export_that_does_not_say_when_it_ends(tmp_path: Path, end: str) -> None:
    export = ExportBuilder()
    export.set("Export.csv", 2, "ExportEndDate", end)
    assert fault(export.folder(tmp_path)).reason == "broken-export"


def test_an_export_with_two_rows_about_itself(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.rows["Export.csv"] *= 2
    assert fault(export.folder(tmp_path)).reason == "broken-export"


def test_without_health_rows_nobody_is_known_to_be_safe(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = export.folder(tmp_path)
    (folder / "HealthAndDV.csv").unlink()
    reading = read_export(folder)
    [household] = reading.households()
    assert household.confidentiality is Confidentiality.NOT_RECORDED
    assert "safety-unknown" in {note.slug for note in reading.report.notes}


def test_a_source_without_an_id_is_known_by_its_implementation(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.set("Export.csv", 2, "SourceID", "")
    export.set("Export.csv", 2, "ImplementationID", "valley")
    assert read_export(export.folder(tmp_path)).export.source_id == "valley"


def older(export: ExportBuilder, version: str) -> None:
    export.set("Export.csv", 2, "CSVVersion", version)


def test_the_codes_of_fy2022_are_read_as_todays_and_counted(tmp_path: Path) -> None:
    export = ExportBuilder()
    older(export, "FY2022")
    export.headers["Project.csv"] = tuple(
        "TrackingMethod" if column == "RRHSubType" else column for column in export.headers["Project.csv"]
    )
    export.headers["HealthAndDV.csv"] = tuple(
        column.replace("ViolenceSurvivor", "ViolenceVictim") for column in export.headers["HealthAndDV.csv"]
    )
    export.project("P2", "1", TrackingMethod="3")
    export.person(1, "H1", LivingSituation="16", ProjectID="P2")
    export.exit("E1", "C1", "2026-09-20", Destination="31")
    export.health("E1", "C1", DomesticViolenceVictim="1")
    reading = read_export(export.folder(tmp_path))
    [household] = reading.households()
    assert household.enrolments[0].came_from == 116
    assert household.enrolments[0].destination == 435
    assert household.confidentiality is Confidentiality.SURVIVOR
    assert [project.project_type for project in reading.projects] == [0, 1]
    assert {(each.column, each.old, each.new, each.count) for each in reading.report.mapped} == {
        ("LivingSituation", "16", "116", 1),
        ("Destination", "31", "435", 1),
        ("ProjectType", "1, TrackingMethod 3", "1", 1),
    }


def test_a_code_of_fy2022_in_a_present_export_is_unknown(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1", LivingSituation="16")
    reading = read_export(export.folder(tmp_path))
    assert reading.report.households_accepted == 0
    assert reading.report.mapped == ()
