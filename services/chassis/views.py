"""What was seen of a partition is remembered from one transaction to the next, so that it need not be read again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from services.chassis.inbox import Position, Seen

# Keys remembered of one partition, a few hundred bytes each; those that spoke last.
KEYS = 4096


class Views:
    """The view of each partition that a consumer's last commit left behind.

    It is true for as long as nobody else moves the partition's version, and that the next commit checks. So it
    holds for the very position which that commit returned: whoever had to look up where it stands has no view.
    A view is taken out to be used and comes back with a commit only: what fails is forgotten.
    """

    def __init__(self, keys: int = KEYS) -> None:
        self._keys = keys
        self._views: dict[tuple[str, int], tuple[Position, dict[str, Seen]]] = {}

    def take(self, position: Position | None) -> dict[str, Seen]:
        """The view from that position; empty when there is none."""
        if position is None:
            return {}
        stood, seen = self._views.pop((position.topic, position.partition), (None, {}))
        return seen if stood is position else {}

    def keep(self, position: Position, seen: dict[str, Seen], used: Iterable[str]) -> None:
        """Remember it as of that position, which has just been committed."""
        for key in used:
            seen[key] = seen.pop(key)
        for key in [*islice(seen, max(0, len(seen) - self._keys))]:
            del seen[key]
        self._views[position.topic, position.partition] = position, seen
