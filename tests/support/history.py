"""What clients asked of the network and what they were told: the history that a checker judges it by."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What the client knows of its command.

    UNKNOWN: nobody answered, so it happened wholly or not at all. REFUSED: it was definitely not done.
    """

    UNKNOWN = "unknown"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


@dataclass(slots=True)
class Entry:
    """One command from its first attempt on. `request` and `answer` are messages as dictionaries with all
    fields; `principal` is whose key it is; `faults` are reasons by which a service said that it failed.
    """

    number: int
    client: str
    service: str
    use_case: str
    principal: str
    key: str
    request: Mapping[str, Any]
    began: float
    setting: bool = False
    outcome: Outcome = Outcome.UNKNOWN
    answer: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    attempts: int = 0
    ended: float = 0.0
    faults: list[str] = field(default_factory=list)

    def acknowledge(self, answer: Mapping[str, Any]) -> None:
        self.outcome, self.answer, self.ended = Outcome.ACKNOWLEDGED, answer, time.monotonic()

    def refuse(self, reason: str) -> None:
        self.outcome, self.reason, self.ended = Outcome.REFUSED, reason, time.monotonic()

    @property
    def acknowledged(self) -> bool:
        return self.outcome is Outcome.ACKNOWLEDGED

    @property
    def possible(self) -> bool:
        """Whether it may have happened."""
        return self.outcome is not Outcome.REFUSED

    def __str__(self) -> str:
        return f"#{self.number} {self.use_case} of {self.client} ({self.outcome}, {self.attempts} attempts)"


class History:
    """All commands, in the order in which they were first sent."""

    def __init__(self, entries: Iterator[Entry] | None = None) -> None:
        self._entries = list(entries or ())

    def begin(
        self,
        *,
        client: str,
        service: str,
        use_case: str,
        principal: str,
        key: str,
        request: Mapping[str, Any],
        setting: bool = False,
    ) -> Entry:
        """`setting` marks what was done before the clients began."""
        number = len(self._entries) + 1
        entry = Entry(
            number, client, service, use_case, principal, key, request, time.monotonic(), setting=setting
        )
        self._entries.append(entry)
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, *use_cases: str) -> Iterator[Entry]:
        """Those that may have happened, of these use cases."""
        return (entry for entry in self._entries if entry.use_case in use_cases and entry.possible)

    def answered(self, *use_cases: str) -> Iterator[Entry]:
        """Those that were acknowledged, of these use cases."""
        return (entry for entry in self.of(*use_cases) if entry.acknowledged)

    def commands(self) -> list[Entry]:
        """All but the setting."""
        return [entry for entry in self._entries if not entry.setting]

    def outcomes(self) -> Counter[Outcome]:
        return Counter(entry.outcome for entry in self.commands())

    def retries(self) -> int:
        return sum(max(0, entry.attempts - 1) for entry in self.commands())
