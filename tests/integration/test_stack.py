"""The one-machine stack keeps its data, leaves no process behind, and says what is wrong."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.kafka.topics import Topic
from deploy.kafka.topics import read as declared_topics
from deploy.local import clock, control, topics
from deploy.local.errors import StackError
from deploy.local.identity import AUDIENCE, ISSUER, Issuer
from deploy.local.paths import PROJECT, State, launcher
from deploy.local.ports import HOST
from deploy.local.record import Record
from deploy.local.service import Doors
from services.chassis.database import DatabaseSettings
from services.chassis.identity import Identity, IdentitySettings
from services.chassis.migrate import migrate
from tests.support.stack import RunningStack, all_gone, family, running, temporary_state

BASE = ("--only", "kafka", "postgres")
POSTGRES = ("--only", "postgres")
PATIENCE = 30.0
UNREAD = next(topic.name for topic in declared_topics() if not topic.consumers)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_state() as folder:
        yield folder


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


async def remember(stack: RunningStack, word: str) -> None:
    """Leave a row in every cluster and a record in a topic that nobody reads here."""
    for service in stack.record.postgres:
        cluster = stack.record.cluster(service, stack.state)
        connection = await asyncpg.connect(
            cluster.dsn(cluster.owner), password=cluster.password(cluster.owner)
        )
        await connection.execute("CREATE TABLE IF NOT EXISTS remembered (word text)")
        await connection.execute("INSERT INTO remembered VALUES ($1)", word)
        await connection.close()
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap, acks="all") as producer:
        await producer.send_and_wait(UNREAD, word.encode(), word.encode(), partition=0)


async def remembered(stack: RunningStack) -> list[str]:
    """The words in the clusters, as the application sees them, and in the topic."""
    words = []
    for service in stack.record.postgres:
        cluster = stack.record.cluster(service, stack.state)
        connection = await asyncpg.connect(cluster.dsn(service), password=cluster.password(service))
        words += [row["word"] for row in await connection.fetch("SELECT word FROM remembered")]
        await connection.close()
    partition = TopicPartition(UNREAD, 0)
    async with AIOKafkaConsumer(bootstrap_servers=stack.bootstrap) as consumer, asyncio.timeout(PATIENCE):
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, 0)
        while await consumer.position(partition) < end:
            words += [
                record.value.decode()
                for record in (await consumer.getmany(timeout_ms=100)).get(partition, [])
            ]
    return words


@dataclass(frozen=True)
class Lived:
    """A folder in which a stack was up, was told "kept", and was taken down."""

    folder: Path
    record: Record
    processes: list[psutil.Process]


@pytest.fixture(scope="module")
async def lived() -> AsyncIterator[Lived]:
    with temporary_state() as folder:
        with running(folder, *BASE) as stack:
            await remember(stack, "kept")
            processes = family(stack.record)
        yield Lived(folder, stack.record, processes)


async def test_up_down_up_keeps_data_addresses_and_passwords_and_ctrl_c_stops_all(lived: Lived) -> None:
    assert all_gone(lived.processes)
    assert launcher(State(lived.folder)) is None
    with running(lived.folder, *BASE) as stack:
        assert set(await remembered(stack)) == {"kept"}
        assert replace(stack.record, launcher=0) == replace(lived.record, launcher=0)
        processes = family(stack.record)
        os.kill(stack.record.launcher, signal.SIGINT)
        assert all_gone(processes)
    log = (stack.state.log / "launcher.log").read_text()
    assert log.count('"kafka", "change": "stopped"') == 2, "asked to stop both times, not killed"


async def test_a_killed_launcher_leaves_no_process_and_no_damage(lived: Lived) -> None:
    with running(lived.folder, *BASE) as first:
        await remember(first, "before")
        processes = family(first.record)
        assert len(processes) > 10, "launcher, JVM, three postmasters and their workers"
        processes[0].kill()
        assert all_gone(processes)
    with running(lived.folder, *BASE) as second:
        assert await remembered(second) == ["kept", "before"] * 4


def test_a_start_that_nobody_waits_for_any_more_ends_by_itself(lived: Lived) -> None:
    """`up` is killed while its launcher, a process of its own, is still at work."""
    command = [sys.executable, "-m", "deploy.local", "up", "--only", "kafka", "postgres"]
    environment = {**os.environ, "AID_STATE": str(lived.folder)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL) as front:
        state = State(lived.folder)
        until(lambda: launcher(state) is not None, "no launcher came")
        processes = psutil.Process(front.pid).children(recursive=True)
        front.kill()
    assert all_gone(processes)
    assert launcher(state) is None


def test_a_taken_port_is_chosen_anew(lived: Lived) -> None:
    port = lived.record.postgres["intake"]
    with socket.create_server((HOST, port)), running(lived.folder, *POSTGRES) as stack:
        assert stack.record.postgres["intake"] != port
        assert stack.record.postgres["matching"] == lived.record.postgres["matching"]


def test_a_part_that_cannot_start_says_what_why_and_where_its_log_is(lived: Lived) -> None:
    state = State(lived.folder)
    version = lived.record.cluster("matching", state).data / "PG_VERSION"
    ours = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(StackError) as refused, running(lived.folder, *POSTGRES):
            pytest.fail("a cluster of another version was started")
    finally:
        version.write_text(ours)
    message = str(refused.value)
    assert "postgres-matching cannot start: exited with 1" in message
    assert "database files are incompatible with server" in message
    assert f"log: {state.log}/postgres-matching.log" in message
    assert launcher(state) is None
    assert not list(state.log.glob("*.pid")), "the parts that could start were stopped again"


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack whose parts may be hurt, with one of our own services."""
    with temporary_state() as folder, running(folder, *BASE, "picture", "--stepped") as up:
        yield up


