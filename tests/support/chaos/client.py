"""A client that does not give up: one command, sent with one key until it is answered, noted as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from services.chassis.errors import AidError
from tests.support.chaos.doors import Doors, FailedError, NotAnsweredError, said
from tests.support.history import Entry, History

R = TypeVar("R", bound=Message)
PUBLIC = "public"
GIVES_UP_AFTER = 120.0


@dataclass(slots=True)
class Budget:
    """How many commands all clients together send."""

    commands: int
    sent: int = 0
    _reserved: int = 0

    @property
    def spent(self) -> bool:
        return self.sent >= self.commands

    def take(self) -> bool:
        """Reserve one, if there is one; `settle` says whether it was used."""
        if self.sent + self._reserved >= self.commands:
            return False
        self._reserved += 1
        return True

    def settle(self, used: bool) -> None:
        self._reserved -= 1
        self.sent += used


@dataclass(slots=True)
class Client:
    """One person at one device. `door` is gRPC or HTTP; `flaky` is the share of its commands that it sends
    once and walks away from before it has an answer.
    """

    name: str
    subject: str
    headers: Mapping[str, str]
    doors: Doors
    history: History
    chance: random.Random
    door: str = "rpc"
    flaky: float = 0.0
    setting: bool = False

    async def command(
        self, service: str, use_case: str, request: Message, *, principal: str | None = None
    ) -> Entry:
        """Send it until somebody says what became of it."""
        key = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        entry = self.history.begin(
            client=self.name, service=service, use_case=use_case, principal=principal or self.subject, key=key,
            request=said(request), setting=self.setting,
        )  # fmt: skip
        headers = {**self.headers, "idempotency-key": key}
        if self.chance.random() < self.flaky:
            await self._walk_away(entry, request, headers)
            return entry
        while time.monotonic() - entry.began < GIVES_UP_AFTER:
            if await self._try(entry, request, headers):
                break
            await asyncio.sleep(self.chance.uniform(0.05, 0.3))  # not a wait: a client's own backoff
        return entry

    async def read(self, service: str, method: str, request: Message, answer: type[R]) -> R:
        """A question, asked until it is answered. Raises AidError when it is refused."""
        deadline = time.monotonic() + GIVES_UP_AFTER
        while True:
            try:
                found = await self.doors.attempt(self.door, service, method, request, self.headers)
            except NotAnsweredError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(self.chance.uniform(0.05, 0.3))  # not a wait: a client's own backoff
                continue
            if not isinstance(found, answer):
                raise TypeError(f"{method} answers with {type(found)}")
            return found

    async def _try(self, entry: Entry, request: Message, headers: Mapping[str, str]) -> bool:
        """Whether it is settled now."""
        entry.attempts += 1
        try:
            answer = await self.doors.attempt(self.door, entry.service, entry.use_case, request, headers)
        except FailedError as failure:
            entry.faults.append(str(failure))
            return False
        except NotAnsweredError:
            return False
        except AidError as refusal:
            entry.refuse(refusal.reason)
            return True
        entry.acknowledge(said(answer))
        return True

    async def _walk_away(self, entry: Entry, request: Message, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(0.001, 0.05)):
                await self._try(entry, request, headers)
