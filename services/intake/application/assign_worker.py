"""Let a worker see and act on a confidential case."""

from dataclasses import dataclass

from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import AgencyType, Asker
from services.intake.domain.cases import Case
from services.intake.domain.ids import ArrivalCode, CaseId, WorkerName
from services.intake.domain.refusal import denied, invalid, not_found, refused


@dataclass(frozen=True, slots=True)
class AssignWorker:
    """The hub names the case by the code the household said; an advocate of the case by its id."""

    asker: Asker
    case_id: CaseId | None
    arrival_code: ArrivalCode | None
    worker: WorkerName


async def assign_worker(work: IntakeWork, command: AssignWorker) -> CaseId:
    """The case that the worker may now see. Police see no confidential case, assigned or not."""
    case = await _case(work, command)
    if not case.confidential:
        raise refused("not-confidential", "Workers are assigned to confidential cases only.")
    agency = await work.agencies.knows_worker(command.worker)
    if agency is None:
        raise invalid("worker-unknown", "No worker of that name is registered.", field="worker")
    if agency.type is AgencyType.POLICE:
        raise refused("police-not-assignable", "Police are not assigned to confidential cases.")
    work.cases.assign(case.case_id, command.worker, command.asker.worker)
    work.cases.advance(case)
    work.changed(case.case_id)
    return case.case_id


async def _case(work: IntakeWork, command: AssignWorker) -> Case:
    asker = command.asker
    if command.arrival_code is not None:
        if "hub" not in asker.roles:
            raise denied("hub-only", "Only the hub names a case by arrival code.")
        found = await work.cases.find_by_code(command.arrival_code, asker.worker)
    elif command.case_id is not None:
        found = (await work.cases.approach(command.case_id, asker)).case
        if found is not None and not (found.assigned and "advocate" in asker.roles):
            found = None
    else:
        raise invalid("case-missing", "The case is named by its id or by an arrival code.", field="case_id")
    if found is None:
        raise not_found()
    return found
