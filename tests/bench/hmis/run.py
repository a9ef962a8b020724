"""How fast a large HMIS export is taken over, in how much memory, and how far that is from `COPY` of the same rows.

The export is made up from a published simulation configuration (`AID_FIXTURES`), imported by the command that
`make import` runs into a network of its own (Kafka, PostgreSQL, intake, matching), and then the rows that intake
has afterwards are copied into empty tables of the same shape, indexes and all, in the same cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from tests.bench.hmis.generate import Generator, generate
from tests.support.exports import EXPORTS
from tests.support.stack import RunningStack, running, temporary_state

CONFIG = EXPORTS / "hmis-simulation-config" / "large_coc.json"
TABLES = (
    "agency", "household", "person", "keystore.subject_key", "case_file", "need", "imported", "outcome", "stay",
)  # fmt: skip
"""What an import writes in intake, in an order in which they may be copied."""
MIB = 1 << 20


@dataclass(slots=True)
class Watched:
    """Peak resident bytes and processor seconds of one program and its children, sampled."""

    peak: int = 0
    seconds: float = 0.0
    first: float | None = None


@dataclass(slots=True)
class Watch:
    programs: dict[str, list[psutil.Process]]
    seen: dict[str, Watched] = field(default_factory=dict)

    def look(self) -> None:
        for name, roots in self.programs.items():
            resident, shared, seconds = 0, 0, 0.0
            for process in [each for root in roots for each in (root, *_children(root))]:
                try:
                    memory = process.memory_info()
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                # The backends of one cluster share their buffers, which are there once.
                resident, shared = resident + memory.rss - memory.shared, max(shared, memory.shared)
                seconds += times.user + times.system
            watched = self.seen.setdefault(name, Watched())
            watched.peak = max(watched.peak, resident + shared)
            watched.first = seconds if watched.first is None else watched.first
            watched.seconds = max(watched.seconds, seconds - watched.first)

    @contextmanager
    def during(self, every: float = 0.5) -> Iterator[None]:
        over = threading.Event()

        def looking() -> None:
            while not over.wait(every):
                self.look()

        thread = threading.Thread(target=looking, daemon=True)
        self.look()
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


@dataclass(slots=True)
class Imported:
    read_s: float = 0.0
    send_s: float = 0.0
    ends: float = 0.0
    words: list[str] = field(default_factory=list)


async def import_export(stack: RunningStack, export: Path, console: Console) -> tuple[Imported, Watch]:
    token = stack.state.identity / "bench.jwt"
    token.write_text(Issuer(stack.state).token("operator"))
    doors = stack.record.services
    begin = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.intake", "import", str(export), "--wait", "0",
        "--intake", f"127.0.0.1:{doors['intake'].rpc}", "--matching", f"127.0.0.1:{doors['matching'].rpc}",
        "--token-file", str(token), cwd=PROJECT, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "AID_STATE": str(stack.state.folder), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    parts = {part: [psutil.Process(stack.process(part))] for part in ("intake", "matching", "kafka")}
    servers = [each for each in psutil.process_iter() if _is_server_of(each, stack)]
    watch = Watch(
        {"import command": [psutil.Process(process.pid)], **parts, "PostgreSQL, all clusters": servers}
    )
    took = Imported()
    assert process.stdout is not None
    with watch.during():
        async for line in process.stdout:
            said = line.decode().rstrip()
            took.words.append(said)
            console.print(f"  {time.monotonic() - begin:8.1f} s  {said}", highlight=False, markup=False)
            if said.startswith("read ") and "households" in said:
                took.read_s = time.monotonic() - begin
            if said.startswith("send households"):
                took.send_s = time.monotonic() - begin - took.read_s
        code = await process.wait()
    took.ends = time.monotonic() - begin
    for part, [watched] in parts.items():
        if watched.pid != stack.process(part):
            console.print(
                f"  {part} was started again meanwhile: its figures below are those of its first run"
            )
    if code:
        raise SystemExit(f"the import ended with {code}")
    return took, watch


def _is_server_of(process: psutil.Process, stack: RunningStack) -> bool:
    """A cluster's first process; its children are counted with it."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "-D" in words and any(str(stack.state.folder) in word for word in words) and "postgres" in words[0]


