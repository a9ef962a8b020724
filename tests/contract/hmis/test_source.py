"""A folder or a zip is read in place, and whoever made it cannot lead the reader anywhere else."""

import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from services.intake.adapters.hmis import Limits, read_export
from services.intake.domain.hmis_import import StructuralFault
from tests.contract.hmis.building import ExportBuilder


def reason(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(StructuralFault) as caught:
        read_export(path, limits=limits)
    assert caught.value.message
    return caught.value.reason


def test_a_folder_and_its_zip_say_the_same(tmp_path: Path) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    folder = read_export(export.folder(tmp_path / "folder"))
    packed = read_export(export.zip(tmp_path / "export.zip"))
    inside = read_export(export.zip(tmp_path / "inside.zip", inside="2026 export/"))
    assert folder.export == packed.export == inside.export
    assert list(folder.households()) == list(packed.households()) == list(inside.households())


def test_neither_folder_nor_zip(tmp_path: Path) -> None:
    text = tmp_path / "export.csv"
    text.write_text("PersonalID,FirstName\n")
    assert reason(text) == "not-a-zip"
    assert reason(tmp_path / "nowhere") == "not-found"
    empty = tmp_path / "empty.zip"
    empty.touch()
    assert reason(empty) == "not-a-zip"


def test_a_zip_that_was_cut_short(tmp_path: Path) -> None:
    whole = ExportBuilder().zip(tmp_path / "whole.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    assert reason(cut) == "not-a-zip"


def test_a_zip_whose_content_was_damaged(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip")
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("Client.csv")
        start = entry.header_offset + 30 + len(entry.filename)
    damaged = bytearray(path.read_bytes())
    damaged[start + 20] ^= 0xFF
    path.write_bytes(damaged)
    assert reason(path) == "broken-zip"


@pytest.mark.parametrize(
    "name",
    [
        "../Client.csv",
        "a/../../Client.csv",
        "/etc/Client.csv",
        "..\\Client.csv",
        "C:\\Client.csv",
        "C:/x.csv",
    ],
)
def test_a_path_that_climbs_out_of_the_zip(tmp_path: Path, name: str) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip", extra=[(name, b"x")])
    assert reason(path) == "path-climbs-out"
    assert [entry.name for entry in tmp_path.iterdir()] == ["export.zip"]


def test_a_link_in_the_zip(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip")
    link = zipfile.ZipInfo("Extra.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert reason(path) == "path-climbs-out"


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    folder = ExportBuilder().folder(tmp_path / "export")
    outside = tmp_path / "elsewhere.csv"
    (folder / "Client.csv").rename(outside)
    (folder / "Client.csv").symlink_to(outside)
    assert reason(folder) == "path-climbs-out"


def test_a_pipe_under_a_files_name_does_not_hang_the_import(tmp_path: Path) -> None:
    folder = ExportBuilder().folder(tmp_path / "export")
    (folder / "Client.csv").unlink()
    os.mkfifo(folder / "Client.csv")
    assert reason(folder) == "not-a-file"


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    export = ExportBuilder()
    del export.rows["Client.csv"]
    export.zip(path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("Client.csv", "w") as client,
    ):
        for _ in range(40):
            client.write(b"a," * (1 << 19))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    assert reason(path) == "zip-bomb"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_bomb_made_of_small_files_together(tmp_path: Path) -> None:
    path = ExportBuilder().zip(
        tmp_path / "export.zip", extra=[(f"{n}.txt", bytes(1 << 20)) for n in range(20)]
    )
    assert reason(path) == "zip-bomb"


def test_an_archive_that_lists_very_many_files(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip", extra=[(f"{n}.txt", b"") for n in range(1100)])
    assert reason(path) == "zip-bomb"


def test_an_archive_that_lies_about_what_it_lists(tmp_path: Path) -> None:
    """The size of the directory is looked at as well as the number of its entries."""
    path = ExportBuilder().zip(tmp_path / "export.zip", extra=[(f"{n:0200}.txt", b"") for n in range(6000)])
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", content, end + 8, 5, 5)
    path.write_bytes(content)
    assert reason(path) == "zip-bomb"


def test_a_size_that_the_archive_lies_about(tmp_path: Path) -> None:
    """What unpacks to more than it declares is not read on: it fails its checksum at the declared size."""
    export = ExportBuilder()
    for number in range(500):
        export.client(f"C{number}")
    path = export.zip(tmp_path / "export.zip")
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"Client.csv")
    struct.pack_into("<I", content, entry - 46 + 24, 1000)
    path.write_bytes(content)
    assert reason(path) == "broken-zip"


def test_two_exports_in_one_archive(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip", extra=[("other/Export.csv", b"x")])
    assert reason(path) == "ambiguous"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip", extra=[("Client.csv", b"x")])
    assert reason(path) == "ambiguous"


def test_an_unusual_packing(tmp_path: Path) -> None:
    path = ExportBuilder().zip(tmp_path / "export.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("Extra.csv", "x")
    assert reason(path) == "unknown-packing"


def test_what_computers_add_to_archives_is_no_obstacle(tmp_path: Path) -> None:
    path = ExportBuilder().zip(
        tmp_path / "export.zip", extra=[("__MACOSX/._Export.csv", b"\0"), (".DS_Store", b"\0")]
    )
    assert read_export(path).report.households_accepted == 0
