"""What a process is told by its environment."""

from __future__ import annotations

import struct
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.clock import SteppedClock, SystemClock
from services.chassis.settings import ChassisSettings

ENVIRONMENT = {
    "AID_NAME": "intake",
    "AID_DATABASE__DSN": "postgresql://intake@127.0.0.1:5432/intake",
    "AID_DATABASE__PASSWORD_FILE": "/run/app",
    "AID_DATABASE__OWNER_DSN": "postgresql://intake_owner@127.0.0.1:5432/intake",
    "AID_DATABASE__OWNER_PASSWORD_FILE": "/run/owner",
    "AID_KAFKA__BOOTSTRAP": "127.0.0.1:9092",
    "AID_KAFKA__INSTANCE_ID": "intake-1",
    "AID_RPC__PORT": "7001",
    "AID_HTTP__PORT": "8001",
    "AID_IDENTITY__JWKS_FILE": "/run/jwks.json",
    "AID_IDENTITY__ISSUER": "local",
    "AID_IDENTITY__AUDIENCE": "network",
    "AID_IDENTITY__TOKEN_FILE": "/run/intake.jwt",
    "AID_METRICS__TOKEN_FILE": "/run/metrics.token",
    "AID_KEYRING__FILE": "/run/kek",
    "AID_MATCHING__TARGET": "127.0.0.1:7002",
    "AID_TOPICS__FILE": "/run/topics.yaml",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_environment_of_the_stack_is_understood(environment: pytest.MonkeyPatch) -> None:
    settings = ChassisSettings.from_environment()
    assert settings.name == "intake"
    assert (settings.rpc.port, settings.http.port) == (7001, 8001)
    assert settings.kafka.bootstrap == "127.0.0.1:9092"
    assert settings.identity.token_file == Path("/run/intake.jwt")
    assert settings.metrics.token_file == Path("/run/metrics.token")
    assert settings.matching is not None
    assert settings.matching.target == "127.0.0.1:7002"
    assert settings.logistics is None
    assert settings.keyring is not None
    assert settings.topics.file == Path("/run/topics.yaml")
    assert settings.grace == timedelta(seconds=25)
    assert isinstance(settings.clock_source(), SystemClock)


def test_a_clock_file_makes_the_clock_a_stepped_one(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_bytes(struct.pack("<q", 5_000_000))
    environment.setenv("AID_CLOCK__FILE", str(file))
    clock = ChassisSettings.from_environment().clock_source()
    assert isinstance(clock, SteppedClock)
    assert clock.offset() == timedelta(seconds=5)


def test_a_missing_setting_is_named_and_a_wrong_value_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AID_IDENTITY__ISSUER")
    environment.setenv("AID_RPC__PORT", "MARKER")
    with pytest.raises(ValidationError) as caught:
        ChassisSettings.from_environment()
    assert "identity.issuer" in str(caught.value)
    assert "rpc.port" in str(caught.value)
    assert "MARKER" not in str(caught.value)
