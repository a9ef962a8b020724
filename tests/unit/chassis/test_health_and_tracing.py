"""Readiness, progress and trace context."""

from __future__ import annotations

import pytest

from services.chassis import tracing
from services.chassis.health import Liveness, Progress, Readiness


def test_ready_when_nothing_is_missing_and_never_again_after_draining() -> None:
    readiness = Readiness("migrated", "pool")
    readiness.set("migrated")
    assert not readiness.ready
    assert readiness.missing() == ["pool"]
    readiness.set("pool")
    assert readiness.ready
    readiness.clear("pool")
    assert not readiness.ready
    readiness.set("pool")
    readiness.drain()
    readiness.set("pool")
    assert not readiness.ready
    assert readiness.missing() == ["draining"]


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_work_without_movement_is_stuck() -> None:
    time = Time()
    progress = Progress("consumer", patience_s=30, monotonic=time)
    liveness = Liveness(progress)
    time.now = 1000
    assert liveness.stuck() == []  # no work: it may rest for ever

    progress.busy()
    time.now += 29
    progress.busy()  # more work does not buy more patience
    time.now += 2
    assert liveness.stuck() == ["consumer"]

    progress.moved()
    assert liveness.stuck() == []
    time.now += 31
    assert progress.still_s() == 31
    assert liveness.stuck() == ["consumer"]

    progress.idle()
    time.now += 1000
    assert liveness.stuck() == []


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "00-0-0-0",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "01-" + "1" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "G" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "1" * 32 + "-" + "1" * 16 + "-01\n",
    ],
)
def test_a_malformed_parent_begins_a_trace_of_its_own(malformed: str | None) -> None:
    assert not tracing.valid(malformed)
    child = tracing.child(malformed)
    assert tracing.valid(child)


def test_a_child_keeps_trace_and_flags_and_gets_a_span_of_its_own() -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
    child = tracing.child(parent)
    assert tracing.valid(child)
    assert tracing.trace_id(child) == "a" * 32
    assert child[36:52] != "b" * 16
    assert child.endswith("-00")


def test_a_span_is_left_where_it_was_entered() -> None:
    assert tracing.current() is None
    with tracing.span(tracing.new()) as outer:
        with tracing.span(tracing.child(outer)) as inner:
            assert tracing.current() == inner
        assert tracing.current() == outer
    assert tracing.current() is None
