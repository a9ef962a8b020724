"""What each topic carries, read from the one file that declares them, and how an event may speak on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from services.chassis import tracing
from services.chassis.call import Call
from services.chassis.envelope import Announcement, Received
from services.chassis.errors import MisconfiguredError
from services.chassis.ids import random_id, uuid7

RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of `topics.yaml`: its one order (`key`), who writes and reads it, and how secret it is."""

    name: str
    key: str
    partitions: int
    retention_hours: int
    cleanup: Literal["delete", "compact"]
    classification: str
    producer: str
    consumers: tuple[str, ...]
    events: tuple[str, ...]
    snapshot: str
    unknown: Literal["ignore", "park"]

    @property
    def compacted(self) -> bool:
        """Kafka keeps only the newest record of each key: offsets and sequences have holes by design."""
        return self.cleanup == "compact"


class Topics:
    """Every topic of the system, by name."""

    def __init__(self, topics: dict[str, Topic]) -> None:
        self._topics = topics

    @classmethod
    def load(cls, path: Path) -> Topics:
        """Read `topics.yaml`; raises ValueError when a topic lacks or mistypes a field."""
        try:
            declared = yaml.safe_load(path.read_text())["topics"]
        except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
            raise MisconfiguredError(f"{path} (AID_TOPICS__FILE) declares no topics: {error}") from error
        return cls({name: _topic(name, fields) for name, fields in declared.items()})

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def of(self, name: str) -> Topic:
        try:
            return self._topics[name]
        except KeyError:
            raise LookupError(f"no topic is named {name}") from None

    def consumed_by(self, service: str) -> list[Topic]:
        return [topic for topic in self if service in topic.consumers]


def announce(
    topic: Topic,
    key: str,
    message_type: str,
    payload: bytes,
    *,
    subject: str,
    occurred_at: datetime,
    recorded_at: datetime,
    cause: Received | Call | None,
    snapshot: bool = False,
) -> Announcement:
    """An event in the form its topic allows.

    On a restricted topic it may tell what caused it, if the cause is as restricted (calls are). On any other
    topic it gets a random id, no correlation, causation or trace, and times rounded down to the hour, so that
    nobody can join it with what happened on the other side. Raises ValueError for a type that the topic is not
    declared to carry: a consumer would park it.
    """
    if message_type not in topic.events:
        raise ValueError(f"{topic.name} does not carry {message_type}")
    if topic.classification != RESTRICTED:
        return Announcement(
            topic=topic.name, key=key, type=message_type, payload=payload, subject=subject,
            occurred_at=_hour(occurred_at), recorded_at=_hour(recorded_at),
            classification=topic.classification, id=random_id(),
            correlation=None, causation=None, traceparent=None, snapshot=snapshot,
        )  # fmt: skip
    event_id = uuid7()
    correlation, causation, traceparent = _cause(cause, str(event_id))
    return Announcement(
        topic=topic.name, key=key, type=message_type, payload=payload, subject=subject,
        occurred_at=occurred_at, recorded_at=recorded_at,
        classification=topic.classification, id=event_id,
        correlation=correlation, causation=causation, traceparent=traceparent, snapshot=snapshot,
    )  # fmt: skip


def _cause(cause: Received | Call | None, own_id: str) -> tuple[str | None, str | None, str | None]:
    """Correlation (the whole story's id), causation (the cause's id) and trace of a restricted event."""
    match cause:
        case Call():
            return own_id, None, tracing.child(cause.traceparent)
        case Received() if cause.classification == RESTRICTED:
            return cause.correlation or str(cause.id), str(cause.id), tracing.child(cause.traceparent)
        case _:
            return None, None, None


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _topic(name: str, fields: dict[str, Any]) -> Topic:
    try:
        lists = {each: tuple(fields[each]) for each in ("consumers", "events")}
        return Topic(**{**fields, **lists, "name": name})
    except (KeyError, TypeError) as error:
        raise MisconfiguredError(f"topic {name}: {error}") from error
