"""A file is read in bounded memory, and where its rows cannot be told apart nothing of it is believed."""

import os
import tracemalloc
from pathlib import Path

import pytest

from services.intake.adapters.hmis import read_export
from services.intake.domain.hmis_import import StructuralFault
from tests.contract.hmis.building import ExportBuilder

MIB = 1 << 20


def fault(path: Path) -> StructuralFault:
    with pytest.raises(StructuralFault) as caught:
        read_export(path)
    return caught.value


def with_line(folder: Path, line: bytes) -> Path:
    """The export with one more line in Client.csv, which had its header only."""
    with (folder / "Client.csv").open("ab") as client:
        client.write(line)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ExportBuilder().folder(tmp_path / "export")


def test_a_line_of_200_megabytes_is_noticed_in_little_memory(folder: Path) -> None:
    with (folder / "Client.csv").open("r+b") as client:
        client.seek(0, os.SEEK_END)
        client.write(b"C1,")
        client.seek(200 * MIB)  # a hole: the file is long and takes no room
        client.write(b",\r\n")
    assert (folder / "Client.csv").stat().st_size > 200 * MIB
    tracemalloc.start()
    found = fault(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.reason == "line-too-long"
    assert "Client.csv, line 2" in found.message
    assert peak < 4 * MIB


def test_a_first_line_of_200_megabytes(folder: Path) -> None:
    with (folder / "Client.csv").open("wb") as client:
        client.seek(200 * MIB)
        client.write(b"\r\n")
    assert fault(folder).reason == "line-too-long"


def test_a_quote_that_is_never_closed_does_not_swallow_the_file(folder: Path) -> None:
    with (folder / "Client.csv").open("ab") as client:
        client.write(b'C1,"Ann\r\n' + b"C2,Bob\r\n" * 100_000)
    found = fault(folder)
    assert found.reason == "line-too-long"


def test_a_quote_that_is_never_closed_in_a_short_file(folder: Path) -> None:
    found = fault(with_line(folder, b'C1,"Ann\r\nC2,Bob\r\n'))
    assert found.reason == "broken-quotes"
    assert "line 2" in found.message


def test_quotes_inside_a_quoted_name_that_are_not_doubled(folder: Path) -> None:
    assert fault(with_line(folder, b'C1,"Ann "the Hat" Lee"\r\n')).reason == "broken-quotes"


def test_a_line_break_within_quotes_belongs_to_the_field(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.client("C1", FirstName="Ann\nMarie")
    export.enrolment("E1", "C1", "H1")
    second = export.client("C2", DOB="soon")
    export.enrolment("E2", "C2", "H2")
    reading = read_export(export.folder(tmp_path))
    [household] = reading.households()
    assert household.persons[0].first_name == "Ann\nMarie"
    client = next(refusal for refusal in reading.report.refusals if refusal.file == "Client.csv")
    assert client.line == second + 1  # as an editor shows it: the first row takes two lines


def test_text_that_is_not_utf_8_never_shows_its_bytes(folder: Path) -> None:
    found = fault(with_line(folder, "C1,Zoë\r\n".encode("latin-1")))
    assert found.reason == "not-utf-8"
    assert "Zo" not in found.message
    assert found.__cause__ is None


def test_a_zero_byte(folder: Path) -> None:
    assert fault(with_line(folder, b"C1,\0\r\n")).reason == "not-text"


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_byte_order_marks_of_any_computer(
    tmp_path: Path, ending: bytes, mark: bytes
) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = export.folder(tmp_path)
    for file in folder.iterdir():
        file.write_bytes(mark + file.read_bytes().replace(b"\r\n", ending))
    assert read_export(folder).report.households_accepted == 1


def test_a_last_line_without_an_end(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = export.folder(tmp_path)
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().rstrip())
    assert read_export(folder).report.households_accepted == 1


def test_progress_is_told_to_the_end_of_every_file(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = export.folder(tmp_path)
    told: dict[str, list[tuple[int, int]]] = {}
    read_export(folder, lambda file, done, size: told.setdefault(file, []).append((done, size)))
    assert set(told) == set(export.rows)
    for file, steps in told.items():
        size = (folder / file).stat().st_size
        assert steps[-1] == (size, size)
        assert steps == sorted(steps)
