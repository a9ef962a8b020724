"""What arrives from matching and logistics, and which use case it is for."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date
from typing import Any, TypeVar
from uuid import UUID

from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import DecodeError, Message

from services.chassis.apply import Handler, PermanentError
from services.chassis.envelope import Received
from services.intake.application import follow_referrals as follow
from services.intake.application.follow_allocations import allocation_told
from services.intake.application.follow_stays import StayTold, stay_ends, stay_extended
from services.intake.application.larger_place import place_outgrown
from services.intake.application.place_requests import forget_place
from services.intake.application.ports import IntakeWork
from services.intake.domain.ids import AllocationId, CaseId, NeedId, ReferralId
from services.intake.domain.outcomes import Referral, ReferralState
from services.intake.entrypoints.words import OUR_UNMATCHED, OUR_WOULD_CHANGE

M = TypeVar("M", bound=Message)


def handlers() -> Mapping[str, Handler[IntakeWork]]:
    """By message type. Together they cover every event of the topics that intake consumes."""
    return dict(
        [
            _on(matching.ReferralProposed, _proposed),
            _on(matching.ReferralAccepted, _moved(ReferralState.ACCEPTED)),
            _on(matching.ReferralDeclined, _moved(ReferralState.DECLINED)),
            _on(matching.ReferralRejected, _moved(ReferralState.REJECTED)),
            _on(matching.ReferralExpired, _moved(ReferralState.EXPIRED)),
            _on(matching.ReferralWithdrawn, _moved(ReferralState.WITHDRAWN)),
            _on(matching.OccupancyStarted, _stay_started),
            _on(matching.OccupancyExtended, _stay_extended),
            _on(matching.OccupancyEnded, _stay_ended),
            _on(matching.PlaceOutgrown, _outgrown),
            _on(matching.NeedAllocated, _allocated),
            _on(matching.NeedDeallocated, _deallocated),
            _on(matching.NeedUnmatched, _unmatched),
            _on(matching.ReferralsSnapshot, _referrals_stand),
            _on(logistics.AllocationReserved, _reserved),
            _on(logistics.AllocationRefused, _refused),
            _on(logistics.HandoverConfirmed, _handed_over),
            _on(logistics.AllocationState, _allocation_state),
        ]
    )


def _on(message: type[M], act: Callable[[M, IntakeWork], Awaitable[None]]) -> tuple[str, Handler[IntakeWork]]:
    async def handle(received: Received, work: IntakeWork) -> None:
        work.cause = received
        try:
            event = message.FromString(received.payload)
        except DecodeError as error:
            raise PermanentError("undecodable") from error
        try:
            await act(event, work)
        except ValueError as error:
            # An id or a date that is none: the text of the exception may quote it and goes no further.
            raise PermanentError("malformed-field") from error

    return message.DESCRIPTOR.full_name, handle


async def _proposed(event: matching.ReferralProposed, work: IntakeWork) -> None:
    follow.referral_proposed(work, _case(event), _referral(event, ReferralState.PROPOSED))


def _moved(to: ReferralState) -> Callable[[Any, IntakeWork], Awaitable[None]]:
    async def act(event: Any, work: IntakeWork) -> None:
        follow.referral_moved(
            work, _case(event), ReferralId(UUID(event.referral_id)), NeedId(UUID(event.need_id)), to
        )

    return act


async def _stay_started(event: matching.OccupancyStarted, work: IntakeWork) -> None:
    if not await _is_place_request(event, work):
        await follow.stay_started(work, _stay(event))


async def _stay_extended(event: matching.OccupancyExtended, work: IntakeWork) -> None:
    last_night = date.fromisoformat(event.last_night)
    if not await _is_place_request(event, work):
        await stay_extended(work, _case(event), ReferralId(UUID(event.referral_id)), last_night)


async def _stay_ended(event: matching.OccupancyEnded, work: IntakeWork) -> None:
    referral_id = ReferralId(UUID(event.referral_id)) if event.referral_id else None
    if await _is_place_request(event, work):
        await forget_place(work, _case(event))
        return
    await stay_ends(work, _case(event), referral_id, date.fromisoformat(event.until_date))


async def _outgrown(event: matching.PlaceOutgrown, work: IntakeWork) -> None:
    if not await _is_place_request(event, work):
        await place_outgrown(work, _case(event), ReferralId(UUID(event.referral_id)))


async def _allocated(event: matching.NeedAllocated, work: IntakeWork) -> None:
    await follow.need_allocated(work, _case(event), _allocation(event))


async def _deallocated(event: matching.NeedDeallocated, work: IntakeWork) -> None:
    follow.need_deallocated(
        work, _case(event), NeedId(UUID(event.need_id)), AllocationId(UUID(event.allocation_id))
    )


async def _unmatched(event: matching.NeedUnmatched, work: IntakeWork) -> None:
    follow.need_unmatched(work, _case(event), _why_not(event))


async def _referrals_stand(event: matching.ReferralsSnapshot, work: IntakeWork) -> None:
    if await _is_place_request(event, work):
        return
    stand = follow.ReferralsAsTheyStand(
        case_id=_case(event),
        referrals=[_referral(each.proposal, ReferralState(each.state)) for each in event.referrals],
        occupied=[NeedId(UUID(each.proposal.need_id)) for each in event.referrals if each.occupied],
        allocations=[_allocation(each) for each in event.allocations],
        unmatched=[_why_not(each) for each in event.unmatched],
        stays=[_stay(each) for each in event.occupancies],
    )
    await follow.referrals_stand(work, stand)


async def _reserved(event: logistics.AllocationReserved, work: IntakeWork) -> None:
    await allocation_told(work, AllocationId(UUID(event.allocation_id)), "reserved", event.bag_code)


async def _refused(event: logistics.AllocationRefused, work: IntakeWork) -> None:
    await allocation_told(work, AllocationId(UUID(event.allocation_id)), "refused", "")


async def _handed_over(event: logistics.HandoverConfirmed, work: IntakeWork) -> None:
    await allocation_told(work, AllocationId(UUID(event.allocation_id)), "handed over", "")


async def _allocation_state(event: logistics.AllocationState, work: IntakeWork) -> None:
    await allocation_told(work, AllocationId(UUID(event.allocation_id)), event.state, event.bag_code)


async def _is_place_request(event: Any, work: IntakeWork) -> bool:
    """Nobody's case: of its stay nothing is kept. Its referrals are left out by the database."""
    return await work.places.known(_case(event)) is not None


