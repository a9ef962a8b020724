"""One row of any file: its fields by name, read as what the standard says they are, or refused in plain
words.

A refusal names file, line and column, and at most a short number found there; never a name, an id or a date.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import TypeVar

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?", re.ASCII)
_CODE = re.compile(r"\d{1,3}", re.ASCII)
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
Code = TypeVar("Code", bound=IntEnum)


class RowRefused(Exception):  # noqa: N818 - it says what happened
    """This row cannot be taken. `reason` is a stable slug, `message` is fit for a log."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one line. A column that the file's version does not have reads as blank."""

    file: str
    line: int
    positions: Mapping[str, int]
    values: Sequence[str]

    def __repr__(self) -> str:
        return f"Row({self.file}, line {self.line})"

    def whole(self) -> None:
        """Every other reading is worthless when a value stands under another column's name."""
        if len(self.values) != len(self.positions):
            raise RowRefused(
                "wrong-field-count", f"has {len(self.values)} fields; the header has {len(self.positions)}"
            )

    def raw(self, column: str) -> str:
        """The field as it stands, also of a row that is not whole; blank when there is none."""
        position = self.positions.get(column)
        return self.values[position] if position is not None and position < len(self.values) else ""

    def text(self, column: str) -> str:
        return self.raw(column).strip()

    def id(self, column: str) -> str:
        found = self.text(column)
        if not found:
            raise RowRefused("blank", f"{column} is blank")
        return found

    def maybe_day(self, column: str) -> date | None:
        found = self.text(column)
        if not found:
            return None
        try:
            if _DATE.fullmatch(found):
                return date.fromisoformat(found)
        except ValueError:
            pass  # a day that no calendar has is refused like a word
        raise RowRefused("broken-date", f"{column} is not a date of the form yyyy-mm-dd")

    def day(self, column: str) -> date:
        found = self.maybe_day(column)
        if found is None:
            raise RowRefused("blank", f"{column} is blank")
        return found

    def deleted(self) -> bool:
        """True when the source took the row back. Its DateDeleted must be a point in time, not any text."""
        found = self.text("DateDeleted")
        if not found:
            return False
        try:
            if _TIME.fullmatch(found):
                datetime.fromisoformat(found)
                return True
        except ValueError:
            pass  # see maybe_day()
        raise RowRefused("broken-date", "DateDeleted is not a point in time of the form yyyy-mm-dd hh:mm:ss")

    def number(self, column: str, blank: int | None = None) -> int:
        found = self.text(column)
        if not found and blank is not None:
            return blank
        if not _NUMBER.fullmatch(found):
            raise RowRefused(
                "broken-number" if found else "blank", f"{column} is not a whole number from 0 to 999,999"
            )
        return int(found)

    def code(self, column: str, known: frozenset[int]) -> int | None:
        """The code, or None where the field is blank."""
        found = self._number_of_code(column)
        if found is not None and found not in known:
            raise _unknown(column, found)
        return found

    def member(self, column: str, codes: type[Code]) -> Code | None:
        found = self._number_of_code(column)
        try:
            return None if found is None else codes(found)
        except ValueError:
            raise _unknown(column, found) from None

    def _number_of_code(self, column: str) -> int | None:
        found = self.text(column)
        if not found:
            return None
        if not _CODE.fullmatch(found):
            raise RowRefused("unknown-code", f"{column} holds something that is not a code")
        return int(found)


def _unknown(column: str, code: int | None) -> RowRefused:
    return RowRefused("unknown-code", f"{column} has no code {code}")