def notices(stack: RunningStack, part: str, change: str, detail: str = "") -> int:
    """How often the launcher said that of the part."""
    words = f'"part": "{part}", "change": "{change}", "detail": "{detail}'
    return (stack.state.log / "launcher.log").read_text().count(words)


def _is_back(stack: RunningStack, part: str) -> bool:
    return notices(stack, part, "ready", "again") == 1


async def test_what_dies_or_does_nothing_is_started_again_on_the_same_address(own: RunningStack) -> None:
    await remember(own, "survives")
    silent = own.process("picture")
    os.kill(silent, signal.SIGSTOP)
    for part in ("postgres-matching", "kafka"):
        os.kill(own.process(part), signal.SIGKILL)
        until(partial(_is_back, own, part), f"{part} is not started again")
        assert notices(own, part, "died", "was killed by SIGKILL") == 1
    assert await remembered(own) == ["survives"] * 4
    until(partial(_is_back, own, "picture"), "it neither works nor ends, and nobody minds")
    assert notices(own, "picture", "stuck", "no answer, 5 times in a row; killed") == 1
    assert own.process("picture") != silent


def test_a_held_part_stays_down_until_it_is_resumed(own: RunningStack) -> None:
    address = (HOST, own.record.postgres["intake"])
    control.hold(own.state, "postgres-intake")
    until(lambda: notices(own, "postgres-intake", "held") == 1, "nobody noticed the hold")
    assert not _accepts(address)
    control.resume(own.state, "postgres-intake")
    until(partial(_is_back, own, "postgres-intake"), "it was not started again")
    assert _accepts(address)
    with pytest.raises(StackError, match=r"no part 'matching' is running; running: kafka, picture, postgres"):
        control.hold(own.state, "matching")


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_two_stacks_side_by_side_share_nothing(stack: RunningStack, own: RunningStack) -> None:
    ours = {stack.record.kafka, *stack.record.postgres.values()}
    theirs = {own.record.kafka, *own.record.postgres.values()}
    assert len(ours | theirs) == 8
    await remember(own, "theirs")
    assert "theirs" in await remembered(own)
    here, there = stack.record.cluster("intake", stack.state), own.record.cluster("intake", own.state)
    with pytest.raises(asyncpg.UndefinedTableError):
        await (await here.superuser("intake")).fetch("SELECT word FROM remembered")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(there.dsn("intake"), password=here.password("intake"))


