"""What of the ready-made users is said to intake, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import people
from deploy.local.identity import Issuer
from deploy.local.paths import State
from deploy.local.users import Users


@pytest.fixture
def door() -> Iterator[tuple[str, list[str]]]:
    """An address, and the paths that were posted there."""
    posted: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()


async def test_only_what_is_new_is_said_again(door: tuple[str, list[str]], tmp_path: Path) -> None:
    """Else a worker whom an operator has moved since would be moved back."""
    address, posted = door
    state, users = State(tmp_path / "state"), Users.read()
    state.create()
    for _ in range(2):
        await people.register(address, Issuer(state), users, state.people)
        assert len(posted) == len(users.agencies) + len(users.users)
    posted.clear()
    moved = replace(users.users["outreach"], agency=users.agencies["hub"].id)
    changed = replace(users, users={**users.users, "outreach": moved})
    await people.register(address, Issuer(state), changed, state.people)
    assert posted == ["/v1/workers"]
