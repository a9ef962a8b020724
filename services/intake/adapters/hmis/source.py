"""Where an export lies: a folder or a zip, read in place, never unpacked, every way out of it closed."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from services.intake.domain.hmis_import import StructuralFault

from .archive import DAMAGE, check_directory


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader is willing to hold or unpack. Sizes are bytes."""

    line: int = 1 << 17
    """Longest record; also the csv module's limit for one field. A published row is far below."""
    ratio: int = 200
    """Unpacked over packed. Exports pack 5 to 30 times; deflate ends at 1,032."""
    small: int = 16 << 20
    """What unpacks to less than this is harmless at any ratio."""
    unpacked: int = 16 << 30
    """All entries together."""
    entries: int = 1000
    """Files of an archive. An export has some 30."""
    folder: Path | None = None
    """Where the working store lies while it is read; None: where temporary files lie."""


class Source(Protocol):
    """The files of one export by their bare names."""

    def names(self) -> frozenset[str]: ...

    def size(self, name: str) -> int: ...

    def open(self, name: str) -> IO[bytes]: ...


@contextmanager
def open_source(path: Path, limits: Limits) -> Iterator[Source]:
    """Open the export at `path`. Raises StructuralFault when it is not one or would lead outside itself."""
    if path.is_dir():
        yield Folder.at(path)
    elif path.is_file():
        check_directory(path, limits.entries)
        with _opened(path) as archive:
            yield Zip.of(archive, path, limits)
    else:
        raise StructuralFault("not-found", f"there is no file or folder {path.name}")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as damaged:
        raise StructuralFault("not-a-zip", f"{path.name} is damaged or not a zip archive") from damaged


@dataclass(frozen=True, slots=True)
class Folder:
    """An unpacked export."""

    root: Path
    files: frozenset[str]

    @classmethod
    def at(cls, path: Path) -> "Folder":
        """Refuses links that lead out of the folder, and devices, pipes and the like under a file's name."""
        root = path.resolve()
        tables = [entry for entry in path.iterdir() if entry.suffix == ".csv"]
        for entry in tables:
            if not entry.resolve().is_relative_to(root):
                raise StructuralFault("path-climbs-out", f"{entry.name} is a link to outside the folder")
            if not entry.is_file():
                raise StructuralFault("not-a-file", f"{entry.name} is not a regular file")
        return cls(root, frozenset(entry.name for entry in tables))

    def names(self) -> frozenset[str]:
        return self.files

    def size(self, name: str) -> int:
        return (self.root / name).stat().st_size

    def open(self, name: str) -> IO[bytes]:
        return (self.root / name).open("rb")


@dataclass(frozen=True, slots=True)
class Zip:
    """A packed export: its files at the top or together in one folder."""

    archive: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    @classmethod
    def of(cls, archive: zipfile.ZipFile, path: Path, limits: Limits) -> "Zip":
        for entry in archive.infolist():
            _stays_inside(entry)
        _is_no_bomb(archive.infolist(), path.stat().st_size, limits)
        return cls(archive, _tables(archive.infolist()))

    def names(self) -> frozenset[str]:
        return frozenset(self.entries)

    def size(self, name: str) -> int:
        return self.entries[name].file_size

    def open(self, name: str) -> IO[bytes]:
        """It ends at the declared size, which the bomb check has seen; a lie about it fails the checksum."""
        try:
            return self.archive.open(self.entries[name])
        except zipfile.BadZipFile as damaged:
            raise StructuralFault(
                "broken-zip", f"{name} cannot be opened: the archive is damaged"
            ) from damaged


def _stays_inside(entry: zipfile.ZipInfo) -> None:
    """Nothing is unpacked, yet an archive that tries to climb was made to do harm: refuse all of it."""
    # ZipInfo has already cut the name at a NUL and turned the platform's separator; look at what was written.
    written = entry.orig_filename.replace("\\", "/")
    path = PurePosixPath(written)
    if "\0" in written or path.is_absolute() or ".." in path.parts or written[1:2] == ":":
        raise StructuralFault(
            "path-climbs-out", "the archive names a file outside itself; nothing of it was read"
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise StructuralFault("path-climbs-out", "the archive holds a link; nothing of it was read")
    if entry.flag_bits & 0x1:
        raise StructuralFault("encrypted", "the archive is encrypted; unpack it into a folder first")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise StructuralFault("unknown-packing", "the archive is packed in an unusual way; use plain zip")


def _is_no_bomb(entries: list[zipfile.ZipInfo], packed: int, limits: Limits) -> None:
    """Judged by declared sizes before a byte is unpacked; overlapping entries show in their total."""
    total = sum(entry.file_size for entry in entries)
    if total > limits.unpacked or (total > limits.small and total > limits.ratio * packed):
        raise StructuralFault(
            "zip-bomb", f"the archive of {packed:,} bytes would unpack to {total:,}; nothing of it was read"
        )


def _tables(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The CSV files beside Export.csv; a name that occurs twice there could be read either way."""
    paths = [(PurePosixPath(entry.filename), entry) for entry in entries if not entry.is_dir()]
    homes = {path.parent for path, _ in paths if path.name == "Export.csv"}
    if len(homes) != 1:
        number = "no" if not homes else "more than one"
        raise StructuralFault(
            "missing-file" if not homes else "ambiguous", f"the archive holds {number} Export.csv"
        )
    tables: dict[str, zipfile.ZipInfo] = {}
    for path, entry in paths:
        if path.parent in homes and path.suffix == ".csv":
            if path.name in tables:
                raise StructuralFault("ambiguous", f"the archive holds {path.name} twice")
            tables[path.name] = entry
    return tables
