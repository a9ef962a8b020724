"""The floor under intake's doors: a bare server that makes one durable insert per call, with an outbox row.

python -m tests.bench.bare_doors DSN PASSWORD_FILE   prints its two ports: gRPC, HTTP
"""

from __future__ import annotations

import asyncio
import socket
import sys
import uuid
from pathlib import Path

import asyncpg
import grpc
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.bench.floor import INSERT

METHOD = "/bare.Doors/Insert"
HOST = "127.0.0.1"


class Bare:
    """Both doors on one pool of eight connections, as a service has them."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def insert(self, body: bytes) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(INSERT, uuid.uuid4().hex, body)

    async def rpc(self, body: bytes, _: object) -> bytes:
        await self.insert(body)
        return b""

    async def http(self, request: Request) -> Response:
        await self.insert(await request.body())
        return Response(b"{}", media_type="application/json")


async def serve(dsn: str, password: str) -> None:
    async with asyncpg.create_pool(
        dsn, password=password, min_size=8, max_size=8, reset=_left_as_it_is
    ) as pool:
        bare = Bare(pool)
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(bare.rpc)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("bare.Doors", {"Insert": handler}),)
        )
        port = server.add_insecure_port(f"{HOST}:0")
        await server.start()
        listening = socket.create_server((HOST, 0))
        print(port, listening.getsockname()[1], flush=True)
        app = Starlette(routes=[Route("/insert", bare.http, methods=["POST"])])
        config = uvicorn.Config(app, loop="none", log_level="warning", access_log=False, lifespan="off")
        await uvicorn.Server(config).serve(sockets=[listening])


async def _left_as_it_is(connection: object) -> None:
    """Nobody changes session state here, so giving a connection back costs no round trip."""


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], Path(sys.argv[2]).read_text().strip()))
