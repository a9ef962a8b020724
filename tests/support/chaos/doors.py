"""One attempt at a command through a public door, and what its answer means for the one who sent it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import grpc
import httpx
from aid.intake.v1 import intake_pb2 as intake
from aid.logistics.v1 import logistics_pb2 as logistics
from aid.matching.v1 import matching_pb2 as matching
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from deploy.local.ports import HOST
from deploy.local.service import Doors as Ports
from services.chassis.call import Route
from services.chassis.errors import HTTP_STATUS, AidError, Kind
from services.chassis.status import from_wire
from services.chassis.transcode import path_fields
from services.intake.entrypoints.rules import ROUTES as INTAKE
from services.logistics.entrypoints.rules import ROUTES as LOGISTICS
from services.matching.entrypoints.rules import ROUTES as MATCHING

R = TypeVar("R", bound=Message)

ROUTES: Mapping[str, tuple[Route, ...]] = {"intake": INTAKE, "matching": MATCHING, "logistics": LOGISTICS}
_FILES = {"intake": intake.DESCRIPTOR, "matching": matching.DESCRIPTOR, "logistics": logistics.DESCRIPTOR}
_KINDS = {status: kind for kind, status in HTTP_STATUS.items()}
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED})
# A service that was restarted is found again at once.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
]


class NotAnsweredError(Exception):
    """Nobody can tell whether it happened: the same command is sent again with the same key."""


class FailedError(NotAnsweredError):
    """Nor here, but the service says that it is at fault."""


def unsettled(error: AidError) -> NotAnsweredError | None:
    """What is left open by this answer; None when the service has definitely refused."""
    if error.kind in _AWAY or error.reason == "busy":
        return NotAnsweredError(error.reason)
    if error.kind is Kind.INTERNAL:
        # `rpc-…` is what gRPC makes of a connection that broke.
        return (
            NotAnsweredError(error.reason) if error.reason.startswith("rpc-") else FailedError(error.reason)
        )
    return None


@lru_cache
def method_of(service: str, name: str) -> MethodDescriptor:
    found: MethodDescriptor = (
        _FILES[service].services_by_name[f"{service.title()}Service"].methods_by_name[name]
    )
    return found


def said(message: Message) -> dict[str, Any]:
    """A message as a dictionary with every field, under the contract's own names."""
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


@dataclass(frozen=True, slots=True)
class Doors:
    """The gRPC and HTTP doors of all services. `patience` is the deadline of one attempt, seconds."""

    channels: Mapping[str, grpc.aio.Channel]
    http: httpx.AsyncClient
    bases: Mapping[str, str]
    patience: float

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, ports: Mapping[str, Ports], patience: float = 8.0) -> AsyncIterator[Doors]:
        services = {name: ports[name] for name in ROUTES}
        async with contextlib.AsyncExitStack() as resources:
            channels = {
                name: await resources.enter_async_context(
                    grpc.aio.insecure_channel(f"{HOST}:{each.rpc}", options=_CHANNEL)
                )
                for name, each in services.items()
            }
            http = await resources.enter_async_context(
                httpx.AsyncClient(trust_env=False, timeout=patience, limits=httpx.Limits(max_connections=64))
            )
            bases = {name: f"http://{HOST}:{each.http}" for name, each in services.items()}
            yield cls(channels, http, bases, patience)

    async def attempt(
        self, door: str, service: str, method: str, request: Message, headers: Mapping[str, str]
    ) -> Message:
        """The answer. Raises NotAnsweredError, or AidError when it was refused."""
        try:
            if door == "http":
                return await self._by_http(service, method, request, headers)
            return await self._by_rpc(service, method, request, headers)
        except AidError as error:
            if (left_open := unsettled(error)) is not None:
                raise left_open from error
            raise

    async def _by_rpc(
        self, service: str, method: str, request: Message, headers: Mapping[str, str]
    ) -> Message:
        descriptor = method_of(service, method)
        call = self.channels[service].unary_unary(
            f"/{descriptor.containing_service.full_name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(descriptor.output_type).FromString,
        )
        try:
            answer: Message = await call(request, timeout=self.patience, metadata=tuple(headers.items()))
        except grpc.aio.AioRpcError as error:
            raise from_wire(error) from error
        return answer

    async def _by_http(
        self, service: str, method: str, request: Message, headers: Mapping[str, str]
    ) -> Message:
        verb, path, body = addressed(ROUTES[service], method, request)
        sent = {"params" if verb == "GET" else "json": body}
        try:
            response = await self.http.request(
                verb,
                self.bases[service] + path,
                headers=dict(headers),
                **sent,  # type: ignore[arg-type]
            )
        except httpx.TransportError as error:
            raise NotAnsweredError(type(error).__name__) from error
        if response.is_error:
            problem = response.json()
            raise AidError(_KINDS[response.status_code], problem["reason"], problem["detail"])
        answer = GetMessageClass(method_of(service, method).output_type)()
        return json_format.ParseDict(response.json(), answer)


def addressed(routes: tuple[Route, ...], method: str, request: Message) -> tuple[str, str, dict[str, Any]]:
    """Verb, path and body: the first route of the method whose path can be filled from the request."""
    body = json_format.MessageToDict(request, preserving_proto_field_name=True)
    for route in routes:
        filled = {name: _reach(body, name) for name in path_fields(route.path)}
        if route.method == method and all(filled.values()):
            path = route.path
            for name, value in filled.items():
                path = path.replace(f"{{{name}}}", str(value))
            return route.verb, path, {name: value for name, value in body.items() if name not in filled}
    raise LookupError(f"{method} has no route that this request fits")


def _reach(body: Mapping[str, Any], dotted: str) -> Any:
    found: Any = body
    for step in dotted.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
