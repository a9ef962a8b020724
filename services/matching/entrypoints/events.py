"""What matching hears from intake and logistics, and what it does about it."""

from __future__ import annotations

from collections.abc import Mapping

from aid.intake.v1 import events_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics

from services.chassis.apply import Handler
from services.chassis.envelope import Received
from services.matching.application import close_referrals, follow_case, follow_goods, follow_stays
from services.matching.application.agenda import Left
from services.matching.application.ports import MatchingWork
from services.matching.domain.goods import Shelf
from services.matching.domain.ids import AllocationId, CaseId, LineId, NeedId, ReferralId, WarehouseId
from services.matching.entrypoints import words

Work = MatchingWork


def handlers() -> Mapping[str, Handler[Work]]:
    """By message type; each acts in the transaction of its offset."""
    return {
        "aid.intake.v1.CaseOpened": case_opened,
        "aid.intake.v1.HouseholdChanged": household_changed,
        "aid.intake.v1.NeedReported": need_reported,
        "aid.intake.v1.NeedChanged": need_changed,
        "aid.intake.v1.NeedWithdrawn": need_withdrawn,
        "aid.intake.v1.NeedMet": need_met,
        "aid.intake.v1.CaseClosed": case_closed,
        "aid.intake.v1.CaseReopened": case_reopened,
        "aid.intake.v1.StayStarted": nothing_follows,
        "aid.intake.v1.StayEnding": stay_ending,
        "aid.intake.v1.StayEnded": stay_ended,
        "aid.intake.v1.FollowUpDue": nothing_follows,
        "aid.intake.v1.ConsentChanged": consent_changed,
        "aid.intake.v1.CaseErased": case_erased,
        "aid.intake.v1.CaseSnapshot": case_snapshot,
        "aid.logistics.v1.AllocationReserved": allocation_reserved,
        "aid.logistics.v1.AllocationRefused": allocation_refused,
        "aid.logistics.v1.HandoverConfirmed": handover_confirmed,
        "aid.logistics.v1.AllocationState": allocation_state,
        "aid.logistics.v1.StockChanged": stock_changed,
        "aid.logistics.v1.LinePublished": line_published,
        "aid.logistics.v1.PledgesAdmitted": pledges_admitted,
        "aid.logistics.v1.PledgesExpired": pledges_expired,
        "aid.logistics.v1.LineFulfilled": line_fulfilled,
        "aid.logistics.v1.LineClosed": line_closed,
        "aid.logistics.v1.LineSnapshot": line_snapshot,
    }


def _case(text: str) -> CaseId:
    return CaseId(words.uuid(text, "case-id"))


def _need(text: str) -> NeedId:
    return NeedId(words.uuid(text, "need-id"))


def _allocation(text: str) -> AllocationId:
    return AllocationId(words.uuid(text, "allocation-id"))


def _line(text: str) -> LineId:
    return LineId(words.uuid(text, "line-id"))


async def case_opened(event: Received, work: Work) -> None:
    told = intake.CaseOpened.FromString(event.payload)
    follow_case.case_opened(work, _case(told.case_id), words.facts(told.facts))


async def household_changed(event: Received, work: Work) -> None:
    told = intake.HouseholdChanged.FromString(event.payload)
    work.cause = event
    follow_case.household_changed(work, _case(told.case_id), words.facts(told.facts))


async def need_reported(event: Received, work: Work) -> None:
    told = intake.NeedReported.FromString(event.payload)
    work.cause = event
    need = words.need(_case(told.case_id), told.need)
    follow_case.need_reported(work, need, words.facts(told.facts), told.arrival_code)


async def need_changed(event: Received, work: Work) -> None:
    told = intake.NeedChanged.FromString(event.payload)
    work.cause = event
    await follow_case.need_changed(work, words.need(_case(told.case_id), told.need), words.facts(told.facts))


async def need_withdrawn(event: Received, work: Work) -> None:
    told = intake.NeedWithdrawn.FromString(event.payload)
    work.cause = event
    follow_case.need_gone(work, _case(told.case_id), _need(told.need_id))


async def need_met(event: Received, work: Work) -> None:
    told = intake.NeedMet.FromString(event.payload)
    work.cause = event
    await follow_case.need_met(work, _case(told.case_id), _need(told.need_id))


async def case_closed(event: Received, work: Work) -> None:
    told = intake.CaseClosed.FromString(event.payload)
    work.cause = event
    follow_case.case_closed(work, _case(told.case_id))


