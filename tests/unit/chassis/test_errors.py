"""Errors: which exceptions a caller may see, and that the two wires carry them whole."""

from __future__ import annotations

import asyncpg
import grpc
import grpc.aio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis import errors, faults, problems, status
from services.chassis.errors import HTTP_STATUS, AidError, Kind


class PlaceTakenError(Exception):
    """As a domain raises it."""

    kind = "refused"
    reason = "place-taken"


def test_every_kind_has_one_code_on_each_wire() -> None:
    assert set(status.CODES) == set(HTTP_STATUS) == set(Kind)
    assert len(set(status.CODES.values())) == len(set(HTTP_STATUS.values())) == len(Kind)


def test_a_domains_exception_is_recognised_by_its_attributes() -> None:
    error = errors.of(PlaceTakenError("Somebody was faster."))
    assert error is not None
    assert (error.kind, error.reason, error.message) == (Kind.REFUSED, "place-taken", "Somebody was faster.")


@pytest.mark.parametrize("foreign", [ValueError("MARKER"), RuntimeError("MARKER"), KeyError("MARKER")])
def test_a_foreign_exception_is_internal_and_keeps_its_words_to_itself(foreign: Exception) -> None:
    assert errors.of(foreign) is None
    shown = faults.shown(foreign, "m")
    assert (shown.kind, shown.reason) == (Kind.INTERNAL, "internal")
    assert "MARKER" not in str(shown)


@pytest.mark.parametrize(
    "passing",
    [
        ConnectionRefusedError("MARKER"),
        TimeoutError("MARKER"),
        asyncpg.InterfaceError("MARKER"),
        asyncpg.CannotConnectNowError("MARKER"),
        asyncpg.ConnectionDoesNotExistError("MARKER"),
        asyncpg.TooManyConnectionsError("MARKER"),
        asyncpg.AdminShutdownError("MARKER"),
        asyncpg.DeadlockDetectedError("MARKER"),
    ],
)
def test_a_fault_of_the_circumstances_asks_the_caller_to_try_again(passing: Exception) -> None:
    shown = faults.shown(passing, "m")
    assert (shown.kind, shown.reason) == (Kind.UNAVAILABLE, "resource-unavailable")
    assert "MARKER" not in str(shown)


@pytest.mark.parametrize(
    "ours", [asyncpg.UniqueViolationError("MARKER"), asyncpg.UndefinedTableError("MARKER")]
)
def test_a_fault_of_the_statement_is_ours(ours: Exception) -> None:
    assert faults.shown(ours, "m").kind is Kind.INTERNAL


@pytest.mark.parametrize(
    "error", [asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError]
)
def test_a_text_that_no_database_can_keep_is_the_caller_s_fault(error: type[Exception]) -> None:
    shown = faults.shown(error("MARKER"), "m")
    assert (shown.kind, shown.reason) == (Kind.INVALID, "text-not-storable")
    assert "MARKER" not in str(shown)


def test_an_attribute_named_kind_is_not_enough() -> None:
    class Odd(Exception):  # noqa: N818
        kind = "peculiar"
        reason = "none"

    assert errors.of(Odd("MARKER")) is None


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)


@settings(max_examples=30)
@given(
    kind=st.sampled_from(Kind),
    reason=st.from_regex(r"[a-z]+(-[a-z]+)*", fullmatch=True),
    message=words,
    details=st.dictionaries(words, words, max_size=3),
)
def test_an_error_survives_the_grpc_wire(
    kind: Kind, reason: str, message: str, details: dict[str, str]
) -> None:
    error = AidError(kind, reason, message)
    error.details = details
    code, sent, trailing = status.to_wire(error)
    received = status.from_wire(
        grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), sent, None)
    )
    assert (received.kind, received.reason, received.message) == (kind, reason, message)
    assert received.details == details


def test_a_detail_may_have_the_name_of_what_every_error_has() -> None:
    error = AidError(Kind.INVALID, "odd", "", kind="x", reason="y", message="z")
    assert (error.kind, error.reason, error.details["kind"]) == (Kind.INVALID, "odd", "x")


def test_an_error_that_grpc_made_is_named_after_its_code() -> None:
    made = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "ipv4:10.0.0.1 refused", None
    )
    error = status.from_wire(made)
    assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "rpc-unavailable")
    assert "10.0.0.1" not in error.message


def test_details_cannot_replace_what_a_problem_must_say() -> None:
    error = AidError(
        Kind.MISSING, "no-such-case", "There is no such case.", status="200", type="x", case="c1"
    )
    document = problems.problem(error)
    assert (document["status"], document["type"]) == (404, "urn:aid:no-such-case")
    assert document["case"] == "c1"
