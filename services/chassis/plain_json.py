"""A quick way for JSON that is as clients write it: decoded objects into what a message is made with.

`json_format` decides what is right. Here is read only what needs no judgement: names of the contract, texts, whole
numbers, truth values, enumerations by name, messages and lists of these. Whatever else there is (null, a number as
text, a moment, a name that nobody knows, a value of another type) is left to it, and so is every refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_SCALARS: dict[int, type] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_INT64: int,
    FieldDescriptor.TYPE_UINT32: int,
    FieldDescriptor.TYPE_UINT64: int,
}

# By what name the message has the field, the one type that its values have, and what makes a value of one.
_Field = tuple[str, type, Callable[[Any], object] | None]


class UnusualError(Exception):
    """It takes judgement. Says nothing of what was there."""


class PlainReader:
    """Reads the objects of one message type; made once for each route."""

    def __init__(self, message: type[Message]) -> None:
        self._message = message
        self._fields = _fields(cast(Descriptor, message.DESCRIPTOR), ())

    def read(self, tree: dict[str, Any]) -> Message:
        """The message that the object is; raises UnusualError where `json_format` has to decide."""
        try:
            return self._message(**_taken(self._fields, tree))
        except (KeyError, TypeError, ValueError) as error:
            raise UnusualError from error


def _fields(descriptor: Descriptor, within: tuple[Descriptor, ...]) -> dict[str, _Field]:
    """By both their names. Left out is what takes judgement: members of a oneof, maps, bytes, what protobuf itself
    writes in another way, and messages within themselves."""
    found: dict[str, _Field] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and len(oneof.fields) > 1:
            continue
        plain = _plain(field, (*within, descriptor))
        if plain is None:
            continue
        kind, make = plain
        if field.is_repeated:
            kind, make = list, _all(kind, make)
        found[field.name] = found[field.json_name] = field.name, kind, make
    return found


def _plain(
    field: FieldDescriptor, within: tuple[Descriptor, ...]
) -> tuple[type, Callable[[Any], object] | None] | None:
    """The type of its values, and what makes one; None if it takes judgement."""
    if field.enum_type is not None:
        return str, {each.name: each.number for each in field.enum_type.values}.__getitem__
    if (inner := field.message_type) is not None:
        foreign = inner.full_name.startswith("google.protobuf.")
        if foreign or inner in within or inner.GetOptions().map_entry:
            return None
        fields = _fields(inner, within)
        return dict, lambda tree: _taken(fields, tree)
    kind = _SCALARS.get(field.type)
    return None if kind is None else (kind, None)


def _all(kind: type, make: Callable[[Any], object] | None) -> Callable[[list[Any]], object]:
    def taken(values: list[Any]) -> list[object]:
        for each in values:
            if type(each) is not kind:
                raise TypeError
        return values if make is None else [make(each) for each in values]

    return taken


def _taken(fields: dict[str, _Field], tree: dict[str, Any]) -> dict[str, Any]:
    """What the message is made with. Exactly these types: what is true is a whole number to Python, too."""
    taken: dict[str, Any] = {}
    for key, value in tree.items():
        name, kind, make = fields[key]
        if type(value) is not kind or name in taken:
            raise TypeError
        taken[name] = value if make is None else make(value)
    return taken
