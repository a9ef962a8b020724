"""Everything that a network has kept or shows, as bytes: what a thief, an insider or a curious operator could read.

async for kept in everything(stack, exposed=Exposed(...)):
    kept.kind, kept.where, kept.content
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.identity import Issuer
from deploy.local.ports import HOST
from deploy.local.postgres import Cluster
from tests.support.stack import RunningStack

_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
_TABLES = """
SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY nspname, relname
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Some bytes and where they are: `kind` is topic, table, metrics, prometheus, log or file."""

    kind: str
    where: str
    content: bytes


class Needles:
    """What is looked for, by the name of what it would give away.

    It is looked for in every form it could have been kept in; in raw files, of which there are many, as it is:
    what they hold in another form is a record, a row or a line of a log, and is looked at as such.
    """

    def __init__(self, words: Mapping[str, str | bytes]) -> None:
        self._plain = {name: frozenset([_raw(word)]) for name, word in words.items()}
        self._every = {name: frozenset(forms(word)) for name, word in words.items()}

    def found(self, kept: Kept) -> list[str]:
        """The names of what these bytes give away."""
        sought = self._plain if kept.kind == "file" else self._every
        return [name for name, looks in sought.items() if any(look in kept.content for look in looks)]


def forms(word: str | bytes) -> Iterator[bytes]:
    """Bytes as they are, as hex, as base64 at each of their three alignments; a word also in other cases and
    as UTF-16."""
    raw = _raw(word)
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode())
    yield from (_within_base64(raw, before) for before in range(3))
    if isinstance(word, str):
        yield from (word.upper().encode(), word.title().encode(), word.encode("utf-16-le"))


def _raw(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word


def _within_base64(raw: bytes, before: int) -> bytes:
    """What of the base64 of anything that has `raw` behind `before` bytes depends on `raw` alone."""
    encoded = base64.b64encode(b"\0" * before + raw + b"\0\0")
    return encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


async def everything(stack: RunningStack) -> AsyncIterator[Kept]:
    """All of it: topics through their records, databases through their rows, what processes and Prometheus
    show, and every file of the stack as it lies on the disk (logs, segments, tables, indexes, write-ahead logs)."""
    async for kept in topics(stack):
        yield kept
    for name in stack.record.postgres:
        async for kept in tables(stack.record.cluster(name, stack.state)):
            yield kept
    async for kept in metrics(stack):
        yield kept
    async for kept in prometheus(stack):
        yield kept
    for kept in files(stack):
        yield kept


async def topics(stack: RunningStack) -> AsyncIterator[Kept]:
    """Every record of every topic, the broker's own topics included: key, headers and value."""
    async for record in records(stack.bootstrap):
        headers = [part for name, value in record.headers for part in (name.encode(), value)]
        content = b"\0".join([record.key or b"", *headers, record.value or b""])
        yield Kept("topic", f"{record.topic}-{record.partition}@{record.offset}", content)


async def records(
    bootstrap: str, names: Collection[str] | None = None
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    """Every record that these topics hold now, or all topics that there are; each partition in its order."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(list(names or await admin.list_topics()))
    finally:
        await admin.close()
    places = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        unread = {place for place in places if ends[place] > 0}
        while unread:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    yield record
            unread = {place for place in unread if await consumer.position(place) < ends[place]}


async def tables(cluster: Cluster) -> AsyncIterator[Kept]:
    """Every table of every database of a cluster, twice: as text and as the bytes behind it."""
    connection = await cluster.superuser()
    try:
        databases = [row["datname"] for row in await connection.fetch(_DATABASES)]
    finally:
        await connection.close()
    for database in databases:
        connection = await cluster.superuser(database)
        try:
            for schema, table in await connection.fetch(_TABLES):
                for form in ("text", "binary"):
                    dump = BytesIO()
                    await connection.copy_from_table(table, schema_name=schema, output=dump, format=form)
                    where = f"{cluster.service}/{database}.{schema}.{table} as {form}"
                    yield Kept("table", where, dump.getvalue())
        finally:
            await connection.close()


async def metrics(stack: RunningStack) -> AsyncIterator[Kept]:
    """What every process shows at /metrics."""
    token = Issuer(stack.state).metrics_token_file.read_text()
    async with httpx.AsyncClient(trust_env=False) as client:
        for service, doors in stack.record.services.items():
            answer = await client.get(
                f"http://{HOST}:{doors.http}/metrics", headers={"Authorization": f"Bearer {token}"}
            )
            answer.raise_for_status()
            yield Kept("metrics", service, answer.content)


async def prometheus(stack: RunningStack) -> AsyncIterator[Kept]:
    """Every label that Prometheus has, with every value it ever had."""
    if stack.record.prometheus is None:
        return
    base = f"http://{HOST}:{stack.record.prometheus}/api/v1"
    async with httpx.AsyncClient(trust_env=False) as client:
        names = (await client.get(f"{base}/labels")).raise_for_status()
        yield Kept("prometheus", "labels", names.content)
        for name in names.json()["data"]:
            values = (await client.get(f"{base}/label/{name}/values")).raise_for_status()
            yield Kept("prometheus", name, json.dumps(values.json()["data"]).encode())


def files(stack: RunningStack) -> Iterator[Kept]:
    """Every file of the state folder. What vanishes while we look (a write-ahead segment that is recycled,
    a lock) has held nothing that is not also somewhere else."""
    for path in sorted(stack.state.folder.rglob("*")):
        if not path.is_file():
            continue
        kind = "log" if path.is_relative_to(stack.state.log) else "file"
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes().rstrip(b"\0")  # Kafka lays its indexes out with room to grow
            yield Kept(kind, str(path.relative_to(stack.state.folder)), content)
