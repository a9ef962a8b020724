"""Log lines: JSON, with slugs and ids, and without a word of anybody's data."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from services.chassis import logs, tracing
from services.chassis.errors import MisconfiguredError, missing


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("intake", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_happened_to_which_ids_in_which_trace(stream: io.StringIO) -> None:
    with tracing.span(tracing.new()) as span:
        logs.logger("relay").info("batch-sent", topic="aid.intake.cases.v1", count=3)
    (line,) = lines(stream)
    assert (line["event"], line["topic"], line["count"]) == ("batch-sent", "aid.intake.cases.v1", 3)
    assert (line["service"], line["logger"], line["level"]) == ("intake", "aid.relay", "info")
    assert line["trace"] == tracing.trace_id(span)


def test_an_exception_is_its_class_and_place_without_its_words(stream: io.StringIO) -> None:
    def fail() -> None:
        try:
            int("MARKER inner")
        except ValueError as error:
            raise RuntimeError("MARKER outer") from error

    with pytest.raises(RuntimeError) as caught:
        fail()
    logs.logger("rpc").error("call-failed", error=caught.value, method="m")
    (line,) = lines(stream)
    assert "MARKER" not in json.dumps(line)
    outer, inner = line["error"]
    assert (outer["class"], inner["class"]) == ("builtins.RuntimeError", "builtins.ValueError")
    assert any("test_logs.py" in frame and "fail" in frame for frame in outer["stack"])


def test_what_is_wrong_with_the_configuration_is_said_in_words(stream: io.StringIO) -> None:
    logs.logger("x").error("died", error=MisconfiguredError("/run/kek (AID_KEYRING__FILE) is empty"))
    (line,) = lines(stream)
    assert line["error"][0]["message"] == "/run/kek (AID_KEYRING__FILE) is empty"


def test_what_may_be_known_of_an_exception_is_kept(stream: io.StringIO) -> None:
    class DatabaseError(Exception):
        sqlstate = "23505"
        constraint_name = "hold_capacity"
        detail = "MARKER"

    log = logs.logger("x")
    log.warning("retrying", error=DatabaseError("MARKER"))
    log.warning("refused", error=missing("no-such-case", "There is no such case."))
    database, ours = (line["error"][0] for line in lines(stream))
    assert (database["sqlstate"], database["constraint_name"]) == ("23505", "hold_capacity")
    assert ours["reason"] == "no-such-case"
    assert "MARKER" not in stream.getvalue()


def test_members_of_a_group_are_described_too(stream: io.StringIO) -> None:
    group = ExceptionGroup("MARKER", [ValueError("MARKER"), KeyError("MARKER")])
    logs.logger("x").error("died", error=group)
    (line,) = lines(stream)
    classes = [each["class"] for each in line["error"]]
    assert classes == ["builtins.ExceptionGroup", "builtins.ValueError", "builtins.KeyError"]
    assert "MARKER" not in stream.getvalue()


def test_libraries_speak_from_warning_on_and_only_open_books_with_their_arguments(
    stream: io.StringIO,
) -> None:
    logging.getLogger("somelib").info("nothing")
    logging.getLogger("somelib").warning("row %s is odd", "MARKER")
    logging.getLogger("aiokafka.cluster").warning("topic %s is not available", "aid.intake.cases.v1")
    foreign, kafka = lines(stream)
    assert foreign["event"] == "row %s is odd"
    assert kafka["event"] == "topic aid.intake.cases.v1 is not available"
    assert "MARKER" not in stream.getvalue()


def test_a_field_cannot_replace_the_event(stream: io.StringIO) -> None:
    logs.logger("x").info("real", level="fake", service="fake")
    (line,) = lines(stream)
    assert (line["level"], line["service"]) == ("info", "intake")
