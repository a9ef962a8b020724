"""The OpenAPI document of a service: derived from its contracts and routes, in the contracts' own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from services.chassis.binding import Method, routed
from services.chassis.call import Route, Service
from services.chassis.comments import Comments
from services.chassis.transcode import WITHOUT_BODY, path_fields

Json = dict[str, object]

_INTEGER: Json = {"type": "integer", "format": "int32"}
_LONG: Json = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
_NUMBER: Json = {"type": "number"}

_SCALARS: dict[int, Json] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_DOUBLE: _NUMBER,
    FieldDescriptor.TYPE_FLOAT: _NUMBER,
    FieldDescriptor.TYPE_INT32: _INTEGER,
    FieldDescriptor.TYPE_SINT32: _INTEGER,
    FieldDescriptor.TYPE_SFIXED32: _INTEGER,
    FieldDescriptor.TYPE_UINT32: _INTEGER,
    FieldDescriptor.TYPE_FIXED32: _INTEGER,
    FieldDescriptor.TYPE_INT64: _LONG,
    FieldDescriptor.TYPE_SINT64: _LONG,
    FieldDescriptor.TYPE_SFIXED64: _LONG,
    FieldDescriptor.TYPE_UINT64: _LONG,
    FieldDescriptor.TYPE_FIXED64: _LONG,
}

# Messages whose JSON form is not an object of their fields.
_WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Empty": {"type": "object"},
}

_PROBLEM: Json = {
    "type": "object",
    "description": "Why a call was refused; programs look at `reason`.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "A stable slug."},
    },
    "required": ["type", "title", "status", "detail", "reason"],
}


def document(title: str, services: Sequence[Service]) -> Json:
    """OpenAPI 3.1 over every route of the services."""
    writer = _Writer(Comments.found())
    paths: dict[str, Json] = {}
    for route, method in routed(services):
        paths.setdefault(route.path, {})[route.verb.lower()] = writer.operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **writer.schemas},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


class _Writer:
    """Writes operations and, as they are met, the schemas of the messages they carry."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self._routes: Counter[str] = Counter()
        self.schemas: dict[str, Json] = {}

    def operation(self, route: Route, method: Method) -> Json:
        descriptor = method.descriptor
        in_path = path_fields(route.path)
        self._routes[method.name] += 1
        nth = self._routes[method.name]
        operation: Json = {
            "operationId": descriptor.name if nth == 1 else f"{descriptor.name}_{nth}",
            "tags": [descriptor.containing_service.name],
            "description": self._comments.of(descriptor.full_name),
            "parameters": [*self._parameters(route, descriptor.input_type, in_path), *_headers(method)],
            "responses": self._responses(method),
            "security": [{}, {"token": []}] if method.rule and method.rule.public else [{"token": []}],
        }
        if method.rule is not None and method.rule.roles:
            operation["x-roles"] = sorted(method.rule.roles)
        if route.verb not in WITHOUT_BODY:
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": self._message(descriptor.input_type)}},
            }
        return operation

    def _parameters(self, route: Route, request: Descriptor, in_path: Sequence[str]) -> Iterable[Json]:
        for name in in_path:
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        if route.verb in WITHOUT_BODY:
            for field in request.fields:
                if field.name not in in_path and (field.message_type is None or _plain(field)):
                    yield {
                        "name": field.json_name,
                        "in": "query",
                        "description": self._comments.of(field.full_name),
                        "schema": self._field(field),
                    }

    def _responses(self, method: Method) -> Json:
        schema = self._message(method.descriptor.output_type)
        content: Json = {"application/json": {"schema": schema}}
        if method.streams:
            line = {"type": "object", "properties": {"result": schema, "error": _reference("Problem")}}
            content = {"application/x-ndjson": {"schema": line}, "text/event-stream": {"schema": schema}}
        refusal = {"application/problem+json": {"schema": _reference("Problem")}}
        return {
            "200": {"description": "The answer.", "content": content},
            "default": {"description": "A refusal.", "content": refusal},
        }

    def _message(self, message: Descriptor) -> Json:
        if message.full_name in _WELL_KNOWN:
            return _WELL_KNOWN[message.full_name]
        if message.full_name not in self.schemas:
            schema = self.schemas[message.full_name] = {"type": "object"}  # first, for messages that recur
            schema["description"] = self._comments.of(message.full_name)
            schema["properties"] = {field.json_name: self._described(field) for field in message.fields}
            schema["additionalProperties"] = False
        return _reference(message.full_name)

    def _described(self, field: FieldDescriptor) -> Json:
        words = self._comments.of(field.full_name)
        if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1:
            others = ", ".join(each.json_name for each in field.containing_oneof.fields)
            words = f"{words} At most one of: {others}.".strip()
        return {**self._field(field), "description": words}

    def _field(self, field: FieldDescriptor) -> Json:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._single(entry.fields_by_name["value"])}
        return {"type": "array", "items": self._single(field)} if field.is_repeated else self._single(field)

    def _single(self, field: FieldDescriptor) -> Json:
        if field.message_type is not None:
            return self._message(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return dict(_SCALARS[field.type])

    def _enum(self, enum: EnumDescriptor) -> Json:
        if enum.full_name not in self.schemas:
            scope = enum.full_name.removesuffix(enum.name)
            values = [f"`{value.name}`: {self._comments.of(scope + value.name)}" for value in enum.values]
            words = self._comments.of(enum.full_name)
            self.schemas[enum.full_name] = {
                "type": "string",
                "enum": [value.name for value in enum.values],
                "description": "\n".join([words, *values]).strip(),
            }
        return _reference(enum.full_name)


def _plain(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in _WELL_KNOWN


def _headers(method: Method) -> list[Json]:
    """Whatever is not a mere question is a command, and commands carry a key."""
    if method.descriptor.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS:
        return []
    words = "Made by the client for this one command: the same key with the same body gets the same answer."
    return [
        {"name": "Idempotency-Key", "in": "header", "description": words, "schema": {"type": "string"}},
    ]


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
