"""The whole network, running, with the story played on it once: for the story's own test and for those that look at what it left.

async def test_something(played: Played) -> None:
    played.stage.steps          # what was shown
    played.stack.record         # every address
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from deploy.local import clock
from deploy.local.identity import Issuer
from deploy.local.ports import HOST
from deploy.local.story.doors import Doors
from deploy.local.story.play import play
from deploy.local.story.stage import Stage
from deploy.local.users import Users
from tests.support.stack import RunningStack, running, temporary_state


@dataclass(frozen=True, slots=True)
class Played:
    """The network after the story."""

    stack: RunningStack
    stage: Stage
    said: tuple[str, ...]


@pytest.fixture(scope="session")
async def played() -> AsyncIterator[Played]:
    """A network of its own, stepped, with the story played; it is up until the end of the test session."""
    with temporary_state() as folder, running(folder, "--stepped") as stack:
        users, issuer, said = Users.read(), Issuer(stack.state), list[str]()
        targets = {name: f"{HOST}:{doors.rpc}" for name, doors in stack.record.services.items() if doors.rpc}
        bases = {name: f"http://{HOST}:{doors.http}" for name, doors in stack.record.services.items()}

        async def advance(by: timedelta) -> None:
            await clock.advance(stack.state, by)

        async with Doors.open(targets, bases, issuer.token) as doors:
            stage = Stage(
                doors=doors,
                advance=advance,
                now=lambda: clock.now(stack.state),
                subject_of=lambda user: users.users[user].subject,
                tell=said.append,
            )
            await play(stage, users)
            yield Played(stack, stage, tuple(said))
