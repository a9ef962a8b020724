"""The region's days: which night is tonight, and until when a promise made today is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from services.matching.domain.needs import Urgency


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where the region's days begin and how long promises last.

    A hold that nobody answered lasts `hold_tonight` for somebody who is outside tonight, else
    `hold_otherwise`. An accepted one lasts through its first night until `arrival_grace` after that night's
    midnight. A stay ends at `leave_at` on the day after its last night.
    """

    zone: tzinfo
    hold_tonight: timedelta
    hold_otherwise: timedelta
    arrival_grace: timedelta
    leave_at: time

    def today(self, now: datetime) -> date:
        return now.astimezone(self.zone).date()

    def hold_until(self, urgency: Urgency, now: datetime) -> datetime:
        return now + (self.hold_tonight if urgency is Urgency.TONIGHT else self.hold_otherwise)

    def arrive_until(self, first_night: date, now: datetime) -> datetime:
        """Never sooner than one short hold from now: an answer may come after midnight."""
        grace_ends = self._at(first_night + timedelta(days=1), time(0)) + self.arrival_grace
        return max(grace_ends, now + self.hold_tonight)

    def leave_on(self, until: date) -> datetime:
        """When a stay whose first night elsewhere is `until` ends by itself."""
        return self._at(until, self.leave_at)

    def next_day(self, now: datetime) -> datetime:
        """The moment at which the next day of the region begins."""
        return self._at(self.today(now) + timedelta(days=1), time(0))

    def _at(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, self.zone)
