"""Add a need to a case."""

from dataclasses import dataclass

from services.chassis.ids import uuid7
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act
from services.intake.domain.agencies import Viewer
from services.intake.domain.events import NeedReported
from services.intake.domain.ids import CaseId, NeedId
from services.intake.domain.needs import NeedRequest, need_of
from services.intake.domain.refusal import conflict


@dataclass(frozen=True, slots=True)
class ReportNeed:
    viewer: Viewer
    case_id: CaseId
    need: NeedRequest


async def report_need(work: IntakeWork, command: ReportNeed) -> NeedId:
    """The id of the recorded need."""
    case = must_act(await work.cases.find(command.case_id, command.viewer.worker), command.viewer)
    case.must_be_open()
    own = command.need.need_id
    if own is not None and await work.needs.any_taken([own]):
        raise conflict("id-taken", "The id of the need is in use.")
    need = need_of(command.need, own or NeedId(uuid7()), work.today)
    work.needs.report(case, need)
    work.cases.advance(case)
    work.tell(NeedReported(case.case_id, need, case.facts, case.arrival_code))
    work.changed(case.case_id)
    return need.need_id
