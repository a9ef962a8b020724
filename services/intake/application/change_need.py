"""Make a reported need another: its window, quantity, size, nights, constraints or urgency."""

from dataclasses import dataclass

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.events import NeedChanged
from services.intake.domain.ids import CaseId, NeedId
from services.intake.domain.needs import Need, NeedRequest, changed_need
from services.intake.domain.refusal import not_found, refused


@dataclass(frozen=True, slots=True)
class ChangeNeed:
    """`need` is all of it as it is to be."""

    asker: Asker
    case_id: CaseId
    need_id: NeedId
    need: NeedRequest


async def change_need(work: IntakeWork, command: ChangeNeed) -> Need:
    """The need as it is now. Nothing is said of a need that is as it was.

    Fewer pieces than the household received already are refused: that need is met, or was another.
    """
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_be_assigned(must_act(found.case, found.viewer))
    case.must_be_open()
    record = await work.needs.find(case.case_id, command.need_id)
    if record is None:
        raise not_found()
    if not record.open:
        raise refused("need-not-open", "The need is met or was taken back.")
    need = changed_need(record.need, command.need, work.today)
    if need == record.need:
        return need
    received = dict(await work.norms.handed_over(case.case_id)).get(need.need_id, 0)
    if received and need.quantity <= received:
        raise refused("received-already", "The household has received as many pieces.", field="need.quantity")
    work.needs.change(case.case_id, need)
    work.cases.advance(case)
    work.tell(NeedChanged(case.case_id, need, case.facts))
    work.changed(case.case_id)
    return need
