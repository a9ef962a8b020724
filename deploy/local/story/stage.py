"""What every step of the story stands on: doors, the clock, the narrator, and what was learnt on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

from deploy.local.story.doors import Doors

T = TypeVar("T")


class StoryFaultError(Exception):
    """A step did not show what it must show."""


def expect(condition: bool, what: str) -> None:
    """The story goes on only if this is so."""
    if not condition:
        raise StoryFaultError(what)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was shown: what, by whom, its evidence, and how long it took (seconds of wall time)."""

    name: str
    title: str
    who: str
    evidence: str
    seconds: float


@dataclass(slots=True)
class Memory:
    """What the story has to remember from step to step: ids and codes, never a name."""

    case_id: str = ""
    need_ids: list[str] = field(default_factory=list)
    arrival_code: str = ""
    lodging_referral: str = ""
    sample_cases: dict[str, str] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    sent: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    unsent_secret: str = ""
    resume_token: str = ""
    journal: list[str] = field(default_factory=list)
    handed_over: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Stage:
    """One performance of the story."""

    doors: Doors
    advance: Callable[
        [timedelta], Awaitable[None]
    ]  # moves domain time; returns when all that fell due has run
    now: Callable[[], datetime]  # domain time
    subject_of: Callable[[str], str]  # the token subject of a ready-made user
    tell: Callable[[str], None]
    memory: Memory = field(default_factory=Memory)
    steps: list[Step] = field(default_factory=list)

    def today(self) -> date:
        """The day, of domain time."""
        return self.now().date()

    async def step(self, name: str, title: str, who: str, act: Callable[[Stage], Awaitable[str]]) -> None:
        """Play one step; its act returns the evidence."""
        self.tell(f"{name}  {title}  ({who})")
        begun = time.perf_counter()
        evidence = await act(self)
        seconds = time.perf_counter() - begun
        self.tell(f"     {evidence}  [{seconds:.2f} s]")
        self.steps.append(Step(name, title, who, evidence, seconds))


async def until(look: Callable[[], Awaitable[T | None]], what: str, patience: float = 20.0) -> T:
    """Look until there is something to see; a StoryFaultError says what never came."""
    deadline = time.monotonic() + patience
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise StoryFaultError(f"waited {patience:.0f} s in vain for {what}")
        await asyncio.sleep(0.05)
