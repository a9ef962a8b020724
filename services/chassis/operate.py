"""What an operator asks of a service's messages: show what is parked, replay it, reseed, raise the epoch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from services.chassis import logs
from services.chassis.apply import Applier, Handler
from services.chassis.database import Database
from services.chassis.metrics import Metrics
from services.chassis.snapshots import Snapshots, raise_epoch, reseed, reseed_all
from services.chassis.topics import Topics
from services.chassis.work import Work, WorkFactory

_log = logs.logger("operate")

W = TypeVar("W", bound=Work)
Say = Callable[[str], object]

_PARKED = """
SELECT id, consumer, topic, key, epoch, sequence, partition, "offset", reason, parked_at FROM parked
WHERE topic = COALESCE($1, topic) AND key = COALESCE($2, key)
ORDER BY consumer, topic, key, epoch NULLS FIRST, sequence NULLS FIRST, id
"""


async def operate(
    argv: Sequence[str],
    *,
    database: Database,
    works: WorkFactory[W],
    handlers: Mapping[str, Handler[W]],
    snapshots: Mapping[str, Snapshots],
    topics: Topics,
    say: Say = print,
) -> int:
    """Run one command of `python -m services.X COMMAND [--topic T] [--key K]`; return the exit code."""
    asked = _parser(snapshots).parse_args(argv)
    match asked.command:
        case "parked":
            return await _show_parked(database, asked.topic, asked.key, say)
        case "replay":
            return await _replay(database, works, handlers, topics, asked.topic, asked.key, say)
        case "reseed":
            chosen = {asked.topic: snapshots[asked.topic]} if asked.topic else snapshots
            return await _reseed(works, chosen, asked.key, say)
        case _:
            say(f"epoch {await raise_epoch(works)}")
            return await _reseed(works, snapshots, None, say)


def is_operation(argv: Sequence[str]) -> bool:
    """Whether the command line asks for one of these instead of the service itself."""
    return bool(argv) and argv[0] in ("parked", "replay", "reseed", "raise-epoch")


def _parser(snapshots: Mapping[str, Snapshots]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="messages")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, sentence in (
        ("parked", "show the records that are set aside, without their contents"),
        ("replay", "try parked records again, in order"),
    ):
        command = commands.add_parser(name, help=sentence)
        command.add_argument("--topic")
        command.add_argument("--key")
    command = commands.add_parser("reseed", help="say the full state of a key, of a topic, or of all topics")
    command.add_argument("--topic", choices=sorted(snapshots))
    command.add_argument("--key")
    commands.add_parser(
        "raise-epoch", help="after a restore from a backup: a new epoch, and full state of all"
    )
    return parser


async def _show_parked(database: Database, topic: str | None, key: str | None, say: Say) -> int:
    rows = await database.pool.fetch(_PARKED, topic, key)
    for row in rows:
        at = f"{row['epoch']}:{row['sequence']}" if row["sequence"] is not None else "unreadable"
        say(
            f"{row['parked_at']:%Y-%m-%d %H:%M:%S}  {row['consumer']}  {row['topic']}  {row['key']}  {at}  "
            f"partition {row['partition']} offset {row['offset']}  {row['reason']}"
        )
    say(f"{len(rows)} parked")
    return 0


async def _replay(
    database: Database,
    works: WorkFactory[W],
    handlers: Mapping[str, Handler[W]],
    topics: Topics,
    topic: str | None,
    key: str | None,
    say: Say,
) -> int:
    """In the order of each key; a key whose record fails again stays parked from there on."""
    stuck: set[tuple[str, str, str]] = set()
    replayed = 0
    for row in await database.pool.fetch(_PARKED, topic, key):
        stream = (row["consumer"], row["topic"], row["key"])
        if stream in stuck:
            continue
        applier = Applier(works, row["consumer"], handlers, Metrics())
        try:
            replayed += await applier.replay(topics.of(row["topic"]), row["id"])
        except Exception as error:  # noqa: BLE001 - this key stays as it was, the others go on
            stuck.add(stream)
            _log.error("replay-failed", error, topic=row["topic"])
            say(f"{row['topic']}  {row['key']}  still fails: {type(error.__cause__ or error).__name__}")
    say(f"{replayed} replayed, {len(stuck)} keys still parked")
    return 1 if stuck else 0


async def _reseed(
    works: WorkFactory[W], snapshots: Mapping[str, Snapshots], key: str | None, say: Say
) -> int:
    for topic, source in snapshots.items():
        said = (
            await reseed_all(works, topic, source) if key is None else await reseed(works, topic, key, source)
        )
        say(f"{topic}: {int(said)} snapshots")
    return 0
