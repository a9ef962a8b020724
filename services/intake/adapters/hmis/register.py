"""The rows of one file by id: who may claim an id, and why a row that points at one may not."""

from typing import Generic, TypeVar

from .files import FileSpec
from .report import Tally
from .rows import Row, RowRefused

VICTIM_SERVICE_PROVIDER = "victim-service-provider"
Record = TypeVar("Record")


class Register(Generic[Record]):
    """Accepted rows by id. An id claimed twice names nothing: both lines are refused, and all that point at it."""

    def __init__(self, spec: FileSpec, tally: Tally) -> None:
        self.rows: dict[str, Record] = {}
        self._spec, self._tally = spec, tally
        self._lines: dict[str, int] = {}
        self._refused: dict[str, str] = {}

    def claim(self, row: Row) -> str:
        """The row's own id, if no line before claimed it."""
        own = row.id(self._spec.key)
        first = self._lines.setdefault(own, row.line)
        if first != row.line:
            self._tally.refuse_line(
                self._spec.name, first, "duplicate-id", f"line {row.line} has the same {self._spec.key}"
            )
            raise RowRefused("duplicate-id", f"line {first} has the same {self._spec.key}")
        return own

    def refuse(self, row: Row, why: RowRefused) -> Record | None:
        """Forget the id of a refused row; returns what an earlier line had under it."""
        own = row.text(self._spec.key)
        self._refused.setdefault(own, why.reason)
        return self.rows.pop(own, None)

    def find(self, row: Row) -> Record:
        """What `row` points at. An orphan, or the child of a refused row, is refused itself."""
        wanted = row.id(self._spec.key)
        found = self.rows.get(wanted)
        if found is not None:
            return found
        reason = self._refused.get(wanted)
        if reason is None:
            raise RowRefused("orphan", f"no line of {self._spec.name} has its {self._spec.key}")
        if reason == VICTIM_SERVICE_PROVIDER:
            raise victim_service_provider()
        raise RowRefused("parent-refused", f"its line of {self._spec.name} was refused ({reason})")


def victim_service_provider() -> RowRefused:
    return RowRefused(
        VICTIM_SERVICE_PROVIDER,
        "it is a victim service provider's, whose people may not enter a shared system",
    )
