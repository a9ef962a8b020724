"""The gRPC door: one wrapper around each method, because this door is what limits a service's speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from pydantic import BaseModel

from services.chassis import discretion, errors, faults, logs, status, streams, tracing
from services.chassis.binding import Method, bind
from services.chassis.call import UNLIMITED, Call, Service
from services.chassis.clock import wall
from services.chassis.identity import Identity
from services.chassis.metrics import Metrics

Context = grpc.aio.ServicerContext[Any, Any]

_log = logs.logger("rpc")


class RpcSettings(BaseModel):
    """The gRPC door. Port 0 takes a free one. `max_concurrent` counts open streams too; beyond it callers are
    told RESOURCE_EXHAUSTED. `drain_s` is how long a shutdown waits for calls that run."""

    host: str = "127.0.0.1"
    port: int = 0
    max_message_bytes: int = 4 << 20
    max_concurrent: int = 1024
    drain_s: float = 10.0


class RpcServer:
    """Serves the services, health (open to all) and reflection (open to all)."""

    name = "rpc"

    def __init__(
        self, settings: RpcSettings, services: Sequence[Service], identity: Identity, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._metrics = metrics
        self._draining = asyncio.Event()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs know only threads
        self._services = [service.name for service in services]
        self._inside = 0  # counted here: the library's own limit answers without our reason
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
                # Callers ping while a stream is quiet; by default that is taken for an attack after two pings.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ],
        )
        for service in services:
            handlers = {method.descriptor.name: self._handler(method) for method in bind(service)}
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.name, handlers),)
            )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self.port = 0

    async def start(self) -> None:
        address = f"{self._settings.host}:{self._settings.port}"
        # The place where TLS goes: server credentials instead of an insecure port.
        self.port = self._server.add_insecure_port(address)
        await self._server.start()
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", port=self.port)

    async def watch(self) -> None:
        # Shielded: whoever cancels this wait cancels the future that `stop` waits for, too.
        await asyncio.shield(self._server.wait_for_termination())

    async def unready(self) -> None:
        """Callers that watch health go elsewhere; streams are told to come back."""
        await self._health.enter_graceful_shutdown()
        self._draining.set()

    async def drain(self) -> None:
        await self._server.stop(self._settings.drain_s)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        """Bytes in, bytes out: parsing in the wrapper turns a malformed request into a clear answer."""
        if method.streams:
            return grpc.unary_stream_rpc_method_handler(self._stream(method))
        return grpc.unary_unary_rpc_method_handler(self._unary(method))

    def _unary(self, method: Method) -> Callable[[bytes, Context], Awaitable[bytes]]:
        took = _Took(self._metrics, method.name)

        async def serve(raw: bytes, context: Context) -> bytes:
            began = time.perf_counter()
            mark = discretion.begin()
            code = "OK"
            self._inside += 1
            try:
                call = await self._call(method, context, _limited(context.time_remaining()))
                answer = await method.answer(method.parse(raw), call)
                return answer.SerializeToString()
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a status
                wire = status.to_wire(faults.shown(error, method.name))
                code = wire.code.name
                return await context.abort(*wire)
            finally:
                self._inside -= 1
                if not mark.hushed:
                    took.observe(code, time.perf_counter() - began)

        return serve

    def _stream(self, method: Method) -> Callable[[bytes, Context], AsyncIterator[bytes]]:
        open_streams = self._metrics.rpc_streams_open.labels(method.name)

        async def serve(raw: bytes, context: Context) -> AsyncIterator[bytes]:
            self._inside += 1
            with discretion.begin().counted_in(open_streams):
                try:
                    call = await self._call(method, context, context.time_remaining())
                    answers = method.stream(method.parse(raw), call)
                    async with aclosing(streams.follow(answers, self._draining)) as following:
                        async for answer in following:
                            if answer is not None:
                                yield answer.SerializeToString()
                except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a status
                    await context.abort(*status.to_wire(faults.shown(error, method.name)))
                finally:
                    self._inside -= 1

        return serve

    async def _call(self, method: Method, context: Context, left: float | None) -> Call:
        """The checks of every call: room for it, a rule, a token that satisfies it, time left to answer."""
        if self._inside > self._settings.max_concurrent:
            raise errors.exhausted("too-many-calls", "The service has as many calls as it can take.")
        authorization = traceparent = None
        key = ""
        for name, value in context.invocation_metadata() or ():
            if name == "authorization":
                authorization = _text(value)
            elif name == "traceparent":
                traceparent = _text(value)
            elif name == "idempotency-key":
                key = _text(value)
        principal = await self._identity.admit(authorization, method.admission())
        if left is not None and left <= 0:
            raise errors.deadline("deadline-passed", "The caller no longer waits.")
        span = tracing.child(traceparent)
        tracing.enter(span)
        deadline = UNLIMITED if left is None else wall() + timedelta(seconds=left)
        return Call(principal, deadline, span, method.name, key)


class _Took:
    """The durations of one method; the labelled child of each code is looked up once, not once a call."""

    def __init__(self, metrics: Metrics, method: str) -> None:
        self._seconds = metrics.rpc_seconds
        self._method = method
        self._by_code = {"OK": self._seconds.labels(method, "OK")}

    def observe(self, code: str, seconds: float) -> None:
        child = self._by_code.get(code)
        if child is None:
            child = self._by_code[code] = self._seconds.labels(self._method, code)
        child.observe(seconds)


def _limited(left: float | None) -> float:
    if left is None:
        raise errors.invalid("deadline-missing", "A call must say how long its caller waits.")
    return left


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("ascii", "replace")
