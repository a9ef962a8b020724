"""What logistics is told from outside, beyond what every service is told."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, Field

from services.chassis.settings import ChassisSettings


class AppealSettings(BaseModel):
    """The times of the public list, in seconds of domain time.

    `tick_s`: how often the list may change, at whole multiples since 1970. It must be longer than matching's
    goods round, because what arrived counts against a line until one whole tick has passed.
    `send_within_s`: how long a donor may take to send. `arrive_within_s`: how long a sent parcel is expected.
    """

    tick_s: int = Field(default=3600, ge=1)
    send_within_s: int = Field(default=7 * 24 * 3600, ge=3600)
    arrive_within_s: int = Field(default=30 * 24 * 3600, ge=3600)
    admitted_together: int = Field(default=256, ge=1)

    @property
    def tick(self) -> timedelta:
        return timedelta(seconds=self.tick_s)

    @property
    def send_within(self) -> timedelta:
        return timedelta(seconds=self.send_within_s)

    @property
    def arrive_within(self) -> timedelta:
        return timedelta(seconds=self.arrive_within_s)


class HandoverSettings(BaseModel):
    """How often handovers are told, in seconds of domain time, all of that time together and in no order;
    0: each at once, which lets those who read the topic guess that neighbours in it are of one household."""

    told_every_s: int = Field(default=3600, ge=0)

    @property
    def told_every(self) -> timedelta:
        return timedelta(seconds=self.told_every_s)


class LogisticsSettings(ChassisSettings):
    """`AID_APPEAL__…`, `AID_HANDOVERS__…`, and the chassis' own; `AID_INTAKE__TARGET` is needed to ask for hand-off points."""

    appeal: AppealSettings = Field(default_factory=AppealSettings)
    handovers: HandoverSettings = Field(default_factory=HandoverSettings)
