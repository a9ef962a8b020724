"""The one-machine stack keeps its data, leaves no process behind, and says what is wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.kafka.topics import Topic
from deploy.kafka.topics import read as declared_topics
from deploy.local import clock, control, topics
from deploy.local.artifacts import kafka_jars
from deploy.local.errors import StackError
from deploy.local.identity import AUDIENCE, ISSUER, Issuer
from deploy.local.paths import PROJECT, State, cache, enterable, unprivileged
from deploy.local.ports import HOST
from deploy.local.record import Record, launcher
from deploy.local.service import Doors
from services.chassis.database import DatabaseSettings
from services.chassis.identity import Identity, IdentitySettings
from services.chassis.migrate import migrate
from tests.support.stack import RunningStack, running, temporary_state

BASE = ("--only", "kafka", "postgres")
POSTGRES = ("--only", "postgres")
PATIENCE = 30.0

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


def family(record: Record) -> list[psutil.Process]:
    """Every process of a stack, its launcher first."""
    top = psutil.Process(record.launcher)
    return [top, *top.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return not alive


async def remember(stack: RunningStack, word: str) -> None:
    """Leave a row in every cluster and a record in a declared topic."""
    for service in stack.record.postgres:
        cluster = stack.record.cluster(service, stack.state)
        connection = await asyncpg.connect(
            cluster.dsn(cluster.owner), password=cluster.password(cluster.owner)
        )
        await connection.execute("CREATE TABLE IF NOT EXISTS remembered (word text)")
        await connection.execute("INSERT INTO remembered VALUES ($1)", word)
        await connection.close()
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap, acks="all") as producer:
        await producer.send_and_wait(declared_topics()[0].name, word.encode(), partition=0)


async def remembered(stack: RunningStack) -> list[str]:
    """The words in the clusters, as the application sees them, and in the topic."""
    words = []
    for service in stack.record.postgres:
        cluster = stack.record.cluster(service, stack.state)
        connection = await asyncpg.connect(cluster.dsn(service), password=cluster.password(service))
        words += [row["word"] for row in await connection.fetch("SELECT word FROM remembered")]
        await connection.close()
    partition = TopicPartition(declared_topics()[0].name, 0)
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


async def test_up_down_up_keeps_data_addresses_and_passwords(folder: Path) -> None:
    with running(folder, *BASE) as first:
        await remember(first, "kept")
        processes = family(first.record)
    assert all_gone(processes)
    assert launcher(first.state) is None
    with running(folder, *BASE) as second:
        assert await remembered(second) == ["kept"] * 4
        assert replace(second.record, launcher=0) == replace(first.record, launcher=0)


async def test_a_killed_launcher_leaves_no_process_and_no_damage(folder: Path) -> None:
    with running(folder, *BASE) as first:
        await remember(first, "before")
        processes = family(first.record)
        assert len(processes) > 10, "launcher, JVM, three postmasters and their workers"
        processes[0].kill()
        assert all_gone(processes)
    with running(folder, *BASE) as second:
        assert await remembered(second) == ["before"] * 4


async def test_ctrl_c_stops_every_process(folder: Path) -> None:
    with running(folder, *BASE) as stack:
        processes = family(stack.record)
        os.kill(stack.record.launcher, signal.SIGINT)
        assert all_gone(processes)
    log = (stack.state.log / "launcher.log").read_text()
    assert '"kafka", "change": "stopped"' in log, "asked to stop, not killed"


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack whose parts may be hurt."""
    with temporary_state() as folder, running(folder, *BASE) as up:
        yield up


def notices(stack: RunningStack, part: str, change: str, detail: str = "") -> int:
    """How often the launcher said that of the part."""
    words = f'"part": "{part}", "change": "{change}", "detail": "{detail}'
    return (stack.state.log / "launcher.log").read_text().count(words)


def _is_back(stack: RunningStack, part: str) -> bool:
    return notices(stack, part, "ready", "again") == 1


async def test_what_dies_is_started_again_on_the_same_address(own: RunningStack) -> None:
    await remember(own, "survives")
    for part in ("postgres-matching", "kafka"):
        os.kill(own.process(part), signal.SIGKILL)
        until(partial(_is_back, own, part), f"{part} is not started again")
        assert notices(own, part, "died", "was killed by SIGKILL") == 1
    assert await remembered(own) == ["survives"] * 4


