"""Take a need back."""

from dataclasses import dataclass

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.events import NeedWithdrawn
from services.intake.domain.ids import CaseId, NeedId
from services.intake.domain.refusal import not_found, refused


@dataclass(frozen=True, slots=True)
class WithdrawNeed:
    asker: Asker
    case_id: CaseId
    need_id: NeedId


async def withdraw_need(work: IntakeWork, command: WithdrawNeed) -> None:
    """No longer wanted. Taking it back twice is taking it back once; what is met cannot be taken back."""
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_be_assigned(must_act(found.case, found.viewer))
    record = await work.needs.find(case.case_id, command.need_id)
    if record is None:
        raise not_found()
    if record.need.norm:
        raise refused("need-derived", "It follows from a norm; overrule that instead.")
    if record.met:
        raise refused("need-met", "The need is met already.")
    if not record.withdrawn:
        work.needs.withdraw(case.case_id, command.need_id)
        work.cases.advance(case)
        work.tell(NeedWithdrawn(case.case_id, command.need_id))
        work.changed(case.case_id)
