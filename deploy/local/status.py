"""Show every address of a running stack, and how its processes are and what memory they hold."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil
from rich.console import Console

from deploy.local import clock, reach
from deploy.local.paths import State
from deploy.local.ports import HOST
from deploy.local.record import Record
from deploy.local.users import Users

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Process:
    """A part's process tree. `pid`: of its first process, None while it is down; sizes in bytes.

    `rss` counts what its processes share once for each, `pss` once for all who share it.
    """

    part: str
    pid: int | None
    count: int = 0
    rss: int = 0
    pss: int = 0


def processes(state: State, record: Record) -> list[Process]:
    """Every part of the stack with the memory of its process tree, and last the launcher alone."""
    parts = [f"postgres-{service}" for service in record.postgres]
    parts += ["kafka"] if record.kafka else []
    parts += ["prometheus"] if record.prometheus else []
    found = [_process(part, _pid(state, part)) for part in (*parts, *record.services)]
    return [*found, _process("launcher", record.launcher, tree=False)]


def _pid(state: State, part: str) -> int | None:
    try:
        return int(state.pid(part).read_text())
    except (FileNotFoundError, ValueError):  # down, or just being started
        return None


def _process(part: str, pid: int | None, tree: bool = True) -> Process:
    if pid is None:
        return Process(part, None)
    try:
        top = psutil.Process(pid)
        family = [top, *top.children(recursive=True)] if tree else [top]
    except psutil.NoSuchProcess:
        return Process(part, None)
    sizes = []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # workers come and go
            sizes.append(process.memory_full_info())
    rss, pss = sum(size.rss for size in sizes), sum(size.pss for size in sizes)
    return Process(part, pid, len(sizes), rss, pss)


def show(state: State, record: Record, console: Console) -> None:
    """Columns for a person; lines are never folded, so that an address can be copied."""
    kind = "stepped" if record.stepped else "wall"
    lines = [f"{'PART':<20} {'PROCESS':>8} {'MEMORY':>9}  ADDRESS"]
    for process in processes(state, record):
        condition = "down" if process.pid is None else str(process.pid)
        address = _address(process.part, record, state)
        lines.append(f"{process.part:<20} {condition:>8} {_mib(process.pss):>9}  {address}")
    lines.append(f"clock   {clock.now(state):%Y-%m-%d %H:%M:%SZ} ({kind})")
    lines.append(f"logs    {state.log}")
    lines.append(f"users   {', '.join(Users.read().users)}")
    lines.append(f"token   {reach.command(state, 'token', 'officer')}")
    if (demo := reach.demo_beside(state)) is not None:
        lines.append(f"demo    its network runs too: {reach.make(demo, 'status')}")
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def show_memory(state: State, record: Record, console: Console) -> None:
    """Every part with its size, and the sum."""
    found = processes(state, record)
    total = Process(
        part="all",
        pid=None,
        count=sum(each.count for each in found),
        rss=sum(each.rss for each in found),
        pss=sum(each.pss for each in found),
    )
    lines = [f"{'PART':<20} {'PROCESS':>8} {'TREE':>5} {'RSS':>9} {'PSS':>9}"]
    for each in (*found, total):
        pid = each.pid or ""
        lines.append(f"{each.part:<20} {pid:>8} {each.count:>5} {_mib(each.rss):>9} {_mib(each.pss):>9}")
    lines += [
        "TREE: processes of the part; PSS: memory they share, with each other or with other parts, counted once"
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


def _address(part: str, record: Record, state: State) -> str:
    if part == "kafka":
        return record.bootstrap
    if part == "prometheus":
        return f"http://{HOST}:{record.prometheus}"
    if part.startswith("postgres-"):
        cluster = record.cluster(part.removeprefix("postgres-"), state)
        return cluster.dsn(cluster.service)
    if part not in record.services:
        return ""
    doors = record.services[part]
    rpc = f"  grpc {HOST}:{doors.rpc}" if doors.rpc else ""
    return f"http://{HOST}:{doors.http}{rpc}"
