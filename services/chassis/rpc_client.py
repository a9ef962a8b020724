"""Asking a neighbour: connects when first asked, waits no longer than its caller, retries what is safe."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from services.chassis import discretion, errors, status, tracing
from services.chassis.binding import describe
from services.chassis.call import Call
from services.chassis.errors import AidError, Kind
from services.chassis.identity import ServiceToken
from services.chassis.metrics import Metrics

# What we keep of our caller's time to answer them after the neighbour failed to.
_MARGIN_S = 0.05

R = TypeVar("R", bound=Message)


class RpcClient:
    """One neighbour's service. `call` and `stream` raise AidError as the neighbour meant it; an answer that
    did not come in time is Kind.DEADLINE and means *unknown*, not *failed*."""

    def __init__(
        self, target: str, service: str, token: ServiceToken | None = None, metrics: Metrics | None = None
    ) -> None:
        self._target = target
        self._service = describe(service)
        self._token = token
        self._metrics = metrics
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Callable[..., Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None
            self._methods.clear()

    async def call(
        self,
        method: str,
        request: Message,
        response: type[R],
        *,
        timeout: float,
        call: Call | None = None,
        idempotency_key: str = "",
    ) -> R:
        """Ask once (the channel may ask again if the method is idempotent). `timeout` is in seconds, cut to
        what `call`, on whose behalf we ask, has left."""
        budget = _budget(timeout, call)
        began = time.perf_counter()
        code = "OK"
        try:
            raw: bytes = await self._method(method)(
                request.SerializeToString(), timeout=budget, metadata=self._metadata(call, idempotency_key)
            )
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            raise _ours(error) from error
        finally:
            self._observe(method, code, time.perf_counter() - began)
        return response.FromString(raw)

    async def stream(
        self,
        method: str,
        request: Message,
        response: type[R],
        *,
        timeout: float | None = None,
        call: Call | None = None,
    ) -> AsyncIterator[R]:
        """A server stream; without a timeout it lasts until either side leaves."""
        budget = None if timeout is None and call is None else _budget(timeout or float("inf"), call)
        answers = self._method(method)(
            request.SerializeToString(), timeout=budget, metadata=self._metadata(call, "")
        )
        try:
            async for raw in answers:
                yield response.FromString(raw)
        except grpc.aio.AioRpcError as error:
            raise _ours(error) from error
        finally:
            answers.cancel()

    def _method(self, name: str) -> Callable[..., Any]:
        bound = self._methods.get(name)
        if bound is None:
            if self._channel is None:
                self._channel = _channel(self._target, self._service)
            descriptor = self._service.methods_by_name[name]
            make = self._channel.unary_stream if descriptor.server_streaming else self._channel.unary_unary
            bound = self._methods[name] = make(
                f"/{self._service.full_name}/{name}", request_serializer=None, response_deserializer=None
            )
        return bound

    def _metadata(self, call: Call | None, idempotency_key: str) -> list[tuple[str, str]]:
        metadata = [("traceparent", tracing.child(call.traceparent if call else tracing.current()))]
        if self._token is not None:
            metadata.append(("authorization", f"Bearer {self._token.get()}"))
        if idempotency_key:
            metadata.append(("idempotency-key", idempotency_key))
        return metadata

    def _observe(self, method: str, code: str, seconds: float) -> None:
        if self._metrics is not None and not discretion.hushed():
            self._metrics.client_seconds.labels(f"{self._service.full_name}/{method}", code).observe(seconds)


def service_config(service: ServiceDescriptor) -> str:
    """Retries by contract: only what the proto calls idempotent, only when the neighbour was not there."""
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    safe = [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if _idempotent(method)
    ]
    config: dict[str, object] = {"retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}}
    if safe:
        config["methodConfig"] = [{"name": safe, "retryPolicy": policy}]
    return json.dumps(config)


def _idempotent(method: MethodDescriptor) -> bool:
    return method.GetOptions().idempotency_level in (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


def _channel(target: str, service: ServiceDescriptor) -> grpc.aio.Channel:
    # The place where TLS goes: channel credentials instead of an insecure channel.
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.service_config", service_config(service)),
            ("grpc.enable_retries", 1),
            # A neighbour that was restarted is found again within a second, not after two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.max_receive_message_length", 4 << 20),
            # Two clients in one process do not share a fate or a retry throttle.
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


def _budget(timeout: float, call: Call | None) -> float:
    if call is None:
        return timeout
    budget = min(timeout, call.remaining().total_seconds() - _MARGIN_S)
    if budget <= 0:
        raise errors.deadline("deadline-passed", "Too little time is left to ask a neighbour.")
    return budget


def _ours(error: grpc.aio.AioRpcError) -> AidError:
    """What the neighbour said. That it did not accept *our* token is no fault of our caller's."""
    said = status.from_wire(error)
    if said.kind is Kind.UNAUTHENTICATED:
        return AidError(Kind.INTERNAL, "service-token-refused", "The neighbour did not accept this service.")
    return said
