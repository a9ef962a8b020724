"""The end of a zip archive, looked at before the library loads its whole directory into memory."""

import struct
import zipfile
import zlib
from pathlib import Path

from services.intake.domain.hmis_import import StructuralFault

DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""All that the library raises over bytes that are no archive, or one it does not know how to read."""

_END = struct.Struct("<4sHHHHIIH")
_MARK = b"PK\x05\x06"
_MARK_64 = b"PK\x06\x07"
_LONGEST_COMMENT = 0xFFFF
_WIDEST_ENTRY = 1 << 10
"""Bytes of one directory entry: 46 and a name; 1 KiB leaves room for extra fields."""


def check_directory(path: Path, entries: int) -> None:
    """Raise StructuralFault when `path` is no zip, or lists more than `entries` files."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_COMMENT - _END.size))
        tail = file.read()
    at = tail.rfind(_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise StructuralFault("not-a-zip", f"{path.name} is neither a folder nor a zip archive")
    if tail[max(0, at - 20) : at].startswith(_MARK_64):
        raise StructuralFault(
            "archive-too-large", "the archive is in the format for huge files; unpack it into a folder first"
        )
    _, _, _, _, count, directory, _, _ = _END.unpack_from(tail, at)
    if count > entries or directory > entries * _WIDEST_ENTRY:
        raise StructuralFault(
            "zip-bomb", f"the archive lists {count:,} files or more; an export has about 30"
        )
