"""Records of a CSV file in bounded memory: bytes in, numbered lists of fields out."""

import csv
import hashlib
from collections.abc import Iterator
from typing import IO

from services.intake.domain.hmis_import import Progress, StructuralFault

from .archive import DAMAGE

_CHUNK = 1 << 16


class Digest:
    """SHA-256 over everything read, in the order in which it was read."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    def value(self) -> str:
        return self._hash.hexdigest()


def chunks(stream: IO[bytes], name: str, size: int, digest: Digest, progress: Progress) -> Iterator[bytes]:
    """The file's bytes in pieces. A packed file that does not unpack as promised is a StructuralFault."""
    done = 0
    while chunk := _piece(stream, name):
        done += len(chunk)
        digest.add(chunk)
        progress(name, min(done, size), size)
        yield chunk
    progress(name, size, size)


def _piece(stream: IO[bytes], name: str) -> bytes:
    try:
        return stream.read(_CHUNK)
    except DAMAGE as damaged:
        raise StructuralFault("broken-zip", f"{name} does not unpack: the archive is damaged") from damaged


def lines(pieces: Iterator[bytes], name: str, longest: int) -> Iterator[str]:
    """Text lines, each at most `longest` bytes: a longer one is noticed before it is held."""
    rest = b""
    number = 1
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield _text(line + b"\n", name, number, longest)
            number += 1
        if len(rest) > longest:
            raise _too_long(name, number, longest)
    if rest:
        yield _text(rest, name, number, longest)


def records(text: Iterator[str], name: str, longest: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on. A quoted field may hold line breaks, within `longest`
    characters.

    Quotes that do not balance are structural: where one row ends and the next begins cannot be known any
    more, and a row swallowed in silence could be the one that says that a household is fleeing.
    """
    bounded = _Bounded(text, name, longest)
    reader = csv.reader(bounded, strict=True)
    while True:
        begin = reader.line_num + 1
        bounded.begin()
        try:
            fields = next(reader, None)
        except csv.Error as broken:
            raise StructuralFault(
                "broken-quotes",
                f"{name}, line {begin}: its quotes do not balance, so its end cannot be found",
            ) from broken
        if fields is None:
            return
        if fields:
            yield begin, fields


class _Bounded:
    """Lines for one csv record at a time, refusing to feed it for ever when a quote was never closed."""

    def __init__(self, text: Iterator[str], name: str, longest: int) -> None:
        self._text, self._name, self._longest = text, name, longest
        self._number = 0
        self._held = 0

    def begin(self) -> None:
        self._held = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self._number += 1
        self._held += len(line)
        if self._held > self._longest:
            raise _too_long(self._name, self._number, self._longest)
        return line


def _text(line: bytes, name: str, number: int, longest: int) -> str:
    if len(line) > longest:
        raise _too_long(name, number, longest)
    if b"\0" in line:
        raise StructuralFault(
            "not-text", f"{name}, line {number}: holds a zero byte, so it is not a CSV file"
        )
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as undecodable:
        # The bytes may be a name: `from None` keeps them out of every traceback.
        raise StructuralFault(
            "not-utf-8", f"{name}, line {number}: is not UTF-8 text (byte {undecodable.start + 1})"
        ) from None


def _too_long(name: str, number: int, longest: int) -> StructuralFault:
    return StructuralFault("line-too-long", f"{name}, line {number}: longer than {longest:,} bytes")
