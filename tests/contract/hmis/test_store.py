"""What is read of people lies on disk only as long as somebody reads, without a name, and tells nothing there."""

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from services.intake.adapters.hmis import Limits, read_export
from services.intake.adapters.hmis.seal import Seal
from services.intake.adapters.hmis.store import Store
from tests.contract.hmis.building import ExportBuilder

MANY = 4_000
MARK = "Quillfeather"


def large(folder: Path) -> Path:
    """More than the store's cache keeps off the disk, once it is made small."""
    export = ExportBuilder()
    for number in range(MANY):
        export.client(f"{MARK}{number}", FirstName=MARK, LastName=MARK, SSN="123456789", DOB="1971-03-04")
        export.enrolment(f"E{number}", f"{MARK}{number}", f"{MARK}{number}")
    return export.folder(folder)


def open_stores(folder: Path) -> list[Path]:
    """The open files of this process that lay in the folder."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            if str(handle.readlink()).startswith(str(folder)):
                found.append(handle)
        except OSError:
            continue  # closed meanwhile
    return found


def test_the_file_has_no_name_and_its_blocks_tell_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.intake.adapters.hmis.store.CACHE_KIB", 64)
    (tmp_path / "store").mkdir()
    reading = read_export(large(tmp_path / "export"), limits=Limits(folder=tmp_path / "store"))
    assert list((tmp_path / "store").iterdir()) == []
    [handle] = open_stores(tmp_path / "store")
    blocks = handle.read_bytes()
    assert len(blocks) > 500_000
    for told in (MARK, "123456789", "1971-03-04", "household:", "E3999"):
        assert told.encode() not in blocks
    assert sum(1 for _ in reading.households()) == MANY
    del reading
    gc.collect()
    assert open_stores(tmp_path / "store") == []


def test_nothing_is_left_of_a_reader_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    export = large(tmp_path / "export")
    program = (
        "import sys; from pathlib import Path; from services.intake.adapters.hmis import Limits, read_export\n"
        "def told(file, done, of):\n"
        "    if file == 'Enrollment.csv': print('reading', flush=True); sys.stdin.read()\n"
        "read_export(Path(sys.argv[1]), told, Limits(folder=Path(sys.argv[2])))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, export, tmp_path / "store"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as reader:  # fmt: skip
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"
        reader.send_signal(signal.SIGKILL)
    assert list((tmp_path / "store").iterdir()) == []


def test_what_one_reading_sealed_no_other_opens() -> None:
    one, other = Seal(), Seal()
    sealed = one.close(["Ann"])
    assert one.open(sealed, list) == ["Ann"]
    with pytest.raises(InvalidTag):
        other.open(sealed, list)
    assert one.name("H1") == one.name("H1") != other.name("H1")


def test_two_stores_know_nothing_of_each_other() -> None:
    one, other = Store(), Store()
    one.do("INSERT INTO client (line) VALUES (1)")
    assert (one.one("SELECT count(*) FROM client")[0], other.one("SELECT count(*) FROM client")[0]) == (1, 0)
