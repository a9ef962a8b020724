"""Throw whatever a description allows, and what it does not, at both doors of a service, and count the answers.

HTTP by schemathesis from the service's own OpenAPI; gRPC by messages drawn from the contract's descriptors.
Both mix in ids that exist, so that a call gets as deep as a real one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import requests
import schemathesis
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from services.chassis.call import Service

PATIENCE_S = 20
Answer = tuple[str, str, str]  # door, operation, status and reason


@dataclass(slots=True)
class Answers:
    """How often each operation answered what."""

    counted: Counter[Answer] = field(default_factory=Counter)

    def add(self, door: str, operation: str, said: str) -> None:
        self.counted[door, operation, said] += 1

    def faults(self) -> list[Answer]:
        """Answers that no input may ever get: the service failed, or did not understand itself."""
        return sorted(
            answer
            for answer in self.counted
            if answer[2].startswith(("5", "INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DATA_LOSS"))
        )

    def operations(self, door: str) -> set[str]:
        return {operation for at, operation, _ in self.counted if at == door}

    def table(self) -> str:
        """By door: each answer, from how many operations, how often."""
        lines = [f"{'door':5} {'answer':46} {'operations':>10} {'times':>7}"]
        for door in ("http", "grpc"):
            said: Counter[str] = Counter()
            where: dict[str, set[str]] = {}
            for (at, operation, answer), times in self.counted.items():
                if at == door:
                    said[answer] += times
                    where.setdefault(answer, set()).add(operation)
            lines += [
                f"{door:5} {each:46} {len(where[each]):>10} {times:>7}" for each, times in said.most_common()
            ]
        return "\n".join(lines)


def _trying(examples: int, number: int) -> Any:
    """The same examples every time: what was found once is found again."""

    def trying(test: Any) -> Any:
        return seed(number)(
            settings(
                max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(test)
        )  # fmt: skip

    return trying


def http(
    base_url: str, document: Mapping[str, Any], headers: Mapping[str, str], known: Mapping[str, Sequence[str]],
    answers: Answers, examples: int,
) -> None:  # fmt: skip
    """Every operation that is not a stream. `known`: ids that exist, by the name of a path parameter."""
    # Without tokens it would be the tokens that are tried; tests of the doors do that.
    public = {
        path: {verb: {**each, "security": []} for verb, each in verbs.items()}
        for path, verbs in document["paths"].items()
    }
    schema = schemathesis.openapi.from_dict({**document, "paths": public, "security": []})
    with requests.Session() as session:
        session.trust_env = False
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # raises for a description that is none
            if not _streams(operation):
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    _http(operation, mode, base_url, session, headers, known, answers, examples)


def _http(
    operation: Any, mode: GenerationMode, base_url: str, session: requests.Session, headers: Mapping[str, str],
    known: Mapping[str, Sequence[str]], answers: Answers, examples: int,
) -> None:  # fmt: skip
    name = f"{operation.method.upper()} {operation.path}"

    @_trying(examples, 20261124)  # type: ignore[untyped-decorator]
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def one(case: Any, data: st.DataObject) -> None:
        for parameter, ids in known.items():
            if parameter in (case.path_parameters or {}) and data.draw(st.integers(0, 3)):
                case.path_parameters[parameter] = data.draw(st.sampled_from(ids))
        case.headers = None
        key = {"idempotency-key": str(uuid.uuid4())}
        answer = case.call(base_url=base_url, session=session, headers={**headers, **key}, timeout=PATIENCE_S)
        answers.add("http", name, f"{answer.status_code} {_reason(answer)}".strip())

    try:
        one()
    except Unsatisfiable:
        if mode is GenerationMode.POSITIVE:
            raise
        # Nothing can be said wrongly where nothing is said.


def _streams(operation: Any) -> bool:
    answers = operation.definition.raw.get("responses", {}).get("200", {}).get("content", {})
    return any("ndjson" in each or "event-stream" in each for each in answers)


def _reason(answer: Any) -> str:
    if answer.status_code < 400:
        return ""
    try:
        return str(answer.json().get("reason", ""))
    except ValueError:
        return "no-problem"


def rpc(
    target: str, services: Sequence[Service], metadata: Sequence[tuple[str, str]],
    known: Sequence[str], answers: Answers, examples: int,
) -> None:  # fmt: skip
    """Every method, streams too, of which the first answer counts."""
    with grpc.insecure_channel(target) as channel:
        for service in services:
            described: ServiceDescriptor = Default().FindServiceByName(service.name)
            for method in described.methods:
                _rpc(channel, service.name, method, metadata, known, answers, examples)


def _rpc(
    channel: grpc.Channel, service: str, method: Any, metadata: Sequence[tuple[str, str]],
    known: Sequence[str], answers: Answers, examples: int,
) -> None:  # fmt: skip
    name = f"{service}/{method.name}"
    shape = channel.unary_stream if method.server_streaming else channel.unary_unary
    ask: Any = shape(
        f"/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=lambda raw: raw,
    )

    @_trying(examples, 20261124)  # type: ignore[untyped-decorator]
    @given(messages(method.input_type, known))
    def one(request: Message) -> None:
        told = (*metadata, ("idempotency-key", str(uuid.uuid4())))
        try:
            answer = ask(request, metadata=told, timeout=PATIENCE_S)
            if method.server_streaming:
                next(iter(answer), None)
                answer.cancel()
            answers.add("grpc", name, "OK")
        except grpc.RpcError as error:
            answers.add("grpc", name, f"{error.code().name} {_slug(error)}".strip())

    one()


def _slug(error: Any) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    for detail in [] if status is None else status.details:
        if detail.Unpack(info):
            return str(info.reason)
    return ""


_TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        ["", " ", "\x00", "‮", "'; DROP TABLE person; --", "x" * 5_000, "../../etc/passwd", "NaN"]
    ),
    st.sampled_from(["2026-11-24", "2026-11-25", "2026-02-30", "0001-01-01", "9999-12-31", "24.11.2026"]),
    st.sampled_from(["riverside", "diapers-size-1", "share-1", "en", "+1-555-0100"]),
    st.uuids().map(str),
)
_EDGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _whole(kind: int) -> st.SearchStrategy[int]:
    least, most = _EDGES[kind]
    small = st.integers(max(-2, least), 100)
    return st.one_of(small, small, st.sampled_from([least, most]), st.integers(least, most))


def _value(described: Any, known: Sequence[str], depth: int) -> st.SearchStrategy[Any]:
    match described.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return messages(described.message_type, known, depth + 1)
        case FieldDescriptor.CPPTYPE_STRING if described.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=80)
        case FieldDescriptor.CPPTYPE_STRING if described.name.endswith("_id") and known:
            return st.integers(0, 7).flatmap(lambda roll: st.sampled_from(list(known)) if roll else _TEXTS)
        case FieldDescriptor.CPPTYPE_STRING:
            return _TEXTS
        case FieldDescriptor.CPPTYPE_ENUM:
            numbers = [each.number for each in described.enum_type.values]
            return st.one_of(st.sampled_from(numbers), st.integers(-1, 99))
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return st.floats(width=32)
        case kind:
            return _whole(kind)


@st.composite
def messages(draw: st.DrawFn, described: Any, known: Sequence[str], depth: int = 0) -> Message:
    """Any message of that kind; most fields are set, and many to what could be meant."""
    message: Message = GetMessageClass(described)()
    for each in _chosen(draw, described):
        if depth > 4 and each.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            continue
        value = _value(each, known, depth)
        if each.is_repeated:
            values = draw(st.lists(value, max_size=3))
            getattr(message, each.name).extend(values)
        elif each.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(message, each.name).CopyFrom(draw(value))
        else:
            setattr(message, each.name, draw(value))
    return message


def _chosen(draw: st.DrawFn, described: Any) -> Iterator[Any]:
    """Of fields that exclude each other the last one that is set stays."""
    for each in described.fields:
        if draw(st.integers(0, 3)):
            yield each
