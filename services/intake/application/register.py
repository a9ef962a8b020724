"""Make agencies and their workers known."""

from dataclasses import dataclass

from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Agency
from services.intake.domain.ids import AgencyId, WorkerName
from services.intake.domain.refusal import invalid

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class RegisterWorker:
    worker: WorkerName
    agency_id: AgencyId


async def register_agency(work: IntakeWork, agency: Agency) -> None:
    """Known from now on under this name and type; told again, the newer name and type hold."""
    if not agency.name.strip() or len(agency.name) > LONGEST_NAME:
        raise invalid(
            "name-missing", f"An agency has a name of 1 to {LONGEST_NAME} characters.", field="name"
        )
    await work.agencies.register(agency)


async def register_worker(work: IntakeWork, command: RegisterWorker) -> None:
    """The worker works for this agency from now on. Refused when no such agency is known."""
    if not command.worker or len(command.worker) > LONGEST_NAME:
        raise invalid("worker-missing", "A worker is named by the subject of a token.", field="worker")
    if await work.agencies.find(command.agency_id) is None:
        raise invalid("agency-unknown", "No agency of that id is registered.", field="agency_id")
    work.agencies.register_worker(command.worker, command.agency_id)