def test_a_held_part_stays_down_until_it_is_resumed(own: RunningStack) -> None:
    address = (HOST, own.record.postgres["intake"])
    control.hold(own.state, "postgres-intake")
    until(lambda: notices(own, "postgres-intake", "held") == 1, "nobody noticed the hold")
    assert not _accepts(address)
    control.resume(own.state, "postgres-intake")
    until(lambda: _accepts(address), "it was not started again")
    with pytest.raises(StackError, match=r"no part 'picture' is running; running: kafka, postgres-intake"):
        control.hold(own.state, "picture")


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


def test_one_state_folder_has_one_launcher(folder: Path) -> None:
    with running(folder, *POSTGRES):
        with pytest.raises(StackError, match="a stack already runs in"), running(folder, *POSTGRES):
            pytest.fail("two launchers hold one folder")
        with pytest.raises(StackError, match="make down"):
            control.clean(State(folder))


def test_a_taken_port_is_chosen_anew(folder: Path) -> None:
    with running(folder, *POSTGRES) as first:
        port = first.record.postgres["intake"]
    with socket.create_server((HOST, port)), running(folder, *POSTGRES) as second:
        assert second.record.postgres["intake"] != port
        assert second.record.postgres["matching"] == first.record.postgres["matching"]


def test_a_part_that_cannot_start_says_what_why_and_where_its_log_is(folder: Path) -> None:
    with running(folder, *POSTGRES) as stack:
        data = stack.record.cluster("matching", stack.state).data
        others = family(stack.record)
    assert all_gone(others)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(StackError) as refused, running(folder, *POSTGRES):
        pytest.fail("a cluster of another version was started")
    message = str(refused.value)
    assert "postgres-matching cannot start: exited with 1" in message
    assert "database files are incompatible with server" in message
    assert f"log: {stack.state.log}/postgres-matching.log" in message
    assert launcher(stack.state) is None
    assert not list(stack.state.log.glob("*.pid")), "the parts that could start were stopped again"


def test_a_start_that_nobody_waits_for_any_more_ends_by_itself(folder: Path) -> None:
    """`up` is killed while its launcher, a process of its own, is still at work."""
    command = [sys.executable, "-m", "deploy.local", "up", "--only", "kafka", "postgres"]
    environment = {**os.environ, "AID_STATE": str(folder)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL) as front:
        state = State(folder)
        until(lambda: launcher(state) is not None, "no launcher came")
        processes = psutil.Process(front.pid).children(recursive=True)
        front.kill()
    assert all_gone(processes)
    assert launcher(state) is None


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
        assert stack("clean-data").returncode == 1
    finally:
        control.stop(state)
    assert all_gone(processes)
    assert stack("status").returncode == 1
    assert stack("down").stdout.startswith("no stack runs")
    assert stack("clean-data").returncode == 0
    assert not folder.exists()
    folder.mkdir()


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A copy of what the stack consists of, in a folder with spaces that any user can enter."""
    with temporary_state() as folder:
        copy = folder / "a network of aid"
        shutil.copytree(PROJECT / "deploy", copy / "deploy", ignore=shutil.ignore_patterns("node_modules"))
        yield copy


def environment_for_everybody(elsewhere: Path) -> Path:
    """A virtual environment with our packages that the unprivileged user can run; its interpreter."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin"))
    base = next((path for path in candidates if path and enterable(Path(path).resolve().parent)), None)
    if base is None:
        pytest.skip(f"no {version} on this machine that an unprivileged user can run")
    subprocess.run([base, "-m", "venv", "--without-pip", elsewhere / ".venv"], check=True)
    ours = elsewhere / ".venv" / "lib" / version / "site-packages"
    shutil.copytree(Path(psutil.__file__).parents[1], ours, copy_function=_link_or_copy, dirs_exist_ok=True)
    return elsewhere / ".venv" / "bin" / "python"


