"""The refused lines of an export, of which there may be as many as it has lines."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from services.intake.domain.hmis_import import Refusal

from .store import Store

_REFUSE = "INSERT OR IGNORE INTO refusal (place, line, file, reason, message) VALUES (?, ?, ?, ?, ?)"
_ALL = "SELECT file, line, reason, message FROM refusal ORDER BY place, line"


class Refusals(Sequence[Refusal]):
    """In the order of files and lines, read from the store when asked for. A line's first reason stands."""

    def __init__(self, store: Store, places: Mapping[str, int]) -> None:
        self._store, self._places = store, places

    def add(self, file: str, line: int, reason: str, message: str) -> None:
        self._store.do(_REFUSE, self._places[file], line, file, reason, message)

    def per_file(self) -> Counter[str]:
        return Counter(dict(self._store.rows("SELECT file, count(*) FROM refusal GROUP BY file")))

    def __iter__(self) -> Iterator[Refusal]:
        return (Refusal(*row) for row in self._store.each(_ALL))

    def __len__(self) -> int:
        return int(self._store.one("SELECT count(*) FROM refusal")[0])

    @overload
    def __getitem__(self, index: int) -> Refusal: ...
    @overload
    def __getitem__(self, index: slice) -> list[Refusal]: ...
    def __getitem__(self, index: int | slice) -> Refusal | list[Refusal]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __hash__(self) -> int:
        raise TypeError("refusals are compared by what they say, like a list")
