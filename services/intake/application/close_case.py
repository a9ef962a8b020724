"""End the work with a household."""

from dataclasses import dataclass

from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.events import CaseClosed
from services.intake.domain.ids import CaseId


@dataclass(frozen=True, slots=True)
class CloseCase:
    asker: Asker
    case_id: CaseId


async def close_case(work: IntakeWork, command: CloseCase) -> None:
    """Closed, and its open needs with it: what is kept for them elsewhere goes free. Twice is once.

    Which allocations were the household's is forgotten: a bag whose handover is told later meets no need here.
    """
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_be_assigned(must_act(found.case, found.viewer))
    if case.closed_at is not None:
        return
    # Waits for an allocation that is being told at this moment: what is forgotten below must be all.
    await work.cases.lock(case.case_id, found.viewer.worker)
    work.cases.close(case)
    work.allocations.forget(case.case_id)
    work.tell(CaseClosed(case.case_id))
    work.changed(case.case_id)
