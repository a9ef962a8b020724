"""Pass on the household's yes or no to a proposed place."""

from dataclasses import dataclass

from services.chassis import discretion
from services.chassis.call import Call
from services.intake.application.ports import IntakeWork, Matching, Works
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import ArrivalCode, CaseId, ReferralId
from services.intake.domain.outcomes import ReferralState
from services.intake.domain.refusal import denied, invalid, not_found


@dataclass(frozen=True, slots=True)
class AnswerReferral:
    """Told by a worker of the case, or by the hub for whoever said the arrival code."""

    asker: Asker
    case_id: CaseId | None
    arrival_code: ArrivalCode | None
    referral_id: ReferralId
    accepted: bool


async def answer_referral(
    works: Works, matching: Matching, command: AnswerReferral, call: Call
) -> ReferralState:
    """Where the referral stands after the answer.

    Nothing is stored here: matching owns the referral and knows which case it is for. The case shows the
    answer when matching's event arrives, so a proposal that has not arrived here yet can be answered too.
    """
    async with works() as work:
        case_id = await _may_answer(work, command)
    return await matching.answer_referral(case_id, command.referral_id, command.accepted, call)


async def _may_answer(work: IntakeWork, command: AnswerReferral) -> CaseId:
    if command.arrival_code is not None:
        return await _by_code(work, command.asker, command.arrival_code)
    if command.case_id is None:
        raise invalid("case-missing", "A referral is answered for a case.", field="case_id")
    found = await work.cases.approach(command.case_id, command.asker)
    return must_be_assigned(must_act(found.case, found.viewer)).case_id


async def _by_code(work: IntakeWork, asker: Asker, code: ArrivalCode) -> CaseId:
    if "hub" not in asker.roles:
        raise denied("hub-only", "Only the hub answers by arrival code.")
    case = await work.cases.find_by_code(code, asker.worker)
    case_id = await work.places.by_code(code) if case is None else case.case_id
    if case_id is None:
        raise not_found()
    discretion.hush()
    return case_id
