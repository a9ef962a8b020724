"""What was said against what was heard: a lost tail leaves no gap, so the last sequences are compared."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.chassis.database import Connection
from services.chassis.topics import Topic, Topics

_SAID = "SELECT key, epoch, last FROM stream WHERE topic = $1 AND last > 0"
_HEARD = "SELECT key, epoch, last FROM inbox WHERE topic = $1 AND consumer = $2"

Last = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of which a consumer has applied another last event (epoch, sequence) than was said."""

    topic: str
    consumer: str
    key: str
    said: Last | None
    heard: Last | None

    @property
    def ahead(self) -> bool:
        """The consumer knows more than the producer: the producer was restored without a new epoch."""
        return self.heard is not None and (self.said is None or self.heard > self.said)


async def audit(topics: Topics, services: Mapping[str, Connection]) -> list[Difference]:
    """Every difference between the producers and consumers among these services, at this moment.

    While events are under way there are some: a caller that wants the lasting ones uses `lasting`.
    """
    found: list[Difference] = []
    for topic in topics:
        if topic.producer not in services:
            continue
        said = await _lasts(services[topic.producer], _SAID, topic.name)
        for consumer in topic.consumers:
            if consumer in services:
                heard = await _lasts(services[consumer], _HEARD, topic.name, consumer)
                found.extend(_differences(topic, consumer, said, heard))
    return found


async def lasting(
    topics: Topics, services: Mapping[str, Connection], patience_s: float = 5.0
) -> list[Difference]:
    """The differences of which neither side has moved for that long."""
    first = set(await audit(topics, services))
    if not first:
        return []
    await asyncio.sleep(patience_s)
    return [difference for difference in await audit(topics, services) if difference in first]


def _differences(
    topic: Topic, consumer: str, said: Mapping[str, Last], heard: Mapping[str, Last]
) -> Iterator[Difference]:
    for key in sorted(said.keys() | heard.keys()):
        if said.get(key) != heard.get(key):
            yield Difference(topic.name, consumer, key, said.get(key), heard.get(key))


async def _lasts(connection: Connection, query: str, *arguments: str) -> dict[str, Last]:
    return {row["key"]: (row["epoch"], row["last"]) for row in await connection.fetch(query, *arguments)}


async def main(argv: Sequence[str], say: Callable[[str], object] = print) -> int:
    """`python -m services.chassis.audit --topics FILE intake=DSN=PASSWORD_FILE ...`; 1 if they differ."""
    parser = argparse.ArgumentParser(prog="audit")
    parser.add_argument("--topics", type=Path, required=True)
    parser.add_argument("--patience", type=float, default=5.0, help="seconds that a difference must last")
    parser.add_argument("services", nargs="+", metavar="NAME=DSN=PASSWORD_FILE")
    asked = parser.parse_args(argv)
    async with AsyncExitStack() as resources:
        services: dict[str, Connection] = {}
        for each in asked.services:
            name, dsn, password = _service(each)
            connection = await asyncpg.connect(dsn, password=password)
            resources.push_async_callback(connection.close)
            services[name] = connection
        differences = await lasting(Topics.load(asked.topics), services, asked.patience)
    for each in differences:
        fault = "is ahead of its producer" if each.ahead else "has not heard all"
        say(f"{each.topic}  {each.key}: {each.consumer} {fault}: said {each.said}, heard {each.heard}")
    say(f"{len(differences)} differences")
    return 1 if differences else 0


def _service(text: str) -> tuple[str, str, str]:
    """Name, address and password of a service's database."""
    name, rest = text.split("=", 1)
    dsn, password_file = rest.rsplit("=", 1)
    return name, dsn, Path(password_file).read_text().strip()


if __name__ == "__main__":
    import sys

    raise SystemExit(asyncio.run(main(sys.argv[1:])))
