"""The quick way into messages takes nothing that the proto JSON mapping refuses, and reads nothing otherwise than it."""

from __future__ import annotations

from typing import Any

import pytest
from aid.intake.v1 import entries_pb2, households_pb2, intake_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.plain_json import PlainReader, UnusualError

_ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(["1", "true", "2026-11-24T00:00:00Z", "\ud800"]),
    st.just([]),
    st.just([None]),
    st.just({}),
    st.just({"unknown": 1}),
)
REQUESTS = [
    intake_pb2.OpenCaseRequest,
    intake_pb2.OpenCaseResponse,
    intake_pb2.ReportNeedRequest,
    intake_pb2.ImportHouseholdsRequest,
    intake_pb2.TonightAnswer,
    entries_pb2.SubmitEntriesRequest,
    entries_pb2.Entry,
    households_pb2.AddPersonRequest,
    households_pb2.SplitHouseholdRequest,
]


def right(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """A value of the field as most clients write it."""
    if field.enum_type is not None:
        return st.sampled_from([each.name for each in field.enum_type.values])
    if field.message_type is not None:
        return trees(field.message_type, depth - 1) if depth else st.just({})
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return st.text(max_size=4)
        case FieldDescriptor.TYPE_BOOL:
            return st.booleans()
        case _:
            return st.integers(-5, 2**33)


def trees(descriptor: Any, depth: int = 3, odd: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of that type, by either name of each field, and as often as not with something odd in them."""

    def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
        value = right(field, depth)
        usual = st.lists(value, max_size=2) if field.is_repeated else value
        return st.one_of(usual, usual, usual, _ODD) if odd else usual

    named = {name: values(field) for field in descriptor.fields for name in {field.name, field.json_name}}
    return st.fixed_dictionaries({}, optional=named)


@pytest.mark.parametrize("message", REQUESTS, ids=lambda each: each.DESCRIPTOR.name)
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_what_is_read_quickly_is_what_the_mapping_says(message: type[Message], data: st.DataObject) -> None:
    tree = data.draw(trees(message.DESCRIPTOR))
    try:
        quick = PlainReader(message).read(tree)
    except UnusualError:
        return
    judged = json_format.ParseDict(tree, message())
    assert quick == judged
    assert quick.SerializeToString(deterministic=True) == judged.SerializeToString(deterministic=True)


@settings(deadline=None, max_examples=200)
@given(
    names=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3),
    unsheltered=st.booleans(),
    quantities=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
)
def test_what_the_mapping_writes_is_read_quickly(
    names: list[tuple[str, str]], unsheltered: bool, quantities: list[int]
) -> None:
    message = intake_pb2.OpenCaseRequest(
        household=intake_pb2.Household(
            persons=[intake_pb2.Person(given_name=given, family_name=family) for given, family in names],
            unsheltered=unsheltered,
        ),
        needs=[intake_pb2.NeedInput(quantity=each) for each in quantities],
    )
    for full in (True, False):
        tree = json_format.MessageToDict(message, always_print_fields_with_no_presence=full)
        assert PlainReader(intake_pb2.OpenCaseRequest).read(tree) == message


@pytest.mark.parametrize(
    "tree",
    [
        {"caseId": None},
        {"caseId": 1},
        {"caseId": "a", "case_id": "a"},
        {"findTonight": 1},
        {"needs": [{"quantity": True}]},
        {"needs": [{"quantity": "60"}]},
        {"needs": [{"quantity": 2**31}]},
        {"needs": [{"kind": 1}]},
        {"needs": [{"kind": "NEED_KIND_NONE_OF_THESE"}]},
        {"needs": [None]},
        {"needs": {}},
        {"household": []},
        {"household": {"persons": [{"nobody": ""}]}},
        {"occurredAt": "2026-11-24T00:00:00Z"},
        {"@type": ""},
        {"caseId": "\ud800"},
    ],
    ids=str,
)
def test_what_takes_judgement_is_left_to_the_mapping(tree: dict[str, Any]) -> None:
    with pytest.raises(UnusualError):
        PlainReader(intake_pb2.OpenCaseRequest).read(tree)
