"""A picture of one's own for a test: its topics, its process, events to feed it, and what it publishes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import struct
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import yaml
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as matching
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import Message
from jwt.algorithms import OKPAlgorithm

from deploy.local.paths import PROJECT
from services.chassis import envelope, kafka_admin
from services.chassis.envelope import Announcement, Record
from services.chassis.kafka import KafkaSettings
from services.matching.adapters import picture_wire
from services.matching.picture_model import Counts
from tests.support.stack import RunningStack

Published = dict[tuple[str, str], list[tuple[datetime, Counts]]]
METRICS_TOKEN = "metrics-token-of-a-test"
THIS_HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
KINDS = {"lodging": common.NEED_KIND_LODGING, "food": common.NEED_KIND_FOOD, "goods": common.NEED_KIND_GOODS}


@dataclass(slots=True)
class Story:
    """Events of many cases, numbered as their topics number them."""

    cases: str
    referrals: str
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    truth: Counter[tuple[str, str, datetime, str]] = field(default_factory=Counter)
    records: list[tuple[str, str, bytes, list[tuple[str, bytes]]]] = field(default_factory=list)

    def tell(self, topic: str, case: str, event: Message, at: datetime) -> None:
        sequence = self.sequences[topic, case] = self.sequences.get((topic, case), 0) + 1
        said = Announcement(
            topic=topic, key=case, type=event.DESCRIPTOR.full_name, payload=event.SerializeToString(),
            subject=case, occurred_at=at, recorded_at=at, classification="restricted", id=uuid.uuid4(),
        )  # fmt: skip
        headers = envelope.headers(said, "test", 1, sequence)
        self.records.append((topic, case, said.payload, headers))

    def need(
        self, area: str, kind: str, at: datetime, *, outcome: str = "", hiding: bool = False, case: str = ""
    ) -> str:
        """A case with one need; what becomes of it an hour later."""
        case, need = case or str(uuid.uuid4()), str(uuid.uuid4())
        facts = common.Facts(adults=1, area=area, confidential=hiding, revision=1)
        self.tell(self.cases, case, intake.CaseOpened(case_id=case, facts=facts), at)
        wanted = common.Need(need_id=need, kind=KINDS[kind])
        self.tell(self.cases, case, intake.NeedReported(case_id=case, need=wanted, facts=facts), at)
        later = at + timedelta(hours=1)
        if not hiding:
            self.truth[area, kind, _start(at), "reported"] += 1
            self.truth[area, kind, _start(later), outcome] += 1
        if outcome == "placed":
            self.tell(self.referrals, case, matching.ReferralProposed(case_id=case, need_id=need), at)
            self.tell(self.referrals, case, matching.ReferralAccepted(case_id=case, need_id=need), later)
            self.tell(self.referrals, case, matching.OccupancyStarted(case_id=case, need_id=need), later)
        if outcome == "unmet":
            for _ in range(2):
                self.tell(self.referrals, case, matching.NeedUnmatched(case_id=case, need_id=need), later)
        return case

    def shown(self) -> Published:
        """What may be seen of it, counted here in the plainest way."""
        found: Published = {}
        for area, kind, at in sorted({cell[:3] for cell in self.truth}):
            told = [self.truth[area, kind, at, state] for state in ("reported", "placed", "unmet")]
            if max(told) >= 10:
                reported, placed, unmet = (-1 if each < 10 else (each + 2) // 5 * 5 for each in told)
                found.setdefault((area, kind), []).append((at, (reported, placed, unmet)))
        return found


def _start(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


@dataclass(slots=True)
class Environment:
    """Where one test's picture lives."""

    stack: RunningStack
    folder: Path
    group: str
    cases: str
    referrals: str
    topic: str
    store: str = "memory"
    bootstrap: str = ""
    grace_s: int = 25

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap=self.stack.bootstrap)

    def story(self) -> Story:
        """Told to this picture; one test may go on telling the same one."""
        return Story(self.cases, self.referrals)

    def variables(self, instance: int = 1) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AID_")}
        return inherited | {
            "PYTHONPATH": f"{PROJECT}:{PROJECT / '.gen'}",
            "AID_NAME": "picture",
            "AID_KAFKA__BOOTSTRAP": self.bootstrap or self.stack.bootstrap,
            "AID_KAFKA__INSTANCE_ID": f"{self.group}-{instance}",
            "AID_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "AID_IDENTITY__JWKS_FILE": str(self.folder / "jwks.json"),
            "AID_IDENTITY__ISSUER": "test",
            "AID_IDENTITY__AUDIENCE": "test",
            "AID_METRICS__TOKEN_FILE": str(self.folder / "token"),
            "AID_TOPICS__FILE": str(self.folder / "topics.yaml"),
            "AID_CLOCK__FILE": str(self.folder / "clock"),
            "AID_HTTP__PORT": "0",
            "AID_GRACE_S": str(self.grace_s),
            "AID_PICTURE__GROUP": self.group,
            "AID_PICTURE__CASES": self.cases,
            "AID_PICTURE__REFERRALS": self.referrals,
            "AID_PICTURE__TOPIC": self.topic,
            "AID_PICTURE__STORE": self.store,
            "AID_PICTURE__STATE": str(self.folder / "state"),
        }

    def advance(self, by: timedelta) -> None:
        """Step the domain time of every process of this picture."""
        clock = self.folder / "clock"
        (offset,) = struct.unpack("<q", clock.read_bytes())
        with clock.open("r+b") as file:
            file.write(struct.pack("<q", offset + int(by.total_seconds() * 1_000_000)))

    async def feed(self, story: Story, *, shuffle: random.Random | None = None) -> None:
        """Send what was told, in order within each case and topic, and let the story begin a new page."""
        records, story.records = story.records, []
        if shuffle is not None:
            records = _interleaved(records, shuffle)
        async with AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap, acks="all") as producer:
            sends = [
                await producer.send(topic, payload, key=key.encode(), headers=headers)
                for topic, key, payload, headers in records
            ]
            await asyncio.gather(*sends)

    async def own_topics(self) -> set[str]:
        """The topics that begin with the group's name."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.bootstrap)
        await admin.start()
        try:
            return {topic for topic in await admin.list_topics() if topic.startswith(self.group)}
        finally:
            await admin.close()

    async def kafka_answers(self) -> None:
        """Wait until a broker is there again."""

        async def answers() -> bool:
            try:
                await self.records()
            except kafka_admin.UNREACHABLE:
                return False
            return True

        await eventually(answers)

    async def records(self) -> dict[str, Record]:
        return await kafka_admin.newest(self.kafka, self.topic)

    async def published(self) -> Published:
        """What the picture says now; the keys of the records must agree with what is in them."""
        found: Published = {}
        for key, record in (await self.records()).items():
            area, kind, hours = picture_wire.read_picture(record.value or b"")
            assert key == f"{area}|{kind}"
            found[area, kind] = hours
        return found

    async def until(self, wanted: Published, seconds: float = 60) -> None:
        """Wait until the picture says this; fail with what it says instead."""
        said: Published = {}

        async def agrees() -> bool:
            nonlocal said
            said = await self.published()
            return said == wanted

        with contextlib.suppress(TimeoutError):
            await eventually(agrees, seconds)
        assert said == wanted, f"it says {said}, not {wanted}"

    async def after(self, said: Record) -> Record:
        """The newest record of that key, once it is a later one."""
        key = (said.key or b"").decode()

        async def later() -> bool:
            return (await self.records())[key].offset > said.offset

        await eventually(later)
        return (await self.records())[key]

    async def epochs(self) -> dict[str, int]:
        return {key: int(dict(each.headers)["ce_epoch"]) for key, each in (await self.records()).items()}

    async def until_epoch_after(self, epoch: int) -> None:
        """Wait until every key was published in a later epoch."""

        async def later() -> bool:
            return min((await self.epochs()).values()) > epoch

        await eventually(later)

    async def caught_up(self, seconds: float = 60) -> None:
        """Wait until all events were taken in and committed."""

        async def nothing_waits() -> bool:
            try:
                async with kafka_admin.Lookout.over(self.kafka, self.group) as lookout:
                    standings = await lookout.standings({self.cases: 4, self.referrals: 4})
            except kafka_admin.UNREACHABLE:
                return False
            return not any(each.lag for each in standings)

        await eventually(nothing_waits, seconds)


def _interleaved(
    records: list[tuple[str, str, bytes, list[tuple[str, bytes]]]], chance: random.Random
) -> list[tuple[str, str, bytes, list[tuple[str, bytes]]]]:
    """Another order in which each topic still has each case's events in their order."""
    queues: dict[tuple[str, str], list[tuple[str, str, bytes, list[tuple[str, bytes]]]]] = {}
    for record in records:
        queues.setdefault((record[0], record[1]), []).append(record)
    turns = [key for key, queue in queues.items() for _ in queue]
    chance.shuffle(turns)
    return [queues[key].pop(0) for key in turns]


