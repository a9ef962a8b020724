"""The working store of one reading: an export of any size, on disk, in constant memory.

It is an SQLite file that has no name: its folder is made for this reader alone (mode 0700) and removed as soon as
the file is open, so the file ends with the process, however that ends. What it holds is sealed as well
(`seal.py`): blocks of the disk that once held it tell no name, number, date of birth or id.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .seal import Seal

CACHE_KIB = 32 * 1024
"""What SQLite may hold in memory, and so nearly all that a reading does."""
_AT_ONCE = 1_000

_SCHEMA = """
CREATE TABLE claim (
    file INTEGER, name BLOB, line INTEGER, refused TEXT, row INTEGER, PRIMARY KEY (file, name)
) WITHOUT ROWID;
CREATE TABLE client (
    id INTEGER PRIMARY KEY, line INTEGER, said BLOB, standing INTEGER DEFAULT 1, lost TEXT,
    hides INTEGER DEFAULT 0, taken INTEGER DEFAULT 0, open_in INTEGER DEFAULT 0
);
CREATE TABLE household (
    id INTEGER PRIMARY KEY, name BLOB UNIQUE, file TEXT, line INTEGER, reason TEXT, number INTEGER,
    in_need INTEGER, offer TEXT, over_by INTEGER
);
CREATE TABLE enrolment (
    id INTEGER PRIMARY KEY, line INTEGER, household INTEGER, client INTEGER, person BLOB, entered INTEGER,
    said BLOB, exit_line INTEGER, ended BLOB, standing INTEGER DEFAULT 1
);
CREATE TABLE hanging (id INTEGER PRIMARY KEY, enrolment INTEGER, kind INTEGER, line INTEGER, said BLOB);
CREATE TABLE guest (household INTEGER PRIMARY KEY, entered INTEGER, said BLOB);
CREATE TABLE refusal (
    place INTEGER, line INTEGER, file TEXT, reason TEXT, message TEXT, PRIMARY KEY (place, line)
) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX enrolment_household ON enrolment (household);
CREATE INDEX hanging_enrolment ON hanging (enrolment);
CREATE INDEX guest_entered ON guest (entered);
CREATE INDEX household_number ON household (number);
"""


class Store:
    """Rows by SQL, records sealed. Used by one thread, for one reading, which it does not outlive."""

    def __init__(self, folder: Path | None = None) -> None:
        """In `folder`, or where temporary files lie."""
        self.seal = Seal()
        with tempfile.TemporaryDirectory(prefix="reading-", dir=folder) as own:
            self._database = sqlite3.connect(Path(own) / "store", isolation_level=None)
            for pragma in (
                "journal_mode = OFF",  # nobody goes on with it after a crash
                "synchronous = OFF",
                "locking_mode = EXCLUSIVE",
                "temp_store = FILE",
                f"cache_size = -{CACHE_KIB}",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")

    def __repr__(self) -> str:
        return "Store()"

    def do(self, statement: str, *values: object) -> int:
        """Change something; returns the id of a row that it inserted."""
        return self._database.execute(statement, values).lastrowid or 0

    def one(self, query: str, *values: object) -> Any:
        """The first row, or None."""
        return self._database.execute(query, values).fetchone()

    def rows(self, query: str, *values: object) -> list[Any]:
        return self._database.execute(query, values).fetchall()

    def each(self, query: str, *values: object) -> Iterator[Any]:
        """Many rows, a thousand at a time in memory. What they are read from may be changed meanwhile but for
        the columns by which they are found."""
        cursor = self._database.execute(query, values)
        while some := cursor.fetchmany(_AT_ONCE):
            yield from some

    def all_read(self) -> None:
        """Every row is in: now it pays to find them by what they belong to."""
        for statement in filter(None, map(str.strip, _INDEXES.split(";"))):
            self._database.execute(statement)
