"""What matching announces, as messages on their topics."""

from __future__ import annotations

from datetime import date, datetime
from typing import assert_never

from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import events_pb2 as said
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.envelope import Announcement
from services.chassis.topics import Topics, announce
from services.matching.application.ports import Cause
from services.matching.domain import events
from services.matching.domain.events import Event
from services.matching.domain.ids import CaseId

REFERRALS = "aid.matching.referrals.v1"
ALLOCATIONS = "aid.matching.allocations.v1"
SHORTFALLS = "aid.matching.shortfalls.v1"


class Wire:
    """Puts events of the domain into the form that their topics allow."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def announcement(self, event: Event, now: datetime, cause: Cause) -> Announcement:
        topic, key = address(event)
        return self.stated(topic, key, message(event), now, cause)

    def stated(self, topic: str, key: str, body: Message, now: datetime, cause: Cause = None) -> Announcement:
        return announce(
            self._topics.of(topic),
            key,
            body.DESCRIPTOR.full_name,
            body.SerializeToString(deterministic=True),
            subject=key,
            occurred_at=now,
            recorded_at=now,
            cause=cause,
        )


def case_of(event: Event) -> CaseId | None:
    """The case that the event is about, if it is about one."""
    match event:
        case events.ReferralProposed():
            return event.referral.case_id
        case events.AllocationProposed() | events.AllocationWithdrawn() | events.ShortfallChanged():
            return None
        case _:
            return event.case_id


def address(event: Event) -> tuple[str, str]:
    """Topic and key."""
    match event:
        case events.AllocationProposed() | events.AllocationWithdrawn():
            return ALLOCATIONS, str(event.allocation_id)
        case events.ShortfallChanged():
            return SHORTFALLS, shortfall_key(event.area, event.item_id)
        case _:
            return REFERRALS, str(case_of(event))


def shortfall_key(area: str, item_id: str) -> str:
    return f"{area}:{item_id}"


_SIMPLE = {
    events.ReferralAccepted: said.ReferralAccepted,
    events.ReferralDeclined: said.ReferralDeclined,
    events.ReferralRejected: said.ReferralRejected,
    events.ReferralExpired: said.ReferralExpired,
    events.ReferralWithdrawn: said.ReferralWithdrawn,
    events.PlaceOutgrown: said.PlaceOutgrown,
}


def message(event: Event) -> Message:
    """The event as the contract has it."""
    match event:
        case events.ReferralProposed():
            return proposal(event)
        case (
            events.ReferralAccepted()
            | events.ReferralDeclined()
            | events.ReferralRejected()
            | events.ReferralExpired()
            | events.ReferralWithdrawn()
            | events.PlaceOutgrown()
        ):
            return _SIMPLE[type(event)](
                case_id=str(event.case_id), referral_id=str(event.referral_id), need_id=str(event.need_id)
            )
        case events.OccupancyStarted():
            return occupancy_started(event)
        case events.OccupancyExtended():
            return said.OccupancyExtended(
                case_id=str(event.case_id),
                referral_id=str(event.referral_id),
                last_night=event.last_night.isoformat(),
            )
        case events.OccupancyEnded():
            return said.OccupancyEnded(
                case_id=str(event.case_id),
                referral_id=_id(event.referral_id),
                until_date=event.until_date.isoformat(),
            )
        case events.NeedUnmatched():
            return unmatched(event)
        case _:
            return _goods_message(event)


def _goods_message(
    event: events.NeedAllocated
    | events.NeedDeallocated
    | events.AllocationProposed
    | events.AllocationWithdrawn
    | events.ShortfallChanged,
) -> Message:
    match event:
        case events.NeedAllocated():
            return said.NeedAllocated(
                case_id=str(event.case_id),
                need_id=str(event.need_id),
                allocation_id=str(event.allocation_id),
                quantity=event.quantity,
            )
        case events.NeedDeallocated():
            return said.NeedDeallocated(
                case_id=str(event.case_id),
                need_id=str(event.need_id),
                allocation_id=str(event.allocation_id),
            )
        case events.AllocationProposed():
            return said.AllocationProposed(
                allocation_id=str(event.allocation_id),
                item_id=event.item_id,
                quantity=event.quantity,
                area=event.area,
                week=event.week,
                size=event.size,
            )
        case events.AllocationWithdrawn():
            return said.AllocationWithdrawn(allocation_id=str(event.allocation_id))
        case events.ShortfallChanged():
            return said.ShortfallChanged(
                area=event.area, item_id=event.item_id, packs=event.packs, revision=event.revision
            )
        case _:
            assert_never(event)


def proposal(event: events.ReferralProposed) -> said.ReferralProposed:
    referral = event.referral
    return said.ReferralProposed(
        case_id=str(referral.case_id),
        referral_id=str(referral.referral_id),
        need_id=str(referral.need_id),
        place_handle=str(referral.place_handle),
        contact=event.contact,
        from_date=referral.from_date.isoformat(),
        nights=referral.nights,
        expires_at=_timestamp(referral.expires_at),
    )


def occupancy_started(event: events.OccupancyStarted) -> said.OccupancyStarted:
    return said.OccupancyStarted(
        case_id=str(event.case_id),
        referral_id=_id(event.referral_id),
        need_id=_id(event.need_id),
        from_date=event.from_date.isoformat(),
        last_night=_date(event.last_night),
    )


def unmatched(event: events.NeedUnmatched) -> said.NeedUnmatched:
    change = event.unmatched.would_change
    return said.NeedUnmatched(
        case_id=str(event.case_id),
        need_id=str(event.need_id),
        # The contract has the domain's words, by name.
        reason=common.UnmatchedReason.Value(f"UNMATCHED_REASON_{event.unmatched.reason.name}"),
        would_change=common.WouldChange.Value(f"WOULD_CHANGE_{change.name if change else 'UNSPECIFIED'}"),
    )


def _timestamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def _id(value: object | None) -> str:
    return "" if value is None else str(value)


def _date(value: date | None) -> str:
    return "" if value is None else value.isoformat()