@dataclass(slots=True)
class Running:
    """A picture process."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            bearer = {"authorization": f"Bearer {METRICS_TOKEN}"}
            return await client.get(f"{self.url}{path}", headers=bearer, timeout=5)

    async def metrics(self, name: str) -> dict[str, float]:
        """Samples of a metric by its labels, as Prometheus would read them."""
        lines = (await self.get("/metrics")).text.splitlines()
        samples = [line.rsplit(" ", 1) for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return {labels.removeprefix(name): float(value) for labels, value in samples}

    async def total(self, name: str) -> float:
        return sum((await self.metrics(name)).values())

    async def taken_in(self, at_least: int) -> None:
        """Wait until this process took in so many records."""

        async def enough() -> bool:
            return await self.total("picture_records_total") >= at_least

        await eventually(enough)

    async def logged(self, event: str) -> None:

        async def there() -> bool:
            return event in self.log.read_text()

        await eventually(there)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(40):
            return await self.process.wait()


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 40) -> None:
    """Wait until it holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


async def environment(stack: RunningStack, folder: Path, store: str = "memory") -> Environment:
    """Fresh topics, and a domain clock that stands ten minutes past THIS_HOUR when the test begins."""
    names = {
        "aid.intake.cases.v1": await stack.topic("cases"),
        "aid.matching.referrals.v1": await stack.topic("referrals"),
        "aid.matching.picture.v1": await stack.topic("picture", partitions=1, cleanup="compact"),
    }
    declared = yaml.safe_load((PROJECT / "deploy/kafka/topics.yaml").read_text())["topics"]
    document = {"topics": {own: declared[name] for name, own in names.items()}}
    (folder / "topics.yaml").write_text(yaml.safe_dump(document))
    (folder / "token").write_text(METRICS_TOKEN)
    (folder / "jwks.json").write_text(json.dumps({"keys": [_public_key()]}))
    (folder / "clock").write_bytes(bytes(8))
    cases, referrals, topic = names.values()
    group = f"picture.{uuid.uuid4().hex[:8]}"
    around = Environment(stack, folder, group, cases, referrals, topic, store)
    around.advance(THIS_HOUR + timedelta(minutes=10) - datetime.now(UTC))
    return around


