"""What a process is told from outside: environment variables `AID_…`, nested by `__`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.clock import Clock, SteppedClock, SystemClock
from services.chassis.database import DatabaseSettings
from services.chassis.http import MetricsSettings
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import IdentitySettings
from services.chassis.kafka import KafkaSettings
from services.chassis.keyring import KeyringSettings
from services.chassis.rpc_server import RpcSettings


class ClockSettings(BaseModel):
    file: Path | None = None


class TopicsSettings(BaseModel):
    file: Path


class NeighbourSettings(BaseModel):
    """Where a neighbour's gRPC door is, as host:port."""

    target: str


class ChassisSettings(BaseSettings):
    """What every service is told. A service's own settings extend it; the two password files stay files."""

    model_config = SettingsConfigDict(
        env_prefix="AID_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a value that does not fit may be a secret in the wrong place
    )

    name: str
    database: DatabaseSettings
    kafka: KafkaSettings
    rpc: RpcSettings = Field(default_factory=RpcSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    clock: ClockSettings = Field(default_factory=ClockSettings)
    identity: IdentitySettings
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    topics: TopicsSettings
    intake: NeighbourSettings | None = None
    matching: NeighbourSettings | None = None
    logistics: NeighbourSettings | None = None
    keyring: KeyringSettings | None = None
    log_level: str = "INFO"
    grace_s: float = 25.0

    @classmethod
    def from_environment(cls) -> Self:
        """Raises ValidationError, which names what is missing or wrong."""
        return cls.model_validate({})

    @property
    def grace(self) -> timedelta:
        """How long a shutdown may take as a whole before the process ends itself."""
        return timedelta(seconds=self.grace_s)

    def clock_source(self) -> Clock:
        return SystemClock() if self.clock.file is None else SteppedClock(self.clock.file)