def _case(event: Any) -> CaseId:
    return CaseId(UUID(event.case_id))


def _referral(event: matching.ReferralProposed, state: ReferralState) -> Referral:
    return Referral(
        referral_id=ReferralId(UUID(event.referral_id)),
        need_id=NeedId(UUID(event.need_id)),
        state=state,
        from_date=date.fromisoformat(event.from_date),
        nights=event.nights,
        expires_at=event.expires_at.ToDatetime(UTC),
    )


def _stay(event: matching.OccupancyStarted) -> StayTold:
    return StayTold(
        case_id=_case(event),
        referral_id=ReferralId(UUID(event.referral_id)) if event.referral_id else None,
        need_id=NeedId(UUID(event.need_id)) if event.need_id else None,
        from_date=date.fromisoformat(event.from_date),
        last_night=date.fromisoformat(event.last_night) if event.last_night else None,
    )


def _allocation(event: matching.NeedAllocated) -> follow.AllocationTold:
    return follow.AllocationTold(
        AllocationId(UUID(event.allocation_id)), NeedId(UUID(event.need_id)), event.quantity
    )


def _why_not(event: matching.NeedUnmatched) -> follow.UnmatchedTold:
    why = OUR_UNMATCHED.get(event.reason)
    if why is None:
        raise PermanentError("reason-unknown")
    return follow.UnmatchedTold(NeedId(UUID(event.need_id)), why, OUR_WOULD_CHANGE.get(event.would_change))
