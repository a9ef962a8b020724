"""One run: clients at work on a whole network whose parts are killed, then quiet, then the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import httpx

from deploy.kafka.topics import FILE as TOPICS
from deploy.local import clock
from deploy.local.identity import Issuer
from deploy.local.kafka import Broker
from deploy.local.ports import HOST
from deploy.local.users import Users
from services.chassis.topics import Topics
from tests.support.chaos import murder, region
from tests.support.chaos.caseworkers import Caseworker
from tests.support.chaos.client import PUBLIC, Budget, Client
from tests.support.chaos.doors import Doors
from tests.support.chaos.evidence import Evidence, gather
from tests.support.chaos.givers import Carrier, Crew, Donor
from tests.support.chaos.murder import Kill
from tests.support.chaos.providers import Provider
from tests.support.chaos.region import OFFERS, WAREHOUSES, World
from tests.support.chaos.watcher import Watcher
from tests.support.history import History, Outcome
from tests.support.messaging import until
from tests.support.stack import RunningStack

# Domain time goes on while the clients work, so that holds run out and rounds and ticks come in the middle.
STEP_EVERY, STEP = 1.5, timedelta(minutes=4)
FLAKY = 0.02
STEPS_TO_QUIET = (timedelta(minutes=15), timedelta(hours=3), timedelta(hours=26), timedelta(hours=1))
PATIENCE = 120.0


class Role(Protocol):
    """What a client does, command by command."""

    client: Client

    async def step(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What is to be judged, and how it went."""

    seed: int
    history: History
    evidence: Evidence
    kills: Sequence[Kill]
    seconds: dict[str, float]
    cuts: int

    def summary(self) -> str:
        outcomes = self.history.outcomes()
        doors = len({entry.client for entry in self.history.commands()})
        parts = ", ".join(f"{part} {count}" for part, count in murder.by_part(self.kills).items())
        during = len(murder.during(self.kills, len(self.history.commands())))
        phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return (
            f"seed {self.seed}: {len(self.history.commands())} commands of {doors} clients, "
            f"{outcomes[Outcome.ACKNOWLEDGED]} acknowledged, {outcomes[Outcome.REFUSED]} refused, "
            f"{outcomes[Outcome.UNKNOWN]} unknown, {self.history.retries()} retries; "
            f"{len(self.kills)} kills ({parts}), "
            f"{during} of them while commands were sent; {self.cuts} cuts of streams; "
            f"{len(self.evidence.log)} events; {phases}"
        )


@dataclass(slots=True)
class Stage:
    """Who takes part in one run."""

    stack: RunningStack
    doors: Doors
    history: History
    chance: random.Random
    issuer: Issuer

    def person(self, user: str | None, name: str, door: str = "rpc", flaky: float = 0.0) -> Client:
        """Somebody with that user's token; without one, the public."""
        headers = {} if user is None else {"authorization": f"Bearer {self.issuer.token(user)}"}
        own = random.Random(self.chance.getrandbits(64))
        return Client(name, user or PUBLIC, headers, self.doors, self.history, own, door, flaky)

    def setter(self, user: str) -> Client:
        client = self.person(user, f"setting {user}")
        client.setting = True
        return client

    def roles(self, world: World) -> list[Role]:
        """Everybody at work: through both doors, some of them losing their signal now and then."""

        def client(user: str | None, number: int) -> Client:
            door = ("rpc", "http")[number % 2]
            return self.person(user, f"{user or 'donor'}-{number}-{door}", door, FLAKY)

        return [
            *(Caseworker(client("outreach", n)) for n in range(2)),
            *(Caseworker(client("case_manager", n)) for n in range(2)),
            Caseworker(client("social_worker", 1)),
            Caseworker(client("officer", 0), police=True),
            *(Provider(client(user, 0), OFFERS[user], hub=user == "hub") for user in OFFERS),
            *(Donor(client(None, n), world) for n in range(2)),
            *(Crew(client("warehouse", n), world, "carrier") for n in range(2)),
            Carrier(client("carrier", 1)),
        ]


