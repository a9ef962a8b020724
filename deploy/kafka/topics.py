"""Read `topics.yaml`, the one place that says what every topic is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

FILE = Path(__file__).with_name("topics.yaml")

Cleanup = Literal["delete", "compact"]
Classification = Literal["internal", "restricted"]
Unknown = Literal["park", "ignore"]
HOUR_MS = 3_600_000
LONGEST_RESTRICTED_HOURS = 168


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what orders it, how long it is kept, how closely it is held, who writes and who reads.

    `snapshot` is the event that carries full state; `unknown` is what a reader does with an event type that
    it does not know.
    """

    name: str
    key: str
    partitions: int
    retention_hours: int
    cleanup: Cleanup
    classification: Classification
    producer: str
    consumers: tuple[str, ...]
    events: tuple[str, ...]
    snapshot: str
    unknown: Unknown

    def __post_init__(self) -> None:
        """Refuse what the design forbids, so that it cannot be deployed."""
        if self.partitions < 1:
            raise ValueError(f"{self.name}: partitions must be at least 1")
        if self.cleanup not in get_args(Cleanup):
            raise ValueError(f"{self.name}: cleanup is {self.cleanup!r}, not one of {get_args(Cleanup)}")
        if self.classification not in get_args(Classification):
            raise ValueError(f"{self.name}: unknown classification {self.classification!r}")
        if self.unknown not in get_args(Unknown):
            raise ValueError(f"{self.name}: unknown is {self.unknown!r}, not one of {get_args(Unknown)}")
        if self.snapshot not in self.events:
            raise ValueError(f"{self.name}: its snapshot {self.snapshot} is not among its events")
        if self.classification == "restricted" and self.retention_hours > LONGEST_RESTRICTED_HOURS:
            raise ValueError(f"{self.name}: restricted, so kept for {LONGEST_RESTRICTED_HOURS} hours at most")

    def configuration(self) -> dict[str, str]:
        """The topic's settings in Kafka's words."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_hours * HOUR_MS)}


def read(file: Path = FILE) -> list[Topic]:
    """Every topic of the file, in its order."""
    document: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(file.read_text())
    return [_topic(name, fields) for name, fields in document["topics"].items()]


def _topic(name: str, fields: dict[str, Any]) -> Topic:
    try:
        return Topic(
            name=name,
            **{
                **fields,
                "consumers": tuple(fields.get("consumers", ())),
                "events": tuple(fields.get("events", ())),
            },
        )
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
