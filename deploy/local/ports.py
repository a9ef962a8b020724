"""Ports that two stacks on one machine never share, remembered from one start to the next.

A port is chosen below the range that the kernel gives to outgoing connections, and claimed for the life of
the launcher by a name in the kernel's abstract socket namespace: such a claim needs no file and goes away
with its process, also on kill -9.
"""

from __future__ import annotations

import errno
import json
import random
import socket
import time
from pathlib import Path

from deploy.local.errors import StackError

LOWEST, HIGHEST = 20_000, 32_000
HOST = "127.0.0.1"


class Ports:
    """The named ports of one stack: the remembered one if it is free, else a new one."""

    def __init__(self, file: Path, patience: float = 3.0) -> None:
        """`patience`: seconds that a remembered port is waited for: its last user may be just dying."""
        self._file = file
        self._remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        self._claims: dict[str, tuple[int, socket.socket]] = {}
        self._deadline = time.monotonic() + patience

    def __getitem__(self, name: str) -> int:
        """The port of that name, claimed at first use."""
        if name not in self._claims:
            self._claims[name] = self._recall(name) or self._choose()
            self._remembered[name] = self._claims[name][0]
            self._file.write_text(json.dumps(self._remembered, indent=1))
        return self._claims[name][0]

    def close(self) -> None:
        """Give up all claims."""
        for _, claim in self._claims.values():
            claim.close()
        self._claims.clear()

    def _recall(self, name: str) -> tuple[int, socket.socket] | None:
        port = self._remembered.get(name)
        if port is None:
            return None
        while True:
            claim = _claim(port)
            if claim is not None:
                return port, claim
            if time.monotonic() > self._deadline:
                return None
            time.sleep(0.05)

    def _choose(self) -> tuple[int, socket.socket]:
        ours = set(self._remembered.values())
        for port in random.sample(range(LOWEST, HIGHEST), 500):
            claim = None if port in ours else _claim(port)
            if claim is not None:
                return port, claim
        raise StackError(f"no free port between {LOWEST} and {HIGHEST}")


def _claim(port: int) -> socket.socket | None:
    """Claim the port against other stacks and see that nobody listens there; None if it is taken."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0regional-aid-network-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claim
