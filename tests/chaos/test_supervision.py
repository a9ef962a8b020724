"""A part that dies again while it is being started again is started once more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local.paths import State
from deploy.local.ports import HOST
from deploy.local.postgres import Cluster


@pytest.mark.parametrize("bytes_read", [0, 8])
async def test_a_cluster_that_dies_while_it_is_asked_is_not_ready(tmp_path: Path, bytes_read: int) -> None:
    """The supervisor asks until it is ready or has ended; an error here would end the asking for ever."""

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(bytes_read)
        writer.close()

    state = State(tmp_path / "state")
    state.create()
    async with await asyncio.start_server(die, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not await Cluster("intake", port, state).ready()
