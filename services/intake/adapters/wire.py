"""What intake announces, as it travels."""

from datetime import datetime
from typing import assert_never

from aid.intake.v1 import events_pb2 as messages
from google.protobuf.message import Message

from services.chassis.call import Call
from services.chassis.envelope import Announcement, Received
from services.chassis.topics import Topic, announce
from services.intake.adapters.words import facts_message, need_message
from services.intake.domain import events
from services.intake.domain.events import CaseEvent

CASES = "aid.intake.cases.v1"


def message_of(event: CaseEvent) -> Message:
    """The event in the contract's words."""
    case_id = str(event.case_id)
    match event:
        case events.CaseOpened():
            return messages.CaseOpened(case_id=case_id, facts=facts_message(event.facts))
        case events.HouseholdChanged():
            return messages.HouseholdChanged(case_id=case_id, facts=facts_message(event.facts))
        case events.NeedReported():
            return messages.NeedReported(
                case_id=case_id,
                need=need_message(event.need),
                facts=facts_message(event.facts),
                arrival_code=event.arrival_code or "",
            )
        case events.NeedChanged():
            return messages.NeedChanged(
                case_id=case_id, need=need_message(event.need), facts=facts_message(event.facts)
            )
        case events.NeedWithdrawn():
            return messages.NeedWithdrawn(case_id=case_id, need_id=str(event.need_id))
        case events.NeedMet():
            return messages.NeedMet(case_id=case_id, need_id=str(event.need_id))
        case events.ConsentChanged():
            return messages.ConsentChanged(
                case_id=case_id,
                allowed=[each.value for each in event.allowed],
                closed_referral_ids=map(str, event.closed),
            )
        case events.CaseErased():
            return messages.CaseErased(case_id=case_id)
        case events.CaseClosed():
            return messages.CaseClosed(case_id=case_id)
        case events.CaseSnapshot():
            return messages.CaseSnapshot(
                case_id=case_id,
                facts=facts_message(event.facts),
                open_needs=[need_message(need) for need in event.open_needs],
                arrival_code=event.arrival_code or "",
                closed=event.closed,
            )
        case events.CaseReopened():
            return messages.CaseReopened(
                case_id=case_id, facts=facts_message(event.facts), arrival_code=event.arrival_code or ""
            )
        case events.StayStarted() | events.StayEnding() | events.StayEnded():
            return _stay_message(event)
        case events.FollowUpDue():
            return messages.FollowUpDue(case_id=case_id, days=event.days)
        case _:
            assert_never(event)


def _stay_message(event: events.StayStarted | events.StayEnding | events.StayEnded) -> Message:
    case_id, referral_id = str(event.case_id), _word(event.referral_id)
    match event:
        case events.StayStarted():
            return messages.StayStarted(
                case_id=case_id, referral_id=referral_id, from_date=_word(event.from_date),
                last_night=_word(event.last_night),
            )  # fmt: skip
        case events.StayEnding():
            return messages.StayEnding(
                case_id=case_id, referral_id=referral_id, last_night=_word(event.last_night),
                days_left=event.days_left, need_id=_word(event.need_id),
            )  # fmt: skip
        case events.StayEnded():
            return messages.StayEnded(
                case_id=case_id, referral_id=referral_id, from_date=_word(event.from_date),
                until_date=_word(event.until),
            )  # fmt: skip
        case _:
            assert_never(event)


def _word(what: object | None) -> str:
    """An id or an ISO date; empty when there is none."""
    return "" if what is None else str(what)


def announcement(
    topic: Topic,
    event: CaseEvent,
    *,
    occurred_at: datetime,
    recorded_at: datetime,
    cause: Received | Call | None,
) -> Announcement:
    """The event with its envelope; its order is that of its case."""
    message = message_of(event)
    return announce(
        topic,
        str(event.case_id),
        message.DESCRIPTOR.full_name,
        message.SerializeToString(deterministic=True),
        subject=str(event.case_id),
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        cause=cause,
        snapshot=isinstance(event, events.CaseSnapshot),
    )