async def run(stack: RunningStack, seed: int, commands: int, pace: float, say: Callable[[str], None]) -> Ran:
    """`pace`: seconds that a client thinks before its next command, at most."""
    history, chance = History(), random.Random(seed)
    seconds: dict[str, float] = {}
    async with Doors.open(stack.record.services) as doors:
        stage = Stage(stack, doors, history, chance, Issuer(stack.state))
        with _timed("setting", seconds):
            world = await region.set_up(stage.setter, Users.read(), lambda by: clock.advance(stack.state, by))
        before = len(history)
        plan = murder.Plan.drawn(chance, commands)
        watchers = [
            Watcher(doors, stage.person("warehouse", "watcher").headers, each) for each in WAREHOUSES.values()
        ]
        async with _beside(*(watcher.watch() for watcher in watchers)):
            with _timed("work", seconds):
                async with _beside(_time_goes_on(stack)), asyncio.TaskGroup() as group:
                    killing = group.create_task(murder.carry_out(plan, stack, history, before))
                    group.create_task(_work(stage.roles(world), Budget(commands), pace))
                kills = killing.result()
            say(f"{len(history) - before} commands sent, {len(kills)} kills done; waiting for quiet")
            with _timed("quiet", seconds):
                await _quiet(stack)
                await _caught_up(stack, watchers)
    with _timed("looking", seconds):
        seen = {watcher.warehouse_id: watcher.seen for watcher in watchers}
        evidence = await gather(stack, Topics.load(TOPICS), seen)
    return Ran(seed, history, evidence, kills, seconds, sum(watcher.cuts for watcher in watchers))


async def _work(roles: Sequence[Role], budget: Budget, pace: float) -> None:
    """All at once, until the commands are used up."""

    async def work(role: Role) -> None:
        while not budget.spent:
            await asyncio.sleep(role.client.chance.uniform(0, pace))  # not a wait: a person thinks
            if budget.take():
                budget.settle(await role.step())

    async with asyncio.TaskGroup() as group:
        for role in roles:
            group.create_task(work(role), name=role.client.name)


async def _time_goes_on(stack: RunningStack) -> None:
    while True:
        await asyncio.sleep(STEP_EVERY)  # not a wait: the pace of domain time
        step(stack, STEP)


def step(stack: RunningStack, by: timedelta) -> None:
    """Move domain time on without waiting for what falls due by it: part of the network may be dead."""
    with stack.state.clock.open("r+b") as file:
        offset = clock.OFFSET.unpack(file.read())[0] + by // timedelta(microseconds=1)
        file.seek(0)
        file.write(clock.OFFSET.pack(offset))


async def _quiet(stack: RunningStack) -> None:
    """Everything that is under way arrives; then all that was promised falls due, and its consequences too."""
    await until(lambda: _all_up(stack), PATIENCE, "every part that was killed being back")
    await clock.drained(stack.state, stack.record, PATIENCE)
    for by in STEPS_TO_QUIET:
        await clock.advance(stack.state, by, PATIENCE)


async def _all_up(stack: RunningStack) -> bool:
    """Whether every part that was killed is back."""
    record = stack.record
    broker = Broker(record.kafka or 0, 0, stack.state, say=lambda detail: None)
    clusters = [record.cluster(name, stack.state).ready() for name in record.postgres]
    if not all(await asyncio.gather(broker.ready(), *clusters)):
        return False
    async with httpx.AsyncClient(trust_env=False) as http:
        doors = [http.get(f"http://{HOST}:{ports.http}/readyz") for ports in record.services.values()]
        answers = await asyncio.gather(*doors, return_exceptions=True)
    return all(isinstance(answer, httpx.Response) and answer.is_success for answer in answers)


async def _caught_up(stack: RunningStack, watchers: Sequence[Watcher]) -> None:
    """The warehouses have read their journals to the end."""
    connection = await stack.record.cluster("logistics", stack.state).superuser("logistics")
    try:
        rows = await connection.fetch("SELECT warehouse_id::text, journal_last FROM warehouse")
    finally:
        await connection.close()
    ends = dict(map(tuple, rows))

    async def at_the_end() -> bool:
        return all(len(watcher.seen) >= ends[watcher.warehouse_id] for watcher in watchers)

    await until(at_the_end, 30, "the warehouses reading their journals to the end")


@contextlib.asynccontextmanager
async def _beside(*running: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Something that goes on as long as the block; if it breaks, the block does not pass."""
    tasks = [asyncio.create_task(each) for each in running]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began
