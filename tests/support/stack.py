"""A running Kafka and three PostgreSQL clusters for tests, and fresh databases and topics inside them.

Usage (the fixtures are registered by tests/conftest.py)::

    async def test_something(stack: RunningStack) -> None:
        database = await stack.database("intake")    # new and empty; roles and rights as in production
        topic = await stack.topic("cases")           # new, with 4 partitions; its full name is returned
        connection = await asyncpg.connect(database.dsn, password=database.password)
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap)

`stack` is session-scoped: Kafka and PostgreSQL are started once (about 4 s), only when a test asks for them,
in a temporary folder, and die with the test process however that one ends. Databases and topics are never
shared: two tests, or two test runs, cannot see each other's rows or records.

The whole network, services included, for one test or module: `with running(folder, "--stepped") as network:`,
where `folder` comes from `temporary_state()`. `network.record.services` has the ports of each service,
`Issuer(network.state).token("officer")` is a ready-made user's token, `clock.advance(network.state, by)` moves
domain time, `network.process("matching")` is a process id to kill, and `control.hold(network.state, "kafka")`
keeps a part stopped until `control.resume(network.state, "kafka")`.

A database has two roles: `dsn`/`password`/`password_file` is the application (may read and write rows),
`owner_dsn`/`owner_password`/`owner_password_file` owns the database and runs migrations.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.kafka.topics import Cleanup, Topic
from deploy.local import control, topics
from deploy.local.paths import State
from deploy.local.record import Record

GONE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Database:
    """One empty database, as a service finds its own at its first start."""

    name: str
    dsn: str
    password: str
    password_file: Path
    owner_dsn: str
    owner_password: str
    owner_password_file: Path
    port: int


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack that is up."""

    state: State
    record: Record

    @property
    def bootstrap(self) -> str:
        """Where Kafka's clients connect."""
        return self.record.bootstrap

    async def database(self, service: str = "intake") -> Database:
        """A new database in the cluster of that service."""
        cluster = self.record.cluster(service, self.state)
        name = f"test_{uuid.uuid4().hex[:16]}"
        await cluster.create_database(name)
        return Database(
            name=name,
            dsn=cluster.dsn(cluster.service, name),
            password=cluster.password(cluster.service),
            password_file=cluster.password_file(cluster.service),
            owner_dsn=cluster.dsn(cluster.owner, name),
            owner_password=cluster.password(cluster.owner),
            owner_password_file=cluster.password_file(cluster.owner),
            port=cluster.port,
        )

    async def topic(self, hint: str = "topic", partitions: int = 4, cleanup: Cleanup = "delete") -> str:
        """A new topic; its name."""
        topic = Topic(
            name=f"test.{hint}.{uuid.uuid4().hex[:12]}", key="key", partitions=partitions, retention_hours=24,
            cleanup=cleanup, classification="internal", producer="test", consumers=(),
            events=("test.Snapshot",), snapshot="test.Snapshot", unknown="park",
        )  # fmt: skip
        await topics.create(self.bootstrap, [topic])
        return topic.name

    def process(self, part: str) -> int:
        """The process id of a part, e.g. to kill it; the supervisor starts it again under another id."""
        return int(self.state.pid(part).read_text())


def family(record: Record) -> list[psutil.Process]:
    """Every process of a stack, its launcher first."""
    top = psutil.Process(record.launcher)
    return [top, *top.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether they have ended, or do so soon."""
    _, alive = psutil.wait_procs(processes, timeout=GONE_SECONDS)
    return not alive


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[RunningStack]:
    """A stack of one's own in that folder, stopped at the end of the block and killed with this process."""
    state = State(folder.resolve())
    with control.launched(state, options, say=lambda notice: None) as record:
        yield RunningStack(state, record)


@contextlib.contextmanager
def temporary_state() -> Iterator[Path]:
    """A folder for a stack's state that the unprivileged user of PostgreSQL can enter, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="aid-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Kafka and the three PostgreSQL clusters, without services, for the whole test session."""
    with temporary_state() as folder, running(folder, "--only", "kafka", "postgres") as up:
        yield up
