"""Kills: parts of the network die by SIGKILL at random moments of the clients' work, and are started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from tests.support.history import History
from tests.support.messaging import until
from tests.support.stack import RunningStack

# Seconds for the clients to get on with their work, or for a part to be started again.
PATIENCE = 120.0
# Acknowledged commands by which a part shows that it is at work; and for how long it may go on, seconds.
AT_WORK, REPRIEVE = 8, 2.0

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
    """Who dies after which of the commands, and how many seconds later."""

    commands: int
    kills: Sequence[tuple[int, str, float]]

    @classmethod
    def drawn(cls, chance: random.Random, commands: int, victims: Sequence[str] = VICTIMS) -> Plan:
        """Spread over the work, so that each kill finds the network at work again."""
        order = chance.sample(victims, len(victims))
        apart = 0.9 * commands / (len(order) + 1)
        moments = [int(apart * (n + chance.uniform(0.5, 1.5))) for n in range(len(order))]
        return cls(
            commands,
            [
                (moment, part, chance.uniform(0, REPRIEVE))
                for moment, part in zip(moments, order, strict=True)
            ],
        )


async def carry_out(plan: Plan, stack: RunningStack, history: History, before: int) -> list[Kill]:
    """Kill as planned; the first `before` commands of the history are not counted. Each victim has worked since
    the kill before, or a part would only ever be killed while it starts.
    """
    began = time.monotonic()
    done: list[Kill] = []
    for moment, part, later in plan.kills:
        last = began + done[-1].at if done else began

        async def ripe(moment: int = moment, part: str = part, last: float = last) -> bool:
            sent = len(history) - before
            at_work = works(history, part, last) or sent >= plan.commands
            return sent >= moment and at_work and stack.state.pid(part).exists()

        await until(ripe, PATIENCE, f"{moment} commands to be sent and {part} to work again")
        await asyncio.sleep(later)  # not a wait: the random moment of the murder
        if await _kill(stack, part):
            done.append(Kill(part, time.monotonic() - began, len(history) - before))
    return done


def works(history: History, part: str, since: float) -> bool:
    """Whether enough commands of the part's service, or of any for the broker, were acknowledged since then."""
    service = part.removeprefix("postgres-")
    answered = (
        entry
        for entry in history
        if entry.acknowledged and entry.ended > since and (service == "kafka" or entry.service == service)
    )
    return len(list(islice(answered, AT_WORK))) == AT_WORK


async def _kill(stack: RunningStack, part: str) -> bool:
    """Whether there was somebody to kill: the part may have died with one that it cannot do without."""
    try:
        os.kill(stack.process(part), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def during(kills: Sequence[Kill], commands: int) -> list[Kill]:
    """Those at which not all commands had been sent: what dies later dies in peace."""
    return [kill for kill in kills if kill.after < commands]


def by_part(kills: Sequence[Kill]) -> dict[str, int]:
    return dict(sorted(Counter(kill.part for kill in kills).items()))
