"""JSON into messages: whatever arrives is either a message or a clear refusal, and never an accident."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.binding import bind
from services.chassis.call import Route
from services.chassis.errors import AidError, Kind
from services.chassis.transcode import Transcoder, encode
from tests.support import doors


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return doors.contract(tmp_path_factory)


@pytest.fixture(scope="module")
def echo(contract: Any) -> Transcoder:
    method = next(each for each in bind(doors.service(doors.Doors(contract))) if each.name.endswith("/Echo"))
    return Transcoder(Route("POST", "/v1/echo", "Echo"), method)


names = st.sampled_from(
    [
        "words",
        "times",
        "volume",
        "inner",
        "inners",
        "word",
        "at",
        "labels",
        "left",
        "placeId",
        "place_id",
        "x",
        "@type",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just("2026-11-24T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=400)
@given(tree=st.dictionaries(names, values, max_size=4))
def test_any_json_object_is_a_message_or_invalid(echo: Transcoder, tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    try:
        message = echo.request({}, [], body)
    except AidError as error:
        assert error.kind is Kind.INVALID
        assert error.reason in {"json-malformed", "field-malformed", "field-unknown"}
    else:
        assert echo.request({}, [], encode(message)) == message


@settings(deadline=None)
@given(body=st.binary(min_size=1, max_size=60))
def test_any_bytes_are_a_message_or_invalid(echo: Transcoder, body: bytes) -> None:
    try:
        echo.request({}, [], body)
    except AidError as error:
        assert error.kind is Kind.INVALID


@settings(deadline=None)
@given(
    words=st.text(st.characters(codec="utf-8"), max_size=20),
    times=st.integers(-(2**63), 2**63 - 1),
    volume=st.sampled_from([0, 1]),
    labels=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)
def test_a_message_comes_back_as_it_was(
    echo: Transcoder, contract: Any, words: str, times: int, volume: int, labels: dict[str, str]
) -> None:
    message = contract.EchoRequest(words=words, times=times, volume=volume, labels=labels)
    assert echo.request({}, [], encode(message)) == message
    assert msgspec.json.decode(encode(message)) == json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True
    )


def test_fields_of_the_path_reach_into_messages(contract: Any) -> None:
    method = next(each for each in bind(doors.service(doors.Doors(contract))) if each.name.endswith("/Look"))
    transcoder = Transcoder(Route("GET", "/v1/{place_id}/{inner.word}", "Look"), method)
    message = transcoder.request({"place_id": "p", "inner.word": "w"}, [("inner.word", "w")], None)
    assert message == contract.LookRequest(place_id="p", inner=contract.Inner(word="w"))
    with pytest.raises(AidError) as caught:
        transcoder.request({"place_id": "p", "inner.word": "w"}, [("inner.word", "other")], None)
    assert caught.value.reason == "field-twice"
    with pytest.raises(AidError):
        transcoder.request({"place_id": "p"}, [("place_id.deeper", "x")], None)
    with pytest.raises(AidError):
        transcoder.request({"place_id": "p"}, [("inner", "x"), ("inner.word", "x")], None)


def test_the_folder_of_generated_code_holds_the_comments(contract: Any) -> None:
    assert (Path(contract.__file__).parents[2] / "descriptors.binpb").is_file()
