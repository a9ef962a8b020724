"""HTTP requests into proto messages and back: the proto JSON mapping, and fields from path and query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.chassis import errors
from services.chassis.binding import Method
from services.chassis.call import Route
from services.chassis.plain_json import PlainReader, UnusualError

# Verbs whose fields come from the query; the others bring a JSON body.
WITHOUT_BODY = frozenset({"GET", "DELETE"})
_NAMES = re.compile(r"{([^}:]+)}")
_FAILED_FIELD = re.compile(r"Failed to parse (\w+) field: ")
_UNKNOWN_FIELD = re.compile(r'Message type "[\w.]+" has no field named')

Tree = dict[str, object]


def path_fields(path: str) -> list[str]:
    """The request fields that a route's path names."""
    return _NAMES.findall(path)


def path_pattern(path: str) -> str:
    """The path as the router takes it: its names have no dots. No field of a contract has `__` in its name."""
    return _NAMES.sub(lambda name: name[0].replace(".", "__"), path)


class Transcoder:
    """One route: what makes its request message."""

    def __init__(self, route: Route, method: Method) -> None:
        self.takes_body = route.verb not in WITHOUT_BODY
        self._request = method.request
        self._descriptor = method.descriptor.input_type
        self._plain = PlainReader(method.request)
        for name in path_fields(route.path):
            _fields(self._descriptor, name)  # a typo in a route shows at start, not at a call

    def request(
        self, path: Mapping[str, str], query: Iterable[tuple[str, str]], body: bytes | None
    ) -> Message:
        tree = _object(body) if body else {}
        for name, text in path.items():
            _place(tree, self._descriptor, name.replace("__", "."), text)
        for name, text in query:
            if self.takes_body:
                raise errors.invalid("query-not-allowed", "This call takes its fields from the body.")
            _place(tree, self._descriptor, name, text)
        try:
            return self._plain.read(tree)
        except UnusualError:
            return self._judged(tree)

    def _judged(self, tree: Tree) -> Message:
        try:
            return json_format.ParseDict(tree, self._request())
        except (json_format.ParseError, RecursionError) as error:
            raise _misfit(str(error), self._descriptor) from error


def encode(message: Message) -> bytes:
    """JSON with every field, also those at their default: a client need not know which these are."""
    return msgspec.json.encode(json_format.MessageToDict(message, always_print_fields_with_no_presence=True))


def _object(body: bytes) -> Tree:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.invalid("json-malformed", "The body is not JSON.") from error
    if not isinstance(decoded, dict):
        raise errors.invalid("json-malformed", "The body is not a JSON object.")
    return decoded


def _misfit(said: str, descriptor: Descriptor) -> errors.AidError:
    """What is wrong, in names of the contract only: the library quotes the caller's values."""
    names: list[str] = []
    end = 0
    while (match := _FAILED_FIELD.match(said, end)) is not None:
        names.append(match[1])
        end = match.end()
    field = ".".join(names)
    if _UNKNOWN_FIELD.match(said, end):
        return errors.invalid(
            "field-unknown", "The request has a field that the contract does not name.", within=field
        )
    return errors.invalid("field-malformed", f"The request is not a {descriptor.full_name}.", field=field)


def _fields(descriptor: Descriptor, dotted: str) -> list[FieldDescriptor]:
    """The fields that a dotted name steps through. Raises AidError when there is no such field."""
    steps: list[FieldDescriptor] = []
    at: Descriptor | None = descriptor
    for name in dotted.split("."):
        field = None if at is None else at.fields_by_name.get(name) or at.fields_by_camelcase_name.get(name)
        if field is None:
            raise errors.invalid("field-unknown", "The address has a field that the contract does not name.")
        steps.append(field)
        at = field.message_type
    return steps


def _place(tree: Tree, descriptor: Descriptor, dotted: str, text: str) -> None:
    """Put one value of the address into the tree. What the body says already must be the same."""
    *outer, last = _fields(descriptor, dotted)
    for field in outer:
        inner = tree.setdefault(_key(tree, field), {})
        if not isinstance(inner, dict):
            raise errors.invalid("field-malformed", "The request does not fit.", field=field.json_name)
        tree = inner
    key, value = _key(tree, last), _value(last, text)
    if last.is_repeated:
        values = tree.setdefault(key, [])
        if isinstance(values, list):
            values.append(value)
    elif tree.setdefault(key, value) != value:
        raise errors.invalid("field-twice", "Path and body or query differ.", field=last.json_name)


def _key(tree: Tree, field: FieldDescriptor) -> str:
    """The name under which the tree has the field: both its names are legal."""
    return field.name if field.name in tree else field.json_name


def _value(field: FieldDescriptor, text: str) -> object:
    """Text is a legal JSON form of every scalar but bool."""
    if field.type == FieldDescriptor.TYPE_BOOL and text in ("true", "false"):
        return text == "true"
    return text
