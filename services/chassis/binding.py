"""A proto service and its implementation, checked against each other before the first call arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from services.chassis import errors
from services.chassis.call import Call, Route, Rule, Service


@dataclass(frozen=True, slots=True)
class Method:
    """One method as both doors serve it; `name` is the full one, `aid.intake.v1.IntakeService/OpenCase`."""

    name: str
    descriptor: MethodDescriptor
    request: type[Message]
    streams: bool
    rule: Rule | None
    implementation: Callable[[Any, Call], Any]

    def parse(self, raw: bytes) -> Message:
        try:
            return self.request.FromString(raw)
        except DecodeError as error:
            raise errors.invalid(
                "request-malformed", f"Not a {self.request.DESCRIPTOR.full_name}."
            ) from error

    def admission(self) -> Rule:
        """The rule of this method. Deny by default: no rule lets nobody in."""
        if self.rule is None:
            raise errors.denied("no-rule", "This method is open to nobody.")
        return self.rule

    def answer(self, request: Message, call: Call) -> Awaitable[Message]:
        return cast("Awaitable[Message]", self.implementation(request, call))

    def stream(self, request: Message, call: Call) -> AsyncIterator[Message]:
        return cast("AsyncIterator[Message]", self.implementation(request, call))


def describe(service: str) -> ServiceDescriptor:
    """The descriptor of a proto service whose generated module has been imported."""
    return descriptor_pool.Default().FindServiceByName(service)


def bind(service: Service) -> list[Method]:
    """Every method of the service. Raises ValueError for what would only show at a call: a method that is not
    implemented, a rule or a route for a method that does not exist."""
    descriptor = describe(service.name)
    known = {method.name for method in descriptor.methods}
    for name in [*service.rules, *(route.method for route in service.routes)]:
        if name not in known:
            raise ValueError(f"{service.name} has no method {name}")
    return [_bound(service, method) for method in descriptor.methods]


def routed(services: Sequence[Service]) -> list[tuple[Route, Method]]:
    """Every HTTP route with its method, in the order in which they were declared."""
    pairs = []
    for service in services:
        methods = {method.descriptor.name: method for method in bind(service)}
        pairs += [(route, methods[route.method]) for route in service.routes]
    return pairs


def _bound(service: Service, method: MethodDescriptor) -> Method:
    if method.client_streaming:
        raise ValueError(f"{service.name}/{method.name}: client streams have no HTTP form and are not served")
    implementation = getattr(service.implementation, method.name, None)
    if implementation is None:
        raise ValueError(f"{service.name}/{method.name} is not implemented")
    return Method(
        name=f"{service.name}/{method.name}",
        descriptor=method,
        request=GetMessageClass(method.input_type),
        streams=method.server_streaming,
        rule=service.rules.get(method.name),
        implementation=implementation,
    )