def _public_key() -> dict[str, str]:
    """An issuer's key. Nobody calls the picture, yet it wants to know whom it would believe."""
    key: dict[str, str] = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)
    return key | {"kid": "test", "alg": "EdDSA", "use": "sig"}


@asynccontextmanager
async def picture(around: Environment, *, instance: int = 1) -> AsyncIterator[Running]:
    """A picture process that is ready; killed at the end of the block if it still runs."""
    log = around.folder / f"picture-{instance}.log"
    with open(log, "ab") as sink:  # noqa: PTH123, ASYNC230 - a moment, on a local disk
        began = sink.tell()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.matching.picture",
            env=around.variables(instance), cwd=PROJECT, stdout=sink, stderr=sink,
        )  # fmt: skip
    try:
        port = await _port(process, log, began)
        yield Running(process, port, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def kept_running(around: Environment) -> AsyncIterator[None]:
    """A picture that is started again whenever it ends, as a supervisor would."""

    async def keep() -> None:
        while True:
            async with picture(around) as process:
                await process.process.wait()

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})


async def _port(process: asyncio.subprocess.Process, log: Path, began: int) -> int:
    """The HTTP port, from the log line that names it."""
    port = 0

    async def named() -> bool:
        nonlocal port
        written = log.read_bytes()[began:].decode()  # noqa: ASYNC240 - a moment, on a local disk
        for line in written.splitlines():
            if '"event": "serving"' in line:
                port = json.loads(line)["port"]
        assert process.returncode is None, written
        return port > 0

    await eventually(named)
    return port


async def command(around: Environment, *words: str) -> tuple[int, str]:
    """Run `python -m services.matching.picture ...`; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.matching.picture", *words,
        env=around.variables() | {"COLUMNS": "120"}, cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, printed.decode()


@asynccontextmanager
async def door(at: str, host: str, port: int) -> AsyncIterator[None]:
    """Let connections through from `at` to a server."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    own_host, own_port = at.split(":")
    async with await asyncio.start_server(through, own_host, int(own_port)):
        yield


def hour(back: int) -> datetime:
    """The start of an hour of domain time, so many hours before the present one."""
    return THIS_HOUR - timedelta(hours=back)


def expected(lines: Iterable[tuple[str, str, int, Counts]]) -> Published:
    """A picture from (area, kind, hours back, counts)."""
    found: Published = {}
    for area, kind, back, counts in sorted(lines, key=lambda line: -line[2]):
        found.setdefault((area, kind), []).append((hour(back), counts))
    return found
