"""Answers in the contract's words."""

from typing import assert_never

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake

from services.intake.application.ports import Held, HubContact, NoPlace, SearchGoesOn, TonightAnswer
from services.intake.application.view_case import CaseView
from services.intake.domain.household import Person
from services.intake.domain.outcomes import Allocation, NeedOutcome, Referral
from services.intake.entrypoints import words


def tonight_message(answer: TonightAnswer, desk: str) -> intake.TonightAnswer:
    """What can be told now; without a place also whom to call: `desk` is awake all night."""
    match answer:
        case Held():
            return intake.TonightAnswer(held=_held(answer.referral))
        case NoPlace():
            change = answer.would_change
            return intake.TonightAnswer(
                none=intake.NoPlace(
                    reason=words.UNMATCHED[answer.reason],
                    would_change=common.WOULD_CHANGE_UNSPECIFIED
                    if change is None
                    else words.WOULD_CHANGE[change],
                    call=desk,
                )
            )
        case HubContact():
            return intake.TonightAnswer(
                hub=common.HubContact(
                    phone=answer.phone, arrival_code=answer.arrival_code, meeting_point=answer.meeting_point
                )
            )
        case SearchGoesOn():
            return intake.TonightAnswer(
                pending=intake.SearchGoesOn(ask_again_seconds=answer.ask_again_seconds, call=desk)
            )
        case _:
            assert_never(answer)


def case_message(view: CaseView) -> intake.CaseView:
    return intake.CaseView(
        case_id=str(view.case_id),
        status=view.status,
        persons=[person_message(person) for person in view.persons],
        needs=[need_view(need) for need in view.needs],
        opened_at=words.timestamp(view.opened_at),
        confidential=view.confidential,
    )


def _held(referral: Referral) -> intake.HeldPlace:
    return intake.HeldPlace(
        referral_id=str(referral.referral_id),
        place=referral.place,
        contact=referral.contact,
        from_date=words.iso(referral.from_date),
        nights=referral.nights,
        expires_at=None if referral.expires_at is None else words.timestamp(referral.expires_at),
    )


def person_message(person: Person) -> intake.Person:
    band = person.age_band
    return intake.Person(
        given_name=person.given_name,
        family_name=person.family_name,
        birth_date=words.iso(person.birth_date),
        age_band=intake.AGE_BAND_UNSPECIFIED if band is None else words.AGE_BAND[band],
        relationship=person.relationship,
        due_date=words.iso(person.due_date),
        note=person.note,
        contact=person.contact,
        aliases=person.aliases,
    )


def need_view(outcome: NeedOutcome) -> intake.NeedView:
    why = outcome.unmatched
    return intake.NeedView(
        need=words.need_message(outcome.need),
        state=outcome.state.value,
        reason=common.UNMATCHED_REASON_UNSPECIFIED if why is None else words.UNMATCHED[why],
        referrals=[_referral(referral) for referral in outcome.referrals],
        allocations=[_allocation(allocation) for allocation in outcome.allocations],
        norm=outcome.need.norm,
    )


def _referral(referral: Referral) -> intake.ReferralView:
    return intake.ReferralView(
        referral_id=str(referral.referral_id),
        state=referral.state.value,
        place=referral.place,
        contact=referral.contact,
        from_date=words.iso(referral.from_date),
        nights=referral.nights,
        expires_at=None if referral.expires_at is None else words.timestamp(referral.expires_at),
        arrival_code=referral.arrival_code,
    )


def _allocation(allocation: Allocation) -> intake.AllocationView:
    return intake.AllocationView(
        allocation_id=str(allocation.allocation_id),
        state=allocation.state.value,
        bag_code=allocation.bag_code,
        quantity=allocation.quantity,
    )
