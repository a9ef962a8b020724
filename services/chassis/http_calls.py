"""One HTTP route: the checks of a call, the request out of path, query and body, the answer or a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from itertools import chain, repeat

import msgspec
from google.protobuf.message import Message
from prometheus_client import Gauge, Histogram
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from services.chassis import discretion, errors, faults, logs, problems, streams, tracing, transcode
from services.chassis.binding import Method
from services.chassis.call import UNLIMITED, Call, Route
from services.chassis.clock import wall
from services.chassis.errors import AidError
from services.chassis.identity import Identity
from services.chassis.metrics import Metrics

# A stream that fails at once answers with a status of its own; one that is quiet longer begins with 200.
_FIRST_ANSWER_S = 0.25

_log = logs.logger("http")


class HttpSettings(BaseModel):
    """The HTTP door. Port 0 takes a free one; `timeout_s` is the deadline of a call, `keep_alive_s` how often
    a quiet stream gives a sign of life."""

    host: str = "127.0.0.1"
    port: int = 0
    max_body_bytes: int = 1 << 20
    max_concurrent: int = 1024
    timeout_s: float = 10.0
    keep_alive_s: float = 15.0


class Inside:
    """The calls that are inside: how many at most, and whether any more may come in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._left = asyncio.Event()
        self.draining = asyncio.Event()

    @contextmanager
    def enter(self) -> Iterator[None]:
        if self.draining.is_set():
            raise errors.unavailable("shutting-down", "The service is letting go; come back.")
        if self._count >= self._most:
            raise errors.exhausted("too-many-calls", "The service has as many calls as it can take.")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if self._count == 0:
                self._left.set()

    async def close(self) -> None:
        """Let nobody in any more and wait until everybody has left."""
        self.draining.set()
        while self._count:
            self._left.clear()
            await self._left.wait()


class Endpoint:
    """An ASGI application for one route."""

    def __init__(
        self,
        route: Route,
        method: Method,
        settings: HttpSettings,
        identity: Identity,
        metrics: Metrics,
        inside: Inside,
    ) -> None:
        self.path = transcode.path_pattern(route.path)
        self.verb = route.verb
        self._label = f"{route.verb} {route.path}"
        self._method = method
        self._settings = settings
        self._identity = identity
        self._metrics = metrics
        self._inside = inside
        self._transcoder = transcode.Transcoder(route, method)
        self._took: dict[int, Histogram] = {}  # the labelled child of each status is looked up once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        discretion.begin()
        request = Request(scope, receive)
        try:
            with self._inside.enter():
                response = await self._respond(request)
                if not isinstance(response, _Stream):
                    self._observe(response, began)
                await response(scope, receive, send)
        except AidError as refusal:
            response = problems.answer(refusal)
            self._observe(response, began)
            await response(scope, receive, send)
        except ClientDisconnect:
            _log.debug("client-left", method=self._label)

    async def _respond(self, request: Request) -> Response:
        limit = asyncio.timeout(self._settings.timeout_s)
        try:
            async with limit:
                call = await self._call(request)
                query = request.query_params.multi_items() if request.scope.get("query_string") else ()
                message = self._transcoder.request(request.path_params, query, await self._body(request))
                if self._method.streams:
                    events = "text/event-stream" in request.headers.get("accept", "")
                    return await self._stream(message, call, _Events() if events else _Lines())
                answer = await self._method.answer(message, call)
                return _json(transcode.encode(answer))
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a problem
            if limit.expired():
                return problems.answer(
                    errors.deadline("deadline-passed", "The answer was not ready in time.")
                )
            return problems.answer(faults.shown(error, self._method.name))

    async def _call(self, request: Request) -> Call:
        headers = request.headers
        principal = await self._identity.admit(headers.get("authorization"), self._method.admission())
        span = tracing.child(headers.get("traceparent"))
        tracing.enter(span)
        deadline = UNLIMITED if self._method.streams else wall() + timedelta(seconds=self._settings.timeout_s)
        return Call(principal, deadline, span, self._method.name, headers.get("idempotency-key", ""))

    async def _body(self, request: Request) -> bytes | None:
        if not self._transcoder.takes_body:
            return None
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._settings.max_body_bytes:
                raise errors.invalid("body-too-large", "The body is too large.")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and media_type != "application/json":
            raise errors.invalid("body-not-json", "The body must be application/json.")
        return bytes(body)

    async def _stream(self, message: Message, call: Call, form: _Lines | _Events) -> Response:
        """The first answer is awaited for a moment, so that a refusal is a status and no line of a stream."""
        patience = chain([_FIRST_ANSWER_S], repeat(self._settings.keep_alive_s))
        answers = streams.follow(self._method.stream(message, call), self._inside.draining, patience)
        try:
            first = await anext(answers)
        except StopAsyncIteration:
            first = None
        open_streams = self._metrics.rpc_streams_open.labels(self._method.name)
        return _Stream(self._written(first, answers, form), form.media_type, open_streams)

    async def _written(
        self, first: Message | None, answers: AsyncGenerator[Message | None, None], form: _Lines | _Events
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(answers):
            try:
                yield form.silence if first is None else form.answer(first)
                async for answer in answers:
                    yield form.silence if answer is None else form.answer(answer)
            except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets a problem
                yield form.problem(faults.shown(error, self._method.name))

    def _observe(self, response: Response, began: float) -> None:
        if discretion.hushed():
            return
        took = self._took.get(response.status_code)
        if took is None:
            took = self._metrics.http_seconds.labels(self._label, str(response.status_code))
            self._took[response.status_code] = took
        took.observe(time.perf_counter() - began)


class _Lines:
    """JSON lines: `{"result": …}`, an empty line as a sign of life, a last `{"error": …}`."""

    media_type = "application/x-ndjson"
    silence = b"\n"

    def answer(self, message: Message) -> bytes:
        return b'{"result":' + transcode.encode(message) + b"}\n"

    def problem(self, error: AidError) -> bytes:
        return msgspec.json.encode({"error": problems.problem(error)}) + b"\n"


class _Events:
    """Server-sent events: `data`, comments as a sign of life, a last event named `problem`."""

    media_type = "text/event-stream"
    silence = b":\n\n"

    def answer(self, message: Message) -> bytes:
        return b"data: " + transcode.encode(message) + b"\n\n"

    def problem(self, error: AidError) -> bytes:
        return b"event: problem\ndata: " + msgspec.json.encode(problems.problem(error)) + b"\n\n"


class _Stream(StreamingResponse):
    """A stream that is counted while it is open and whose source is closed when the caller leaves."""

    def __init__(self, body: AsyncGenerator[bytes, None], media_type: str, open_streams: Gauge) -> None:
        super().__init__(body, headers={"cache-control": "no-store"}, media_type=media_type)
        self._body = body
        self._open_streams = open_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with discretion.current().counted_in(self._open_streams):
            async with aclosing(self._body):
                await super().__call__(scope, receive, send)


def _json(body: bytes) -> Response:
    return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")
