"""Events on the wire: CloudEvents 1.0 in Kafka's binary mode, with a sequence per topic and key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/protobuf"


class MalformedError(Exception):
    """A record that is not an event of ours. Names the header, never its value."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event as its use case states it; the outbox adds epoch and sequence, the relay the source.

    `occurred_at` is domain time of the fact, `recorded_at` when this service learned it. `snapshot` marks
    full state: it may follow a gap and begins an epoch.
    """

    topic: str
    key: str
    type: str
    payload: bytes
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    classification: str
    id: UUID
    correlation: str | None = None
    causation: str | None = None
    traceparent: str | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """An event as it arrived, with the place it came from."""

    topic: str
    partition: int
    offset: int
    key: str
    type: str
    payload: bytes
    id: UUID
    source: str
    subject: str
    occurred_at: datetime
    recorded_at: datetime
    epoch: int
    sequence: int
    classification: str
    correlation: str | None
    causation: str | None
    traceparent: str | None
    snapshot: bool


class Record(Protocol):
    """What Kafka hands over, and what waiting and parked rows give back."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


def stated(announcement: Announcement) -> dict[str, str]:
    """The headers that are known when the event is written; the rest is drawn and added later."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(announcement.id),
        "ce_type": announcement.type,
        "ce_time": announcement.occurred_at.astimezone(UTC).isoformat(),
        "ce_subject": announcement.subject,
        "ce_recordedtime": announcement.recorded_at.astimezone(UTC).isoformat(),
        "ce_dataclassification": announcement.classification,
        "content-type": CONTENT_TYPE,
    }
    if announcement.correlation is not None:
        headers["ce_correlationid"] = announcement.correlation
    if announcement.causation is not None:
        headers["ce_causationid"] = announcement.causation
    if announcement.traceparent is not None:
        headers["traceparent"] = announcement.traceparent
    if announcement.snapshot:
        headers["ce_snapshot"] = "true"
    return headers


def complete(stated_headers: dict[str, str], source: str, epoch: int, sequence: int) -> Headers:
    """All headers of a record, as Kafka takes them."""
    headers = [(name, value.encode()) for name, value in stated_headers.items()]
    headers.append(("ce_source", source.encode()))
    headers.append(("ce_epoch", b"%d" % epoch))
    headers.append(("ce_sequence", b"%d" % sequence))
    return headers


def headers(announcement: Announcement, source: str, epoch: int, sequence: int) -> Headers:
    return complete(stated(announcement), source, epoch, sequence)


def received(record: Record) -> Received:
    """The event in a record; raises MalformedError when a header is missing or wrong."""
    found = dict(record.headers)
    try:
        if found["ce_specversion"] != b"1.0" or found["content-type"] != CONTENT_TYPE.encode():
            raise MalformedError("ce_specversion or content-type is not ours")
        return Received(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=_key(record),
            type=found["ce_type"].decode(),
            payload=record.value or b"",
            id=UUID(found["ce_id"].decode()),
            source=found["ce_source"].decode(),
            subject=found["ce_subject"].decode(),
            occurred_at=_time(found["ce_time"]),
            recorded_at=_time(found["ce_recordedtime"]),
            epoch=_positive(found["ce_epoch"]),
            sequence=_positive(found["ce_sequence"]),
            classification=found["ce_dataclassification"].decode(),
            correlation=_text(found.get("ce_correlationid")),
            causation=_text(found.get("ce_causationid")),
            traceparent=_text(found.get("traceparent")),
            snapshot=found.get("ce_snapshot") == b"true",
        )
    except KeyError as error:
        raise MalformedError(f"{error.args[0]} is missing") from None
    except ValueError:
        # The text of a ValueError quotes the value, which may be anything: it is not passed on.
        raise MalformedError("a header cannot be read") from None


def _key(record: Record) -> str:
    if not record.key:
        raise MalformedError("the key is empty")
    return record.key.decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _time(value: bytes) -> datetime:
    moment = datetime.fromisoformat(value.decode())
    if moment.tzinfo is None:
        raise MalformedError("a time has no zone")
    return moment


def _positive(value: bytes) -> int:
    number = int(value)
    if not 0 < number < 2**63:
        raise MalformedError("epoch or sequence is out of range")
    return number
