"""Kills: parts of the network die by SIGKILL at random moments of the clients' work, and are started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.messaging import until
from tests.support.stack import RunningStack

# Seconds for the clients to get on with their work, or for a part to be started again.
PATIENCE = 120.0

VICTIMS = (
    *("intake", "matching", "logistics", "kafka") * 3,
    *("postgres-intake", "postgres-matching", "postgres-logistics"),
)


@dataclass(frozen=True, slots=True)
class Kill:
    """`at`: seconds since the clients began. `after`: commands that had been sent by then."""

    part: str
    at: float
    after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Who dies after which command, and how many seconds later."""

    kills: Sequence[tuple[int, str, float]]

    @classmethod
    def drawn(cls, chance: random.Random, commands: int, victims: Sequence[str] = VICTIMS) -> Plan:
        """Spread over the work, so that each kill finds the network at work again."""
        order = chance.sample(victims, len(victims))
        apart = commands / (len(order) + 1)
        moments = [int(apart * (n + chance.uniform(0.5, 1.5))) for n in range(len(order))]
        return cls(
            [(moment, part, chance.uniform(0, 0.3)) for moment, part in zip(moments, order, strict=True)]
        )


async def carry_out(plan: Plan, stack: RunningStack, sent: Callable[[], int]) -> list[Kill]:
    """Kill as planned; `sent` counts the commands that were sent so far."""
    began = time.monotonic()
    done = []
    for moment, part, later in plan.kills:

        async def ripe(moment: int = moment, part: str = part) -> bool:
            return sent() >= moment and stack.state.pid(part).exists()

        await until(ripe, PATIENCE, f"{moment} commands to be sent and {part} to run")
        await asyncio.sleep(later)  # not a wait: the random moment of the murder
        if await _kill(stack, part):
            done.append(Kill(part, time.monotonic() - began, sent()))
    return done


async def _kill(stack: RunningStack, part: str) -> bool:
    """Whether there was somebody to kill: the part may have died with one that it cannot do without."""
    try:
        os.kill(stack.process(part), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def by_part(kills: Sequence[Kill]) -> dict[str, int]:
    return dict(sorted(Counter(kill.part for kill in kills).items()))
