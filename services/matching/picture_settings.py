"""What the picture process is told from outside."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.chassis.clock import Clock, SteppedClock, SystemClock
from services.chassis.http import MetricsSettings
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import IdentitySettings
from services.chassis.kafka import KafkaSettings
from services.chassis.settings import ClockSettings, TopicsSettings


class PictureKnobs(BaseModel):
    """The picture's own. `group` is its consumer group and the first word of its internal topics.

    `patience_s`: for how long records of a partition may wait without one being taken in, or a table being
    restored, before the process gives itself up.
    """

    group: str = "picture"
    cases: str = "aid.intake.cases.v1"
    referrals: str = "aid.matching.referrals.v1"
    topic: str = "aid.matching.picture.v1"
    store: Literal["memory", "rocksdb"] = "memory"
    replication: int = 1
    patience_s: float = 60.0
    state: Path | None = None


class PictureSettings(BaseSettings):
    """Environment variables `AID_…`, nested by `__`, as for the services; without a database."""

    model_config = SettingsConfigDict(
        env_prefix="AID_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    name: str = "picture"
    kafka: KafkaSettings
    http: HttpSettings = Field(default_factory=HttpSettings)
    clock: ClockSettings = Field(default_factory=ClockSettings)
    identity: IdentitySettings
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    topics: TopicsSettings
    picture: PictureKnobs = Field(default_factory=PictureKnobs)
    state: Path = Path(".state")
    log_level: str = "INFO"
    grace_s: float = 25.0

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.grace_s)

    @property
    def folder(self) -> Path:
        """Where this process keeps what is its own; another cluster or member of the group has another."""
        parent = self.picture.state or self.state / "picture"
        words = (self.kafka.bootstrap, self.picture.group, self.kafka.instance_id or "")
        return parent / re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)).strip("-")

    def clock_source(self) -> Clock:
        return SystemClock() if self.clock.file is None else SteppedClock(self.clock.file)


def settings_from_environment() -> PictureSettings:
    """Raises pydantic's ValidationError, which names each variable that is missing or wrong."""
    return PictureSettings()  # type: ignore[call-arg]