@pytest.mark.parametrize("place", ["ours", "nobody's", "hidden"])
def test_any_folder_any_user(elsewhere: Path, place: str) -> None:
    """In a path with spaces: as the user of the tests, as an unprivileged one, and where only we can go."""
    python = environment_for_everybody(elsewhere)
    cached = elsewhere / "cache"
    shutil.copytree(cache() / "kafka", cached / "kafka", copy_function=_link_or_copy)
    identity: dict[str, Any] = {}
    if place == "nobody's" and (nobody := unprivileged()) is not None:
        identity = {"user": nobody.uid, "group": nobody.gid, "extra_groups": []}
        for path in (elsewhere, cached, cached / "kafka"):
            os.chown(path, nobody.uid, nobody.gid)
    elsewhere.parent.chmod(0o700 if place == "hidden" else 0o711)

    def stack(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "deploy.local", *arguments], cwd=elsewhere, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "AID_CACHE": str(cached)}, check=False, **identity,
        )  # fmt: skip

    processes: list[psutil.Process] = []
    try:
        up = stack("up", *BASE)
        assert up.returncode == 0, up.stdout + up.stderr
        processes = family(Record.read(State((elsewhere / ".state").resolve())))
        assert (elsewhere / ".state").is_symlink() == (place == "hidden" and unprivileged() is not None)
        owners = {process.username() for process in processes}
        assert "nobody" in owners or unprivileged() is None
        assert "root" not in owners or place != "nobody's"
    finally:
        down = stack("down")
        forgotten = stack("clean-data")
    assert down.stdout == "the stack is down\n"
    assert all_gone(processes)
    assert forgotten.returncode == 0, forgotten.stderr
    assert not (elsewhere / ".state").exists()
    assert not (elsewhere / ".state").is_symlink()


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def test_a_jar_that_is_not_the_pinned_one_is_never_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(kafka_jars(lambda _: None)[0].parent, folder / "cache" / "kafka")
    monkeypatch.setenv("AID_CACHE", str(folder / "cache"))
    said: list[str] = []
    tampered = kafka_jars(said.append)[0]
    assert said == []
    content = tampered.read_bytes()
    tampered.write_bytes(content + b"!")
    assert kafka_jars(said.append)[0] == tampered
    assert said == [f"fetched 1 of 1 jars ({tampered.name})"]
    assert tampered.read_bytes() == content


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


async def test_advance_waits_for_what_is_due_and_names_what_is_stuck(folder: Path) -> None:
    with running(folder, *BASE, "--stepped") as stack:
        cluster = stack.record.cluster("intake", stack.state)
        settings = DatabaseSettings(
            dsn=cluster.dsn(cluster.service), password_file=cluster.password_file(cluster.service),
            owner_dsn=cluster.dsn(cluster.owner), owner_password_file=cluster.password_file(cluster.owner),
        )  # fmt: skip
        await migrate(settings, "services.chassis")
        replace(stack.record, services={"intake": Doors(0, 0)}).write(stack.state)
        connection = await asyncpg.connect(cluster.dsn("intake"), password=cluster.password("intake"))
        before = clock.now(stack.state)
        due = before + timedelta(hours=3)
        await connection.execute("INSERT INTO timer (kind, subject, due_at) VALUES ('hold', 'x', $1)", due)

        await clock.advance(stack.state, timedelta(hours=2), patience=10)
        assert timedelta(hours=2) <= clock.now(stack.state) - before < timedelta(hours=2, minutes=1)
        with pytest.raises(StackError, match=r"not drained after 0.3 s: intake: 1 timers hold due"):
            await clock.advance(stack.state, timedelta(hours=2), patience=0.3)

        waiting = asyncio.create_task(clock.drained(stack.state, Record.read(stack.state), patience=20))
        done, _ = await asyncio.wait({waiting}, timeout=0.5)
        assert not done, "it returned although a timer is due"
        await connection.execute("DELETE FROM timer")
        await asyncio.wait_for(waiting, 10)

        topic = next(each.name for each in declared_topics() if "intake" in each.consumers)
        async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap) as producer:
            for _ in range(2):
                sent = await producer.send_and_wait(topic, b"x", partition=1)
        with pytest.raises(StackError, match=f"intake: 2 of {topic}-1 unread"):
            await clock.advance(stack.state, timedelta(), patience=0.3)
        position = ("intake", topic, 1, sent.offset)
        await connection.execute("INSERT INTO consumer_position VALUES ($1, $2, $3, $4)", *position)
        with pytest.raises(StackError, match=f"intake: 1 of {topic}-1 unread"):
            await clock.advance(stack.state, timedelta(), patience=0.3)
        await connection.execute("UPDATE consumer_position SET next_offset = next_offset + 1")
        await clock.advance(stack.state, timedelta(), patience=10)
        await connection.close()
    with running(folder, *POSTGRES) as again:
        assert again.record.stepped, "domain time must not run backwards when the flag is forgotten"
        assert clock.now(again.state) - before > timedelta(hours=4)


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
