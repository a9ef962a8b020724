"""How fast a reported need becomes a visible referral, beside the floor of the bare durable path.

Both run in this process on the same Kafka and the same PostgreSQL clusters, interleaved round by round, so that
the ratios hold on any machine where the absolute figures do not. The real path is driven at the method that both
doors call (no gRPC), from the call to the moment at which intake has committed the referral. The floor is
`tests/bench/floor.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench.floor import Floor
from tests.bench.real import RealPath
from tests.support.stack import RunningStack, running, temporary_state

CASES = 200
CALLERS = 32
PATIENCE = 120.0  # seconds until what was reported must have arrived


@dataclass(slots=True)
class Path:
    """One of the two contestants: how to report, when each report arrived, and what was measured."""

    name: str
    report: Callable[[str, str], Coroutine[Any, Any, None]]
    arrived: Callable[[str], float | None]
    latencies: dict[int, list[float]] = field(default_factory=dict)  # seconds, by rate per second
    chains: list[float] = field(default_factory=list)  # reports per second


async def at_rate(path: Path, rate: int, seconds: float, label: str) -> None:
    """Report at a fixed rate, whether or not earlier ones have arrived."""
    sent: dict[str, float] = {}
    tasks: list[asyncio.Task[None]] = []
    begin = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        name = f"{label}-{number}"
        sent[name] = time.perf_counter()
        tasks.append(asyncio.create_task(path.report(name, f"key-{random.randrange(CASES)}")))
    await asyncio.gather(*tasks)
    await all_arrived(path, sent)
    path.latencies.setdefault(rate, []).extend((path.arrived(name) or 0.0) - at for name, at in sent.items())


async def saturated(path: Path, count: int, label: str) -> None:
    """Report as fast as some callers can, one command per event, and wait for the end of the chain."""
    names = [f"{label}-{number}" for number in range(count)]
    waiting = iter(names)

    async def caller() -> None:
        for name in waiting:
            await path.report(name, f"key-{random.randrange(CASES)}")

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await all_arrived(path, names)
    end = max(path.arrived(name) or 0.0 for name in names)
    path.chains.append(count / (end - begin))


async def all_arrived(path: Path, names: object) -> None:
    """Wait for the last of them."""
    missing = set(names)  # type: ignore[call-overload]
    async with asyncio.timeout(PATIENCE):
        while missing := {name for name in missing if path.arrived(name) is None}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _left_as_it_is(connection: asyncpg.Connection) -> None:
    """Nothing of a session is changed, so it is given back without a round trip, as the network's are."""


@contextlib.asynccontextmanager
async def contestants(stack: RunningStack) -> AsyncIterator[tuple[Path, Path]]:
    """The floor and the real path, running."""
    pools = []
    for cluster in ("intake", "matching"):
        database = await stack.database(cluster)
        async with asyncpg.create_pool(
            database.owner_dsn, password=database.owner_password, min_size=1, max_size=1
        ) as owner:
            from tests.bench.floor import SCHEMA

            await owner.execute(SCHEMA)
        pools.append(
            await asyncpg.create_pool(
                database.dsn, password=database.password, min_size=8, max_size=8, reset=_left_as_it_is
            )
        )
    floor = await Floor.build(stack, (pools[0], pools[1]))
    async with RealPath.running(stack, CASES) as real:
        try:
            yield (
                Path("floor", floor.report, floor.arrived_at),
                Path("network", real.report, real.arrived_at),
            )
        finally:
            await floor.first.stop()
            await floor.second.stop()


def quantile(values: list[float], share: float) -> float:
    """Of at least a hundred values, in milliseconds."""
    return statistics.quantiles(values, n=100)[round(share * 100) - 1] * 1000


def show(floor: Path, real: Path, console: Console) -> None:
    """Absolute figures for the curious, ratios for the verdict."""
    table = Table(title="need reported -> referral visible")
    for heading in ("what", "floor", "network", "ratio", "goal"):
        table.add_column(heading, justify="right")
    for rate in floor.latencies:
        for share, goal in ((0.50, 1.5), (0.99, 2.0)):
            bare, ours = quantile(floor.latencies[rate], share), quantile(real.latencies[rate], share)
            label = f"p{share * 100:.0f} at {rate}/s"
            table.add_row(label, f"{bare:.1f} ms", f"{ours:.1f} ms", f"{ours / bare:.2f}x", f"<= {goal}x")
    bare, ours = statistics.median(floor.chains), statistics.median(real.chains)
    table.add_row("chain, saturated", f"{bare:.0f}/s", f"{ours:.0f}/s", f"{ours / bare:.2f}x", ">= 0.5x")
    console.print(table)


async def measure(stack: RunningStack, rounds: int, seconds: float, count: int, console: Console) -> None:
    """Warm up, then the rounds, floor and network taking turns."""
    async with contestants(stack) as (floor, real):
        for path in (floor, real):
            await saturated(path, 200, f"warm-{path.name}")
            path.chains.clear()
        gc.collect()
        gc.freeze()  # as a service does once it has started
        for turn in range(rounds):
            order = (floor, real) if turn % 2 == 0 else (real, floor)
            for rate in (20, 100):
                for path in order:
                    await at_rate(path, rate, seconds, f"{path.name}-{rate}-{turn}")
            for path in order:
                await saturated(path, count, f"{path.name}-chain-{turn}")
            console.print(
                f"round {turn + 1} of {rounds} done: chain {floor.chains[-1]:.0f}/s bare, {real.chains[-1]:.0f}/s network"
            )
        show(floor, real, console)


def main() -> None:
    """Bring Kafka and PostgreSQL up for this run alone, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate in each round")
    parser.add_argument("--count", type=int, default=2000, help="reports in each saturated chain")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    with temporary_state() as folder, running(folder, "--only", "kafka", "postgres") as stack:
        uvloop.run(measure(stack, arguments.rounds, arguments.seconds, arguments.count, console))


if __name__ == "__main__":
    main()