async def case_reopened(event: Received, work: Work) -> None:
    told = intake.CaseReopened.FromString(event.payload)
    work.cause = event
    await follow_stays.case_reopened(work, _case(told.case_id), words.facts(told.facts), told.arrival_code)


async def nothing_follows(event: Received, work: Work) -> None:
    """A placement that matching itself told of, a question to a worker: nothing of matching's changes by it."""


async def stay_ending(event: Received, work: Work) -> None:
    told = intake.StayEnding.FromString(event.payload)
    work.cause = event
    if told.need_id:
        follow_stays.stay_ending(work, _case(told.case_id), _need(told.need_id), told.days_left)


async def stay_ended(event: Received, work: Work) -> None:
    told = intake.StayEnded.FromString(event.payload)
    work.cause = event
    left = Left(
        _case(told.case_id),
        ReferralId(words.uuid(told.referral_id, "referral-id")) if told.referral_id else None,
        words.day(told.from_date, "from-date"),
        words.day(told.until_date, "until-date"),
    )
    follow_stays.stay_ended(work, left)


async def consent_changed(event: Received, work: Work) -> None:
    told = intake.ConsentChanged.FromString(event.payload)
    work.cause = event
    closed = [ReferralId(words.uuid(each, "referral-id")) for each in told.closed_referral_ids]
    close_referrals.consent_changed(work, _case(told.case_id), closed)


async def case_erased(event: Received, work: Work) -> None:
    told = intake.CaseErased.FromString(event.payload)
    work.cause = event
    follow_case.case_erased(work, _case(told.case_id))


async def case_snapshot(event: Received, work: Work) -> None:
    told = intake.CaseSnapshot.FromString(event.payload)
    work.cause = event
    case_id = _case(told.case_id)
    follow_case.case_seen(
        work,
        case_id,
        words.facts(told.facts),
        [words.need(case_id, each) for each in told.open_needs],
        told.arrival_code,
        told.closed,
    )


async def allocation_reserved(event: Received, work: Work) -> None:
    told = logistics.AllocationReserved.FromString(event.payload)
    await follow_goods.allocation_reserved(work, _allocation(told.allocation_id))


async def allocation_refused(event: Received, work: Work) -> None:
    told = logistics.AllocationRefused.FromString(event.payload)
    await follow_goods.allocation_refused(work, _allocation(told.allocation_id), max(0, told.available))


async def handover_confirmed(event: Received, work: Work) -> None:
    told = logistics.HandoverConfirmed.FromString(event.payload)
    await follow_goods.handover_confirmed(work, _allocation(told.allocation_id))


async def allocation_state(event: Received, work: Work) -> None:
    told = logistics.AllocationState.FromString(event.payload)
    allocation_id = _allocation(told.allocation_id)
    await follow_goods.allocation_seen(work, allocation_id, told.state, max(0, told.available))


async def stock_changed(event: Received, work: Work) -> None:
    told = logistics.StockChanged.FromString(event.payload)
    warehouse_id = WarehouseId(words.uuid(told.warehouse_id, "warehouse-id"))
    shelf = Shelf(warehouse_id, told.item_id, told.area, max(0, told.free))
    follow_goods.stock_changed(work, shelf, told.pack_size)


async def line_published(event: Received, work: Work) -> None:
    told = logistics.LinePublished.FromString(event.payload)
    work.appeal.publish(_line(told.line_id), told.area, told.item_id, told.packs)


async def pledges_admitted(event: Received, work: Work) -> None:
    told = logistics.PledgesAdmitted.FromString(event.payload)
    work.appeal.pledged(_line(told.line_id), told.packs_pledged)


async def pledges_expired(event: Received, work: Work) -> None:
    told = logistics.PledgesExpired.FromString(event.payload)
    work.appeal.pledged(_line(told.line_id), told.packs_pledged)


async def line_fulfilled(event: Received, work: Work) -> None:
    work.appeal.end(_line(logistics.LineFulfilled.FromString(event.payload).line_id), "fulfilled")


async def line_closed(event: Received, work: Work) -> None:
    work.appeal.end(_line(logistics.LineClosed.FromString(event.payload).line_id), "closed")


async def line_snapshot(event: Received, work: Work) -> None:
    told = logistics.LineSnapshot.FromString(event.payload)
    state = told.state if told.state in ("fulfilled", "closed") else "published"
    line_id = _line(told.line_id)
    work.appeal.snapshot(line_id, told.area, told.item_id, told.packs, told.packs_pledged, state)
