"""The rows of one file by id: who may claim an id, and why a row that points at one may not."""

from typing import Generic, TypeVar

from .files import FileSpec
from .report import Tally
from .rows import Row, RowRefused
from .store import Store

VICTIM_SERVICE_PROVIDER = "victim-service-provider"
Record = TypeVar("Record")


class Register(Generic[Record]):
    """Accepted rows of a file that is small in any region, by id, in memory.

    An id claimed twice names nothing: both lines are refused, and all that point at it.
    """

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
            raise claimed_twice(self._spec, self._tally, first, row)
        return own

    def refuse(self, row: Row, why: RowRefused) -> None:
        """Forget the id of a refused row, and what an earlier line had under it."""
        own = row.text(self._spec.key)
        self._refused.setdefault(own, why.reason)
        self.rows.pop(own, None)

    def find(self, row: Row) -> Record:
        """What `row` points at. An orphan, or the child of a refused row, is refused itself."""
        wanted = row.id(self._spec.key)
        found = self.rows.get(wanted)
        if found is None:
            raise not_there(self._spec, self._refused.get(wanted))
        return found


_CLAIMED = "SELECT line FROM claim WHERE file = ? AND name = ?"
_ACCEPT = """
INSERT INTO claim (file, name, line, row) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET line = excluded.line, row = excluded.row
"""
# A line that was refused before it could claim its id leaves the id to others.
_REFUSE = """
INSERT INTO claim (file, name, line, refused) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET line = coalesce(line, excluded.line), refused = coalesce(refused, excluded.refused),
    row = NULL
"""
_FIND = "SELECT row, refused FROM claim WHERE file = ? AND name = ?"


class Claims:
    """A register of a file of any length, in the store: from an id to the number of what the store has under it."""

    def __init__(self, number: int, spec: FileSpec, tally: Tally, store: Store) -> None:
        """`number` tells the files of one store apart."""
        self._number, self._spec, self._tally, self._store = number, spec, tally, store
        self._name = store.seal.name
        self._in_hand = b""

    def claim(self, row: Row) -> None:
        """Hold the row's own id until it is accepted or refused, if no line before claimed it."""
        name = self._name(row.id(self._spec.key))
        known = self._store.one(_CLAIMED, self._number, name)
        if known is not None and known[0] is not None:
            raise claimed_twice(self._spec, self._tally, known[0], row)
        self._in_hand = name

    def accept(self, row: Row, number: int) -> None:
        self._store.do(_ACCEPT, self._number, self._in_hand, row.line, number)
        self._in_hand = b""

    def refuse(self, row: Row, why: RowRefused) -> int | None:
        """Forget the id of a refused row; returns what an earlier line had under it."""
        name = self._name(row.text(self._spec.key))
        earlier = self._store.one(_FIND, self._number, name)
        line = row.line if name == self._in_hand else None
        self._store.do(_REFUSE, self._number, name, line, why.reason)
        self._in_hand = b""
        return None if earlier is None else earlier[0]

    def get(self, own: str) -> int | None:
        """What stands under an id, if anything does."""
        found = self._store.one(_FIND, self._number, self._name(own))
        return None if found is None else found[0]

    def find(self, row: Row) -> int:
        """What `row` points at; see Register."""
        found = self._store.one(_FIND, self._number, self._name(row.id(self._spec.key)))
        if found is None or found[0] is None:
            raise not_there(self._spec, None if found is None else found[1])
        return int(found[0])


def claimed_twice(spec: FileSpec, tally: Tally, first: int, row: Row) -> RowRefused:
    """Refuses the first line, too."""
    tally.refuse_line(spec.name, first, "duplicate-id", f"line {row.line} has the same {spec.key}")
    return RowRefused("duplicate-id", f"line {first} has the same {spec.key}")


def not_there(spec: FileSpec, refused: str | None) -> RowRefused:
    if refused is None:
        return RowRefused("orphan", f"no line of {spec.name} has its {spec.key}")
    if refused == VICTIM_SERVICE_PROVIDER:
        return victim_service_provider()
    return RowRefused("parent-refused", f"its line of {spec.name} was refused ({refused})")


def victim_service_provider() -> RowRefused:
    return RowRefused(
        VICTIM_SERVICE_PROVIDER,
        "it is a victim service provider's, whose people may not enter a shared system",
    )
