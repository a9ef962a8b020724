"""The pure half of messaging: envelopes, classification, verdicts, statements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError

from services.chassis.call import PUBLIC, Call
from services.chassis.effects import Effect, composed, independent
from services.chassis.envelope import MalformedError, Received, headers, received
from services.chassis.inbox import Position, Seen, SequenceConflictError, Verdict
from services.chassis.outbox import BUCKETS, bucket
from services.chassis.parking import KeptRecord
from services.chassis.relay import acknowledged
from services.chassis.topics import Topic, announce
from services.chassis.views import Views

WHEN = datetime(2026, 3, 1, 12, 34, 56, 789, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RESTRICTED = Topic(
    name="aid.intake.cases.v1", key="case", partitions=4, retention_hours=168, cleanup="delete",
    classification="restricted", producer="intake", consumers=("matching",), events=("E", "S"), snapshot="S",
    unknown="park",
)  # fmt: skip
INTERNAL = replace(RESTRICTED, name="aid.matching.allocations.v1", classification="internal")
CALL = Call(PUBLIC, WHEN, TRACE, "OpenCase", "key")


def _event(topic: Topic, cause: Received | Call | None = CALL) -> KeptRecord:
    announcement = announce(
        topic, "key", "E", b"payload", subject="subject", occurred_at=WHEN, recorded_at=WHEN, cause=cause
    )
    return KeptRecord(topic.name, 1, 5, b"key", b"payload", headers(announcement, "/intake", 2, 7))


def test_an_event_survives_the_wire() -> None:
    event = received(_event(RESTRICTED))
    assert (event.topic, event.partition, event.offset, event.key) == (RESTRICTED.name, 1, 5, "key")
    assert (event.type, event.payload, event.source, event.subject) == ("E", b"payload", "/intake", "subject")
    assert (event.occurred_at, event.recorded_at) == (WHEN, WHEN)
    assert (event.epoch, event.sequence, event.classification) == (2, 7, "restricted")
    assert not event.snapshot


def test_the_headers_are_those_of_cloudevents_in_kafkas_binary_mode() -> None:
    names = {name for name, _ in _event(RESTRICTED).headers}
    assert names == {
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type", "ce_epoch",
        "ce_sequence", "ce_recordedtime", "ce_dataclassification", "ce_correlationid", "traceparent",
    }  # fmt: skip


def test_a_restricted_event_tells_its_story_to_its_like() -> None:
    first = received(_event(RESTRICTED))
    second = received(_event(RESTRICTED, cause=first))
    assert first.correlation == str(first.id)
    assert (second.correlation, second.causation) == (first.correlation, str(first.id))
    assert second.traceparent is not None
    assert second.traceparent[:36] == TRACE[:36]
    assert second.traceparent != first.traceparent


@pytest.mark.parametrize("of", [RESTRICTED, INTERNAL])
def test_across_a_drop_of_classification_nothing_can_be_joined(of: Topic) -> None:
    event = received(_event(INTERNAL, cause=received(_event(of))))
    assert (event.correlation, event.causation, event.traceparent) == (None, None, None)
    assert event.id.version == 4
    assert event.occurred_at == event.recorded_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_internal_cause_is_not_told_on_a_restricted_topic() -> None:
    event = received(_event(RESTRICTED, cause=received(_event(INTERNAL))))
    assert (event.correlation, event.causation, event.traceparent) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"no-uuid"), ("ce_sequence", b"0"), ("ce_sequence", b"x"), ("ce_epoch", b"-1"),
        ("ce_sequence", b"9" * 40), ("ce_time", b"yesterday"), ("ce_time", b"2026-03-01T12:00:00"),
        ("ce_subject", b"\xff"), ("ce_specversion", b"0.3"), ("content-type", b"application/json"),
    ],
)  # fmt: skip
def test_a_record_that_is_not_ours_is_malformed_and_its_text_is_not_quoted(name: str, value: bytes) -> None:
    record = _event(RESTRICTED)
    wrong = [(n, value if n == name else v) for n, v in record.headers]
    with pytest.raises(MalformedError) as raised:
        received(replace(record, headers=wrong))
    assert value.decode(errors="replace") not in str(raised.value)
    with pytest.raises(MalformedError):
        received(replace(record, headers=[(n, v) for n, v in record.headers if n != name]))
    with pytest.raises(MalformedError):
        received(replace(record, key=None))


def test_the_same_key_always_has_the_same_bucket() -> None:
    """Written down, because a bucket that moves while rows are pending would reorder a key."""
    assert [bucket("t", f"key-{n}") for n in range(6)] == [7, 1, 11, 13, 14, 8]
    assert {bucket("t", str(uuid4())) for _ in range(500)} == set(range(BUCKETS))


def _at(epoch: int, sequence: int) -> Received:
    return replace(received(_event(RESTRICTED)), epoch=epoch, sequence=sequence, id=uuid4())


@pytest.mark.parametrize(
    ("seen", "epoch", "sequence", "full_state", "verdict"),
    [
        (Seen(), 1, 1, False, Verdict.NEXT),
        (Seen(), 9, 1, False, Verdict.NEXT),
        (Seen(), 1, 2, False, Verdict.GAP),
        (Seen(), 1, 2, True, Verdict.NEXT),
        (Seen(1, 4), 1, 5, False, Verdict.NEXT),
        (Seen(1, 4), 1, 4, False, Verdict.DUPLICATE),
        (Seen(1, 4), 1, 3, True, Verdict.DUPLICATE),
        (Seen(1, 4), 1, 6, False, Verdict.GAP),
        (Seen(1, 4), 1, 9, True, Verdict.NEXT),
        (Seen(1, 4), 2, 5, False, Verdict.GAP),
        (Seen(1, 4), 2, 1, False, Verdict.GAP),
        (Seen(1, 4), 2, 2, True, Verdict.NEXT),
        (Seen(2, 4), 1, 9, True, Verdict.DUPLICATE),
        (Seen(1, 4, parked=True), 1, 5, False, Verdict.BEHIND),
        (Seen(1, 4, parked=True), 1, 9, False, Verdict.BEHIND),
        (Seen(1, 4, parked=True), 1, 3, False, Verdict.DUPLICATE),
        (Seen(1, 4, parked=True), 1, 9, True, Verdict.NEXT),
    ],
)
def test_what_an_event_is_to_its_key(
    seen: Seen, epoch: int, sequence: int, full_state: bool, verdict: Verdict
) -> None:
    assert seen.admit(_at(epoch, sequence), full_state) is verdict


def test_two_events_with_one_sequence_are_nobodys_to_judge() -> None:
    seen = Seen(1, 4, uuid4())
    with pytest.raises(SequenceConflictError):
        seen.admit(_at(1, 4), full_state=False)


def test_a_view_holds_for_the_position_that_a_commit_returned_and_is_used_once() -> None:
    views, stands, seen = Views(), Position("t", 0, 5, 3), {"a": Seen(1, 4)}
    views.keep(stands, seen, ["a"])
    assert views.take(replace(stands)) == {}
    views.keep(stands, seen, ["a"])
    assert views.take(stands) == {"a": Seen(1, 4)}
    assert views.take(stands) == {}
    assert views.take(None) == {}


def test_a_view_forgets_the_keys_that_have_been_silent_longest() -> None:
    views, stands = Views(keys=2), Position("t", 0, 5, 3)
    views.keep(stands, {"a": Seen(), "b": Seen(), "c": Seen()}, ["a"])
    assert list(views.take(stands)) == ["c", "a"]


@pytest.mark.parametrize(
    ("statements", "together"),
    [
        (["INSERT INTO a VALUES ($1)", "INSERT INTO b VALUES ($1)"], True),
        (["INSERT INTO a VALUES ($1)", "UPDATE a SET n = $1"], False),
        (["INSERT INTO a VALUES ($1)", "INSERT INTO b SELECT n FROM a WHERE n = $1"], False),
        (["delete from A where n = $1", "UPDATE b SET n = $1"], True),
    ],
)
def test_effects_travel_together_only_if_none_touches_what_another_changes(
    statements: list[str], together: bool
) -> None:
    assert independent([Effect(sql, (1,)) for sql in statements]) is together


async def test_of_a_bucket_only_the_prefix_that_arrived_is_deleted() -> None:
    """Rows (bucket, arrived?): a row behind one that failed stays, even if it arrived itself."""
    loop = asyncio.get_running_loop()

    def delivery(arrived: bool | None) -> asyncio.Future[object]:
        future: asyncio.Future[object] = loop.create_future()
        if arrived is not None:
            future.set_result(None) if arrived else future.set_exception(KafkaError())
        return future

    fates = [(1, True), (2, True), (1, False), (2, True), (1, True), (3, None), (3, True), (2, True)]
    rows = [{"id": n, "bucket": where} for n, (where, _) in enumerate(fates)]
    kept = acknowledged(rows, [delivery(arrived) for _, arrived in fates[:-1]])
    assert [row["id"] for row in kept] == [0, 1, 3]


def test_the_statement_of_a_shape_is_always_the_same_text() -> None:
    effects = [
        Effect("UPDATE a SET n = $2 WHERE m = $1", (1, 2), 1),
        Effect("DELETE FROM b WHERE n = $1", (3,)),
    ]
    sql, bound = composed(effects, [])
    assert bound == (1, 2, 1, 3)
    assert "UPDATE a SET n = $2 WHERE m = $1" in sql
    assert "DELETE FROM b WHERE n = $4" in sql
    assert "landed((SELECT count(*) FROM effect_0), $3::integer)" in sql
    others = [
        Effect(effect.sql, tuple(9 for _ in effect.arguments), effect.expect and 9) for effect in effects
    ]
    again, _ = composed(others, [])
    assert again is sql