def test_one_state_folder_has_one_launcher(own: RunningStack) -> None:
    with pytest.raises(StackError, match="a stack already runs in"), running(own.state.folder, *POSTGRES):
        pytest.fail("two launchers hold one folder")
    with pytest.raises(StackError, match="make down"):
        control.clean(own.state)


def test_up_returns_when_all_is_ready_and_down_when_all_is_gone(folder: Path) -> None:
    def stack(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.local", *arguments]
        environment = {**os.environ, "AID_STATE": str(folder)}
        return subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )

    state = State(folder)
    try:
        up = stack("up", "--only", "postgres")
        assert up.returncode == 0, up.stderr
        record = Record.read(state)
        processes = family(record)
        assert f"postgresql://intake@{HOST}:{record.postgres['intake']}/intake" in up.stdout
        assert "already running" in stack("up", "--only", "postgres").stdout
        assert str(processes[1].pid) in stack("status").stdout
        assert re.search(r"\nlauncher +\d+ +1 +\d+ MiB +\d+ MiB\nall +", stack("memory").stdout)
        assert stack("clean-data").returncode == 1
    finally:
        control.stop(state)
    assert all_gone(processes)
    assert stack("status").returncode == 1
    assert stack("down").stdout.startswith("no stack runs")
    assert stack("clean-data").returncode == 0
    assert not folder.exists()
    folder.mkdir()


async def test_topics_are_made_once_and_a_change_of_partitions_is_refused(stack: RunningStack) -> None:
    assert await topics.create(stack.bootstrap, declared_topics()) == []
    wider = replace(declared_topics()[0], partitions=declared_topics()[0].partitions + 1)
    with pytest.raises(StackError, match=r"has 4 partitions and topics.yaml declares 5"):
        await topics.create(stack.bootstrap, [wider])
    unnameable: Topic = replace(declared_topics()[0], name="not a topic's name")
    with pytest.raises(StackError, match=r"could not be made: not a topic's name: InvalidTopicError"):
        await topics.create(stack.bootstrap, [unnameable])


def test_the_issuer_is_believed_by_the_services_and_keeps_its_key(folder: Path) -> None:
    state = State(folder)
    state.create()
    Issuer(state).publish(("intake",))
    issuer = Issuer(state)
    settings = IdentitySettings(jwks_file=issuer.jwks_file, issuer=ISSUER, audience=AUDIENCE)
    officer = Identity(settings).verify(issuer.token("officer"))
    assert (officer.subject, officer.roles) == ("officer", frozenset({"outreach"}))
    service = Identity(settings).verify(issuer.service_token_file("intake").read_text())
    assert (service.subject, service.roles) == ("intake", frozenset({"service"}))
    with pytest.raises(StackError, match="no user 'burglar'; there are: officer, "):
        issuer.token("burglar")
    assert {path.stat().st_mode & 0o777 for path in state.identity.iterdir()} == {0o600}