@dataclass(frozen=True, slots=True)
class Copied:
    rows: int
    bytes: int
    seconds: float


async def copy_of_the_same_rows(stack: RunningStack, folder: Path) -> Copied:
    """COPY into tables of the same shape, one after the other, as the owner and under no policy."""
    cluster = stack.record.cluster("intake", stack.state)
    connection = await asyncpg.connect(cluster.dsn(cluster.owner), password=cluster.password(cluster.owner))
    rows = size = 0
    seconds = 0.0
    try:
        await connection.execute("CREATE SCHEMA bench")
        for table in TABLES:
            if await connection.fetchval("SELECT to_regclass($1)", table) is None:
                continue
            file = folder / "copy"
            await connection.copy_from_query(f"SELECT * FROM {table}", output=file, format="binary")
            bare = table.rpartition(".")[2]
            await connection.execute(f"CREATE TABLE bench.{bare} (LIKE {table} INCLUDING ALL)")
            begin = time.monotonic()
            done = await connection.copy_to_table(bare, schema_name="bench", source=file, format="binary")
            seconds += time.monotonic() - begin
            rows += int(done.rpartition(" ")[2])
            size += file.stat().st_size
            file.unlink()
        await connection.execute("DROP SCHEMA bench CASCADE")
    finally:
        await connection.close()
    return Copied(rows, size, seconds)


def show(console: Console, made: Generator, took: Imported, watch: Watch, copied: Copied) -> None:
    per_second = made.enrolments / took.ends
    console.print(
        f"{made.enrolments:,} enrolments, {made.households:,} households, {made.clients:,} persons: "
        f"{took.ends:,.0f} s ({took.read_s:,.0f} s to read, {took.send_s:,.0f} s to send), "
        f"{per_second:,.0f} enrolments/s",
        highlight=False,
    )
    table = Table()
    for column in ("", "peak RSS, MiB", "processor s", "share of the time"):
        table.add_column(column, justify="right" if column else "left")
    for name, seen in watch.seen.items():
        share = seen.seconds / took.ends
        table.add_row(name, f"{seen.peak / MIB:,.0f}", f"{seen.seconds:,.0f}", f"{share:.0%}")
    console.print(table)
    console.print(
        f"COPY of the {copied.rows:,} rows ({copied.bytes / MIB:,.0f} MiB) that intake has now: {copied.seconds:,.1f} s, "
        f"{copied.rows / copied.seconds:,.0f} rows/s; the import wrote {copied.rows / took.ends:,.0f} rows/s, "
        f"1/{took.ends / copied.seconds:,.0f} of that "
        f"(sending alone 1/{took.send_s / copied.seconds:,.0f}) on {os.cpu_count()} cores",
        highlight=False,
    )


async def measure(enrolments: int, console: Console) -> None:
    with temporary_state() as state, tempfile.TemporaryDirectory(prefix="aid-export-") as folder:
        export = Path(folder) / "export"
        begin = time.monotonic()
        made = generate(CONFIG, export, enrolments)
        size = sum(file.stat().st_size for file in export.iterdir())
        console.print(
            f"made {made.enrolments:,} enrolments ({size / MIB:,.0f} MiB) in {time.monotonic() - begin:,.0f} s",
            highlight=False,
        )
        with running(state, "--only", "kafka", "postgres", "intake", "matching") as stack:
            took, watch = await import_export(stack, export, console)
            copied = await copy_of_the_same_rows(stack, Path(folder))
            show(console, made, took, watch, copied)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-import", description=__doc__)
    parser.add_argument("--enrolments", type=int, default=100_000)
    asked = parser.parse_args()
    if not CONFIG.is_file():
        raise SystemExit(f"{CONFIG} is not there; AID_FIXTURES names the folder of the fixtures")
    asyncio.run(measure(asked.enrolments, Console()))


if __name__ == "__main__":
    main()
