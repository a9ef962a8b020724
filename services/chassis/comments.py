"""The comments of the contracts. Generated Python forgets them; the descriptor set beside it does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

FILE = "descriptors.binpb"

# Numbers of fields in descriptor.proto: the steps of a source location's path.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED_MESSAGES, _NESTED_ENUMS = 2, 3, 4
_METHODS = 2
_VALUES = 2

Path_ = tuple[int, ...]


class Comments:
    """Full name of a message, field, enum, value, service or method -> what the contract says about it."""

    def __init__(self, by_name: Mapping[str, str]) -> None:
        self._by_name = by_name

    @classmethod
    def found(cls) -> Self:
        """From the descriptor sets in the folders of generated code; without one there are no comments."""
        files = [Path(folder) / FILE for folder in sys.path]
        # Each set lies whole after the other: what two of them say of one file, the last says.
        return cls.read(b"".join(file.read_bytes() for file in files if file.is_file()))

    @classmethod
    def read(cls, descriptor_set: bytes) -> Self:
        by_name: dict[str, str] = {}
        for file in FileDescriptorSet.FromString(descriptor_set).file:
            words = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
            for path, name in _named(file):
                if comment := words.get(path, ""):
                    by_name[name] = " ".join(comment.split())
        return cls(by_name)

    def of(self, full_name: str) -> str:
        return self._by_name.get(full_name, "")


def _named(file: FileDescriptorProto) -> Iterator[tuple[Path_, str]]:
    for i, message in enumerate(file.message_type):
        yield from _in_message(message, (_MESSAGES, i), file.package)
    for i, enum in enumerate(file.enum_type):
        yield from _in_enum(enum, (_ENUMS, i), file.package)
    for i, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (_SERVICES, i), name
        for j, method in enumerate(service.method):
            yield (_SERVICES, i, _METHODS, j), f"{name}.{method.name}"


def _in_message(message: DescriptorProto, path: Path_, scope: str) -> Iterator[tuple[Path_, str]]:
    name = f"{scope}.{message.name}"
    yield path, name
    for i, field in enumerate(message.field):
        yield (*path, _FIELDS, i), f"{name}.{field.name}"
    for i, nested in enumerate(message.nested_type):
        yield from _in_message(nested, (*path, _NESTED_MESSAGES, i), name)
    for i, enum in enumerate(message.enum_type):
        yield from _in_enum(enum, (*path, _NESTED_ENUMS, i), name)


def _in_enum(enum: EnumDescriptorProto, path: Path_, scope: str) -> Iterator[tuple[Path_, str]]:
    """Values live beside their enum, not in it: that is how protobuf scopes them."""
    yield path, f"{scope}.{enum.name}"
    for i, value in enumerate(enum.value):
        yield (*path, _VALUES, i), f"{scope}.{value.name}"
