"""A household living in a placement, with a last night: when to look for what comes next, and what is an alarm."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import Enum
from uuid import UUID

from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, NeedId, ReferralId
from services.intake.domain.needs import MOST_NIGHTS, Need, NeedKind, NeedRequest, Urgency
from services.intake.domain.refusal import invalid, refused

# Days before the last night at which the search for the next place begins, or is made more urgent.
THRESHOLDS = (7, 3, 1)
# What is looked for when nobody said otherwise: a week, in which the worker can look further.
NEXT_NIGHTS = 7
# On the day after the last night whoever is still there leaves at this hour, wherever they go.
LEAVES_AT = time(12)
LONGEST_NOTE = 4_000


@dataclass(frozen=True, slots=True)
class Stay:
    """`number` names it within its case, and is what others may see: `stay_id` counts the stays of the whole region,
    those of hidden households too. `last_night` is None while no end is known. `told_days`: the nearest threshold of
    this last night that has been told. `ended_on`: the first night not slept there. `next_need`: the need with which a
    clock began to look for what comes next."""

    stay_id: int
    number: int
    case_id: CaseId
    referral_id: ReferralId | None
    from_date: date
    last_night: date | None
    ended_on: date | None = None
    told_days: int | None = None
    next_need: NeedId | None = None

    @property
    def ended(self) -> bool:
        return self.ended_on is not None

    def covers(self, night: date) -> bool:
        """Whether the household sleeps there that night, as far as anybody knows."""
        if self.ended_on is not None:
            return self.from_date <= night < self.ended_on
        return self.from_date <= night and (self.last_night is None or night <= self.last_night)

    def told(self, days: int) -> bool:
        """Whether that threshold needs no telling any more."""
        return self.ended or (self.told_days is not None and self.told_days <= days)

    def thresholds(self, today: date) -> list[tuple[int, date]]:
        """Which are to be promised, each with its day; of those that have passed only the nearest."""
        if self.last_night is None or self.ended or today > self.last_night:
            return []
        untold = [
            (days, self.last_night - timedelta(days=days)) for days in THRESHOLDS if not self.told(days)
        ]
        passed = [each for each in untold if each[1] <= today]
        return passed[-1:] + [each for each in untold if each[1] > today]

    def to_extend(self, last_night: date, today: date) -> None:
        """Raises Refusal when the stay cannot last until that night."""
        if self.ended:
            raise refused("stay-ended", "The stay has ended.")
        if last_night < today or (self.last_night is not None and last_night <= self.last_night):
            raise invalid(
                "last-night-not-later", "An extension ends later than the stay.", field="last_night"
            )
        if (last_night - (self.last_night or today)).days > MOST_NIGHTS:
            raise invalid(
                "nights-out-of-range", f"At most {MOST_NIGHTS} nights are added.", field="last_night"
            )


def night_after(last_night: date, today: date) -> date:
    """The first night that a place is to be found for when a stay ends: nobody sleeps in the past."""
    return max(last_night + timedelta(days=1), today)


def lodging_from(night: date, urgency: Urgency, accepted: Iterable[tuple[date, int]] = ()) -> NeedRequest:
    """A place to sleep from that night on: for a week, or up to the night from which a place is agreed on, if that
    is sooner. `accepted` are first nights and nights of accepted referrals."""
    gaps = [(first - night).days for first, _ in accepted if first > night]
    return NeedRequest(
        need_id=None,
        kind=NeedKind.LODGING,
        item_id="",
        quantity=0,
        from_date=night,
        nights=min(NEXT_NIGHTS, *gaps) if gaps else NEXT_NIGHTS,
        urgency=urgency,
    )


def larger_place(stay: Stay, today: date) -> NeedRequest | None:
    """The place to look for when a household has grown out of this one: from tomorrow, for the nights that it
    was to have. None when tonight is the last of them: what comes next is looked for in any case."""
    tomorrow = today + timedelta(days=1)
    nights = NEXT_NIGHTS if stay.last_night is None else (stay.last_night - today).days
    if nights < 1:
        return None
    return NeedRequest(
        need_id=None,
        kind=NeedKind.LODGING,
        item_id="",
        quantity=0,
        from_date=max(stay.from_date, tomorrow),
        nights=min(nights, MOST_NIGHTS),
        urgency=Urgency.SOON,
    )


def searched_for(night: date, needs: Iterable[Need], today: date) -> Need | None:
    """Which of these, for which nothing is agreed on yet, may still bring a place to live for that night: the one that
    begins first. One that begins later, or is over by then, leaves the household without a place."""
    lodging = [need for need in needs if need.kind is NeedKind.LODGING and _may_cover(need, night, today)]
    return min(lodging, key=lambda need: (need.from_date or date.max, str(need.need_id)), default=None)


def _may_cover(need: Need, night: date, today: date) -> bool:
    """Whether a place found for it may hold that night. What has not begun by today begins today at the earliest."""
    first = max(need.from_date or today, today)
    last_start = max(need.latest_date or first, first)
    return first <= night < last_start + timedelta(days=need.nights)


def somewhere_to_sleep(night: date, stays: Iterable[Stay], accepted: Iterable[tuple[date, int]]) -> bool:
    """Whether the household has a place for that night: another stay, or a place that both sides agreed on.

    `accepted` are first nights and nights of accepted referrals.
    """
    if any(stay.covers(night) for stay in stays):
        return True
    return any(first <= night < first + timedelta(days=nights) for first, nights in accepted)


class Action(Enum):
    """What was done about an alarm."""

    PLACED = "placed"
    FOUND_SAFE = "found-safe"
    GIVEN_TO_THE_HUB = "given-to-the-hub"
    NOT_REACHED = "not-reached"
    OTHER = "other"
    STAY_GOES_ON = "stay-goes-on"
    """By itself: the place was kept after all."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A stay that ended with nothing next."""

    alarm_id: UUID
    case_id: CaseId
    agency_id: AgencyId
    ended_on: date
    raised_at: datetime
    arrival_code: ArrivalCode | None
    confidential: bool
    acknowledged_at: datetime | None = None
    action: Action | None = None
    note: str = field(default="", repr=False)
