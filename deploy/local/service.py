"""One of our own services, as a part of the stack: how it is started and what it is told."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.kafka.topics import FILE as TOPICS
from deploy.local.identity import AUDIENCE, ISSUER, Issuer
from deploy.local.part import Launch, listening
from deploy.local.paths import PROJECT, State, write_private
from deploy.local.ports import HOST
from deploy.local.postgres import Cluster
from deploy.local.users import Users

KEK_BYTES = 32
# The words for where a household can live; none of them holds a single shelter.
AREAS = ("harborside", "hillside", "lakeside", "riverside")


@dataclass(frozen=True, slots=True)
class Program:
    """What a service is, apart from where it runs. `database`: whose cluster it uses, if any."""

    name: str
    module: str
    database: str | None = None
    rpc: bool = True
    keyring: bool = False


PROGRAMS = (
    Program("intake", "services.intake", database="intake", keyring=True),
    Program("matching", "services.matching", database="matching"),
    Program("logistics", "services.logistics", database="logistics"),
    Program("picture", "services.matching.picture", rpc=False),
)


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ports of a service; `rpc` is 0 for one that only has HTTP."""

    rpc: int
    http: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all services of one stack have in common."""

    state: State
    bootstrap: str
    clusters: Mapping[str, Cluster]
    doors: Mapping[str, Doors]
    issuer: Issuer
    stepped: bool


def kek_file(state: State) -> Path:
    """The key-encryption keys of the vault, a line each."""
    return state.keys / "kek"


def new_kek(state: State) -> None:
    """A new first line; what older ones wrapped stays readable while they are there."""
    file = kek_file(state)
    older = file.read_bytes() if file.exists() else b""
    write_private(file, base64.b64encode(secrets.token_bytes(KEK_BYTES)) + b"\n" + older)


def victim_service_providers() -> list[str]:
    """The ids of such agencies, none of whose places may be offered openly."""
    agencies = Users.read().agencies.values()
    return [agency.id for agency in agencies if agency.type == "victim_service_provider"]


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as a part of the stack."""

    program: Program
    around: Surroundings

    @property
    def name(self) -> str:
        """The name of the part and of its log."""
        return self.program.name

    def prepare(self) -> Launch:
        """Lay out its key-encryption key, if it holds one; tell it where everything is."""
        if self.program.keyring and not self._kek.exists():
            new_kek(self.around.state)
        return Launch(
            (sys.executable, "-m", self.program.module), environment=self.environment(), folder=PROJECT
        )

    def environment(self) -> dict[str, str]:
        """Everything that the service is told from outside."""
        around, name = self.around, self.program.name
        doors = around.doors[name]
        told = {
            "PYTHONPATH": f"{PROJECT}:{PROJECT / '.gen'}",
            "PYTHONUNBUFFERED": "1",
            "AID_STATE": str(around.state.folder),
            "AID_NAME": name,
            "AID_KAFKA__BOOTSTRAP": around.bootstrap,
            "AID_KAFKA__INSTANCE_ID": f"{name}-1",
            "AID_HTTP__PORT": str(doors.http),
            "AID_IDENTITY__JWKS_FILE": str(around.issuer.jwks_file),
            "AID_IDENTITY__ISSUER": ISSUER,
            "AID_IDENTITY__AUDIENCE": AUDIENCE,
            "AID_IDENTITY__TOKEN_FILE": str(around.issuer.service_token_file(name)),
            "AID_METRICS__TOKEN_FILE": str(around.issuer.metrics_token_file),
            "AID_TOPICS__FILE": str(TOPICS),
        }
        if self.program.rpc:
            told["AID_RPC__PORT"] = str(doors.rpc)
        if self.program.keyring:
            told["AID_KEYRING__FILE"] = str(self._kek)
        if around.stepped:
            told["AID_CLOCK__FILE"] = str(around.state.clock)
        if name == "intake":
            told["AID_AREAS"] = json.dumps(AREAS)
        if name == "matching":
            told["AID_VSP_AGENCIES"] = json.dumps(victim_service_providers())
        return told | self._database() | self._neighbours()

    def _database(self) -> dict[str, str]:
        if self.program.database is None:
            return {}
        cluster = self.around.clusters[self.program.database]
        return {
            "AID_DATABASE__DSN": cluster.dsn(cluster.service),
            "AID_DATABASE__PASSWORD_FILE": str(cluster.password_file(cluster.service)),
            "AID_DATABASE__OWNER_DSN": cluster.dsn(cluster.owner),
            "AID_DATABASE__OWNER_PASSWORD_FILE": str(cluster.password_file(cluster.owner)),
        }

    def _neighbours(self) -> dict[str, str]:
        return {
            f"AID_{name.upper()}__TARGET": f"{HOST}:{doors.rpc}"
            for name, doors in self.around.doors.items()
            if doors.rpc
        }

    @property
    def _kek(self) -> Path:
        return kek_file(self.around.state)

    async def ready(self) -> bool:
        """What the service itself says."""
        port = self.around.doors[self.name].http
        if not await listening(HOST, port):
            return False
        async with _client(2) as client:
            try:
                answer = await client.get(f"http://{HOST}:{port}/readyz")
            except httpx.TransportError:
                return False
        return answer.is_success

    async def complaint(self) -> str:
        """What the service itself says: a loop of it that has work and does not move."""
        port = self.around.doors[self.name].http
        async with _client(None) as client:
            try:
                answer = await client.get(f"http://{HOST}:{port}/livez")
            except httpx.RequestError:
                return "no answer"
        return "" if answer.is_success else f"/livez answers {answer.status_code}: {answer.text}"

    async def settle(self) -> None:
        """Nothing: a service migrates its database and registers its consumers itself."""


def _client(patience: float | None) -> httpx.AsyncClient:
    """For plain HTTP on this machine, asked often: without authorities to load, which takes longer than all else."""
    return httpx.AsyncClient(
        trust_env=False, timeout=patience, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
