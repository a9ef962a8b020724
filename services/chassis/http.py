"""The HTTP door: the same methods as JSON, and what machines ask of a process."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute

from services.chassis import errors, logs, openapi, problems
from services.chassis.binding import routed
from services.chassis.call import Service
from services.chassis.health import Liveness, Readiness
from services.chassis.http_calls import Endpoint, HttpSettings, Inside
from services.chassis.identity import Identity, TokenFile
from services.chassis.metrics import Metrics

_log = logs.logger("http")


class MetricsSettings(BaseModel):
    """The bearer token that `/metrics` wants. Without a file, or with an empty one, nobody may read it."""

    token_file: Path | None = None


class HttpServer:
    """Routes of the services, `/livez /readyz /metrics /openapi.json`, and a service's own pages.

    It starts first and goes last, so that a service can be watched while it comes up and lets go; its calls
    are refused from the moment the service drains.
    """

    name = "http"

    def __init__(
        self,
        settings: HttpSettings,
        services: Sequence[Service],
        identity: Identity,
        metrics: Metrics,
        readiness: Readiness,
        *,
        liveness: Liveness | None = None,
        metrics_settings: MetricsSettings | None = None,
        pages: Sequence[BaseRoute] = (),
        title: str = "Regional Aid Network",
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._inside = Inside(settings.max_concurrent)
        self.port = 0
        calls = [
            Endpoint(route, method, settings, identity, metrics, self._inside)
            for route, method in routed(services)
        ]
        machines = _Machines(
            metrics, readiness, liveness or Liveness(), metrics_settings or MetricsSettings()
        )
        self.app = Starlette(
            routes=[
                *machines.routes(openapi.document(title, services)),
                *(StarletteRoute(each.path, each, methods=[each.verb]) for each in calls),
                *pages,
            ],
            exception_handlers={HTTPException: _refused, Exception: _failed},
        )
        self._server = _Server(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,  # nobody asks from where a call comes
                timeout_graceful_shutdown=5,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listening = _listen(self._settings.host, self._settings.port)
        self.port = listening.getsockname()[1]
        # The place where TLS goes: the certificate is uvicorn's `ssl_certfile`.
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({up, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._serving.done():
            self._serving.result()
        _log.info("serving", port=self.port)

    async def watch(self) -> None:
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def unready(self) -> None:
        """Refuse calls from now on and wait for those inside; machines are still answered."""
        self._readiness.drain()
        await self._inside.close()

    async def drain(self) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (the lifecycle has them), and with an event for being up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class _Machines:
    """What a supervisor, a load balancer, Prometheus and a client generator ask."""

    def __init__(
        self, metrics: Metrics, readiness: Readiness, liveness: Liveness, settings: MetricsSettings
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._liveness = liveness
        self._token = None if settings.token_file is None else TokenFile(settings.token_file)

    def routes(self, document: dict[str, object]) -> list[BaseRoute]:
        described = msgspec.json.encode(document)

        async def openapi_json(request: Request) -> Response:
            return Response(described, media_type="application/json")

        return [
            StarletteRoute("/livez", self._livez),
            StarletteRoute("/readyz", self._readyz),
            StarletteRoute("/metrics", self._exposition),
            StarletteRoute("/openapi.json", openapi_json),
        ]

    async def _livez(self, request: Request) -> Response:
        return _status("stuck", self._liveness.stuck())

    async def _readyz(self, request: Request) -> Response:
        return _status("missing", self._readiness.missing())

    async def _exposition(self, request: Request) -> Response:
        """The figures are aggregates, yet small ones can tell: nobody reads them without the token."""
        wanted = "" if self._token is None else self._token.get()
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not wanted or not hmac.compare_digest(shown.encode(), wanted.encode()):
            return problems.answer(
                errors.unauthenticated("token-invalid", "The metrics need their own token.")
            )
        self._metrics.ready.set(self._readiness.ready)
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4")


def _status(word: str, failing: Sequence[str]) -> Response:
    body = {"status": "failing", word: failing} if failing else {"status": "ok"}
    return Response(msgspec.json.encode(body), 503 if failing else 200, media_type="application/json")


def _listen(host: str, port: int) -> socket.socket:
    """Bound here, so that a taken port raises OSError instead of ending the process from inside uvicorn."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening


async def _refused(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal = errors.invalid("verb-not-allowed", "The address exists; the verb is not one of its own.")
        return problems.answer(refusal, error.headers)
    return problems.answer(errors.missing("no-such-address", "Nothing is served at this address."))


async def _failed(request: Request, error: Exception) -> Response:
    """The last resort for pages; calls have answered their own failures."""
    _log.error("page-failed", error=error)
    return problems.answer(errors.internal())
