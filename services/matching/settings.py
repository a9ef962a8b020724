"""What matching is told from outside, beyond what every service is told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from services.chassis.settings import ChassisSettings
from services.matching.application.terms import Terms
from services.matching.domain.calendar import Calendar


class HubSettings(BaseModel):
    """The region's 24-hour desk. The default is the local stack's: 555-01xx numbers reach nobody."""

    phone: str = "+1-555-0100"


class MatchingTerms(BaseModel):
    """What the region decided. Times are domain time.

    `time_zone`: where the region's nights begin and end. `hold_tonight_s`, `hold_otherwise_s`: how long a
    place is held for an answer. `arrival_grace_s`: how long past its first midnight an accepted one is kept.
    `leave_at`: when a stay ends on the day after its last night. `rest_after_silence_s`: how long a household
    that let a hold run out is proposed nothing, unless it asks. `goods_round_s`: how often goods are shared
    out, at whole multiples since 1970. `households_behind_a_line`: fewer, and a shortfall is not told.
    """

    time_zone: str = "UTC"
    hold_tonight_s: int = Field(default=2 * 3600, ge=60)
    hold_otherwise_s: int = Field(default=24 * 3600, ge=60)
    arrival_grace_s: int = Field(default=12 * 3600, ge=0)
    leave_at: time = time(11, 0)
    rest_after_silence_s: int = Field(default=12 * 3600, ge=0)
    goods_round_s: int = Field(default=15 * 60, ge=1)
    households_behind_a_line: int = Field(default=3, ge=1)

    def terms(self, hub: HubSettings, victim_service_providers: Iterable[str] = ()) -> Terms:
        return Terms(
            calendar=Calendar(
                zone=ZoneInfo(self.time_zone),
                hold_tonight=timedelta(seconds=self.hold_tonight_s),
                hold_otherwise=timedelta(seconds=self.hold_otherwise_s),
                arrival_grace=timedelta(seconds=self.arrival_grace_s),
                leave_at=self.leave_at,
            ),
            hub_contact=hub.phone,
            households_behind_a_line=self.households_behind_a_line,
            goods_round_every=timedelta(seconds=self.goods_round_s),
            rest_after_silence=timedelta(seconds=self.rest_after_silence_s),
            victim_service_providers=frozenset(victim_service_providers),
        )


class MatchingSettings(ChassisSettings):
    """`AID_HUB__PHONE`, `AID_TERMS__…`, `AID_VSP_AGENCIES`, and the chassis' own.

    `vsp_agencies`: ids of the agencies that are victim service providers, as a JSON list; none of their places
    is offered openly.
    """

    hub: HubSettings = Field(default_factory=HubSettings)
    terms: MatchingTerms = Field(default_factory=MatchingTerms)
    vsp_agencies: frozenset[UUID] = frozenset()

    def chosen(self) -> Terms:
        """All terms together."""
        return self.terms.terms(self.hub, map(str, self.vsp_agencies))
