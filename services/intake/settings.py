"""What intake is told from outside, beyond what every service is."""

from pydantic import BaseModel, Field

from services.chassis.settings import ChassisSettings
from services.intake.application.ports import Hub


class HubSettings(BaseModel):
    """The region's 24-hour desk. The defaults are the local stack's: 555-01xx numbers reach nobody."""

    phone: str = "+1-555-0100"
    meeting_point: str = "Central Library, main entrance"
    handoff_slot: str = "by arrangement with the hub"

    def hub(self) -> Hub:
        return Hub(phone=self.phone, meeting_point=self.meeting_point, handoff_slot=self.handoff_slot)


class IntakeSettings(ChassisSettings):
    """`watch_look_again_s` is how long a change made by another process may take to be seen by a watcher;
    `time_zone` is where the region's days begin; `areas` are the words for where a household can live, none
    that holds a single shelter (JSON list; empty: any word); `break_glass_minutes` is how long an emergency
    opens a confidential case."""

    hub: HubSettings = Field(default_factory=HubSettings)
    watch_look_again_s: float = 1.0
    time_zone: str = "UTC"
    areas: frozenset[str] = frozenset()
    break_glass_minutes: int = Field(default=60, ge=1)
