"""The checker of one order: what the outbox may never do, whoever writes to it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise


def inversions(rows: Iterable[tuple[int, str, int]]) -> list[str]:
    """Breaches of the order in rows of (id, key, sequence): the relay sends by id, consumers go by sequence.

    Within a key the order of ids must be the order of sequences, without a hole.
    """
    by_key: dict[str, list[tuple[int, int]]] = {}
    for row_id, key, sequence in rows:
        by_key.setdefault(key, []).append((row_id, sequence))
    return [
        f"{key}: id {earlier[0]} has sequence {earlier[1]}, the next id {later[0]} has {later[1]}"
        for key, pairs in by_key.items()
        for earlier, later in pairwise(sorted(pairs))
        if later[1] != earlier[1] + 1
    ]
