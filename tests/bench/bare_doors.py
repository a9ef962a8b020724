"""The floors under intake's doors: a bare server that makes a durable insert per call and nothing else.

`insert`: one row, its stream and its outbox row. `case`: the rows that intake itself writes for a case.

python -m tests.bench.bare_doors SETTINGS SETTINGS   prints its two ports: gRPC, HTTP

The settings are those of two databases, as JSON: one with the floor's schema, an empty one for intake's.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable

import asyncpg
import grpc
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.chassis.database import DatabaseSettings
from tests.bench.floor import INSERT
from tests.bench.household import a_case
from tests.bench.same_insert import SameInsert, left_as_it_is, recorded
from tests.bench.same_insert import pool as pool_of_cases

SERVICE = "bare.Doors"
INSERT_ONE, INSERT_CASE = "Insert", "Case"
HOST = "127.0.0.1"

Insert = Callable[[bytes], Awaitable[None]]


def one_row(pool: asyncpg.Pool[asyncpg.Record]) -> Insert:
    async def insert(body: bytes) -> None:
        async with pool.acquire() as connection:
            await connection.execute(INSERT, uuid.uuid4().hex, body)

    return insert


def one_case(pool: asyncpg.Pool[asyncpg.Record], same: SameInsert) -> Insert:
    """The body is not looked at: what a case writes is ready-made."""

    async def insert(body: bytes) -> None:
        bound = same.another()
        async with pool.acquire() as connection:
            await connection.fetchval(same.sql, *bound)

    return insert


def by_rpc(insert: Insert) -> grpc.RpcMethodHandler[bytes, bytes]:
    async def serve(body: bytes, _: object) -> bytes:
        await insert(body)
        return b""

    return grpc.unary_unary_rpc_method_handler(serve)


def by_http(insert: Insert) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        await insert(await request.body())
        return Response(b"{}", media_type="application/json")

    return serve


async def serve(plain: DatabaseSettings, cases: DatabaseSettings) -> None:
    """Both inserts at both doors, each on a pool of eight connections, as a service has them."""
    same = await recorded(cases, a_case())
    rows = await asyncpg.create_pool(
        plain.dsn, password=plain.password(), min_size=8, max_size=8, reset=left_as_it_is
    )
    inserts = {INSERT_ONE: one_row(rows), INSERT_CASE: one_case(await pool_of_cases(cases), same)}
    server = grpc.aio.server()
    handlers = {name: by_rpc(insert) for name, insert in inserts.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    gc.collect()
    gc.freeze()  # as a service does once it has started
    listening = socket.create_server((HOST, 0))
    print(port, listening.getsockname()[1], flush=True)
    app = Starlette(
        routes=[Route(f"/{name}", by_http(insert), methods=["POST"]) for name, insert in inserts.items()]
    )
    config = uvicorn.Config(app, loop="none", log_level="warning", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*map(DatabaseSettings.model_validate_json, sys.argv[1:3])))
