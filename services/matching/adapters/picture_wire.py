"""The picture and the contracts: what an event tells it, and how it is told itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import DecodeError

from services.chassis.envelope import MalformedError, Received
from services.matching.picture_model import (
    Counts,
    Fact,
    Hour,
    HouseholdHidden,
    NeedKnown,
    NeedReached,
    Source,
    State,
    Told,
    hour_of,
)

PICTURE = matching.RegionalPicture.DESCRIPTOR.full_name
_KINDS = {
    common.NEED_KIND_LODGING: "lodging",
    common.NEED_KIND_FOOD: "food",
    common.NEED_KIND_GOODS: "goods",
    common.NEED_KIND_HOUSING: "housing",
    common.NEED_KIND_SERVICES: "services",
    common.NEED_KIND_JOB: "job",
}
KINDS = {word: number for number, word in _KINDS.items()}
_PLACED_STATES = ("accepted",)


def told(event: Received, source: Source) -> Told:
    """What an event says to the picture, if anything; raises MalformedError when it cannot be read.

    An event type that the picture does not know says nothing to it.
    """
    read = _READERS.get(event.type)
    try:
        facts = tuple(read(event.payload)) if read is not None else ()
    except DecodeError:
        raise MalformedError(f"{event.type} cannot be read") from None
    return Told(source, event.epoch, event.sequence, hour_of(event.occurred_at.timestamp()), facts)


def _case_opened(payload: bytes) -> Iterable[Fact]:
    return _hidden(intake.CaseOpened.FromString(payload).facts)


def _household_changed(payload: bytes) -> Iterable[Fact]:
    return _hidden(intake.HouseholdChanged.FromString(payload).facts)


def _need_reported(payload: bytes) -> Iterable[Fact]:
    event = intake.NeedReported.FromString(payload)
    return _hidden(event.facts) or _needs([event.need], event.facts.area, by_snapshot=False)


def _case_snapshot(payload: bytes) -> Iterable[Fact]:
    event = intake.CaseSnapshot.FromString(payload)
    return _hidden(event.facts) or _needs(event.open_needs, event.facts.area, by_snapshot=True)


def _hidden(facts: common.Facts) -> list[Fact]:
    return [HouseholdHidden()] if facts.confidential else []


def _needs(needs: Iterable[common.Need], area: str, *, by_snapshot: bool) -> list[Fact]:
    """A kind that is not known yet is not counted, rather than counted as another."""
    return [
        NeedKnown(need.need_id, area, _KINDS[need.kind], by_snapshot) for need in needs if need.kind in _KINDS
    ]


def _accepted(payload: bytes) -> Iterable[Fact]:
    return [NeedReached(matching.ReferralAccepted.FromString(payload).need_id, State.PLACED)]


def _occupied(payload: bytes) -> Iterable[Fact]:
    """An occupancy known from an import answers no need."""
    need = matching.OccupancyStarted.FromString(payload).need_id
    return [NeedReached(need, State.PLACED)] if need else []


def _allocated(payload: bytes) -> Iterable[Fact]:
    return [NeedReached(matching.NeedAllocated.FromString(payload).need_id, State.PLACED)]


def _unmatched(payload: bytes) -> Iterable[Fact]:
    return [NeedReached(matching.NeedUnmatched.FromString(payload).need_id, State.UNMET)]


def _referrals_snapshot(payload: bytes) -> Iterable[Fact]:
    event = matching.ReferralsSnapshot.FromString(payload)
    for referral in event.referrals:
        if referral.occupied or referral.state in _PLACED_STATES:
            yield NeedReached(referral.proposal.need_id, State.PLACED, by_snapshot=True)
    for allocation in event.allocations:
        yield NeedReached(allocation.need_id, State.PLACED, by_snapshot=True)
    for unmatched in event.unmatched:
        yield NeedReached(unmatched.need_id, State.UNMET, by_snapshot=True)


_READERS: dict[str, Callable[[bytes], Iterable[Fact]]] = {
    intake.CaseOpened.DESCRIPTOR.full_name: _case_opened,
    intake.HouseholdChanged.DESCRIPTOR.full_name: _household_changed,
    intake.NeedReported.DESCRIPTOR.full_name: _need_reported,
    intake.CaseSnapshot.DESCRIPTOR.full_name: _case_snapshot,
    matching.ReferralAccepted.DESCRIPTOR.full_name: _accepted,
    matching.OccupancyStarted.DESCRIPTOR.full_name: _occupied,
    matching.NeedAllocated.DESCRIPTOR.full_name: _allocated,
    matching.NeedUnmatched.DESCRIPTOR.full_name: _unmatched,
    matching.ReferralsSnapshot.DESCRIPTOR.full_name: _referrals_snapshot,
}


def picture(area: str, kind: str, hours: Iterable[tuple[Hour, Counts]]) -> bytes:
    """A `RegionalPicture` of counts that are already as others may see them."""
    message = matching.RegionalPicture(area=area, kind=KINDS[kind])
    for hour, (reported, placed, unmet) in hours:
        line: Any = message.hours.add(reported=reported, placed=placed, unmet=unmet)
        line.hour.FromSeconds(hour)
    return message.SerializeToString(deterministic=True)


def read_picture(payload: bytes) -> tuple[str, str, list[tuple[datetime, Counts]]]:
    """Area, kind and hours of a `RegionalPicture`."""
    message = matching.RegionalPicture.FromString(payload)
    hours = [
        (datetime.fromtimestamp(line.hour.seconds, UTC), (line.reported, line.placed, line.unmet))
        for line in message.hours
    ]
    return message.area, _KINDS[message.kind], hours