async def test_advance_waits_for_what_is_due_and_names_what_is_stuck(own: RunningStack) -> None:
    cluster = own.record.cluster("intake", own.state)
    settings = DatabaseSettings(
        dsn=cluster.dsn(cluster.service), password_file=cluster.password_file(cluster.service),
        owner_dsn=cluster.dsn(cluster.owner), owner_password_file=cluster.password_file(cluster.owner),
    )  # fmt: skip
    await migrate(settings, "services.chassis")
    replace(own.record, services={"intake": Doors(0, 0)}).write(own.state)
    connection = await asyncpg.connect(cluster.dsn("intake"), password=cluster.password("intake"))
    before = clock.now(own.state)
    due = before + timedelta(hours=3)
    await connection.execute("INSERT INTO timer (kind, subject, due_at) VALUES ('hold', 'x', $1)", due)

    await clock.advance(own.state, timedelta(hours=2), patience=10)
    assert timedelta(hours=2) <= clock.now(own.state) - before < timedelta(hours=2, minutes=1)
    with pytest.raises(StackError, match=r"not drained after 0.3 s: intake: 1 timers hold due"):
        await clock.advance(own.state, timedelta(hours=2), patience=0.3)

    waiting = asyncio.create_task(clock.drained(own.state, Record.read(own.state), patience=20))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done, "it returned although a timer is due"
    await connection.execute("DELETE FROM timer")
    await asyncio.wait_for(waiting, 10)

    topic = next(
        each.name
        for each in declared_topics()
        if "intake" in each.consumers and "picture" not in each.consumers
    )
    async with AIOKafkaProducer(bootstrap_servers=own.bootstrap) as producer:
        for _ in range(2):
            sent = await producer.send_and_wait(topic, b"x", partition=1)
    with pytest.raises(StackError, match=f"intake: 2 of {topic}-1 unread"):
        await clock.advance(own.state, timedelta(), patience=0.3)
    position = ("intake", topic, 1, sent.offset)
    await connection.execute("INSERT INTO consumer_position VALUES ($1, $2, $3, $4)", *position)
    with pytest.raises(StackError, match=f"intake: 1 of {topic}-1 unread"):
        await clock.advance(own.state, timedelta(), patience=0.3)
    await connection.execute("UPDATE consumer_position SET next_offset = next_offset + 1")
    await clock.advance(own.state, timedelta(), patience=10)
    await connection.close()
    own.record.write(own.state)


def test_domain_time_does_not_run_backwards_when_the_flag_is_forgotten(folder: Path) -> None:
    state = State(folder)
    state.create()
    assert not clock.prepare(state, stepped=False)
    assert clock.prepare(state, stepped=True)
    state.clock.write_bytes(clock.OFFSET.pack(4 * 3_600_000_000))
    assert clock.prepare(state, stepped=False)
    assert clock.now(state) - datetime.now(UTC) > timedelta(hours=3, minutes=59)


def test_wall_time_is_not_moved(stack: RunningStack) -> None:
    with pytest.raises(StackError, match="runs on wall time"):
        asyncio.run(clock.advance(stack.state, timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "meant"), [("3d", timedelta(3)), ("90s", timedelta(seconds=90)), ("1d12h", timedelta(1.5))]
)
def test_durations(text: str, meant: timedelta) -> None:
    assert clock.duration(text) == meant


@pytest.mark.parametrize("text", ["", "3", "3w", "-3d", "3d!", "d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(StackError, match="is no duration"):
        clock.duration(text)


def test_prometheus_reads_the_services_with_their_token(folder: Path) -> None:
    with running(folder, "--only", "prometheus") as stack:
        answer = httpx.get(f"http://{HOST}:{stack.record.prometheus}/api/v1/status/config", timeout=10)
        configuration = yaml.safe_load(answer.json()["data"]["yaml"])
    services = next(job for job in configuration["scrape_configs"] if job["job_name"] == "services")
    token = Path(services["authorization"]["credentials_file"])
    assert token == Issuer(stack.state).metrics_token_file
    assert len(token.read_text()) >= 32


def test_the_rest_runs_without_prometheus_but_not_where_the_project_is_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder / "nothing"))
    monkeypatch.setenv("AID_CACHE", str(folder / "cache"))
    monkeypatch.setenv("CI", "")
    with running(folder / "state", "--only", "prometheus") as stack:
        assert stack.record.prometheus is None
    log = (stack.state.log / "launcher.log").read_text()
    assert '"change": "skipped", "detail": "no Prometheus on PATH' in log
    monkeypatch.setenv("CI", "true")
    with (
        pytest.raises(StackError, match="no Prometheus on PATH"),
        running(folder / "state", "--only", "prometheus"),
    ):
        pytest.fail("checked without its metrics")
