"""Add a need to a case."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.ids import uuid7
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act
from services.intake.domain.agencies import Asker
from services.intake.domain.entries import happened_at
from services.intake.domain.events import NeedReported
from services.intake.domain.ids import CaseId, NeedId
from services.intake.domain.needs import NeedRequest, need_of
from services.intake.domain.refusal import conflict


@dataclass(frozen=True, slots=True)
class ReportNeed:
    asker: Asker
    case_id: CaseId
    need: NeedRequest
    occurred_at: datetime | None = None


async def look_ahead(work: IntakeWork, commands: Sequence[ReportNeed]) -> None:
    """Read in one look what reporting these needs in this work has to know. One alone looks when it acts."""
    if len(commands) > 1:
        await work.cases.approach_all([(each.case_id, each.asker, each.need.need_id) for each in commands])


async def report_need(work: IntakeWork, command: ReportNeed) -> NeedId:
    """The id of the recorded need. Refused before anything is written."""
    own = command.need.need_id
    found = await work.cases.approach(command.case_id, command.asker, own)
    case = must_act(found.case, found.viewer)
    case.must_be_open()
    if found.taken:
        raise conflict("id-taken", "The id of the need is in use.")
    need = need_of(command.need, own or NeedId(uuid7()), work.today)
    occurred_at = happened_at(command.occurred_at, work.now)
    work.needs.report(case, need)
    work.cases.advance(case)
    work.tell(NeedReported(case.case_id, need, case.facts, case.arrival_code), occurred_at=occurred_at)
    work.changed(case.case_id)
    return need.need_id
