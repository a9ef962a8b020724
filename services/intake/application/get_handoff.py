"""Tell where one allocation meets its household, for the one who carries it."""

from dataclasses import dataclass

from services.chassis import discretion
from services.intake.application.ports import Hub, IntakeWork
from services.intake.domain.ids import AllocationId, WorkerName
from services.intake.domain.refusal import not_found, refused


@dataclass(frozen=True, slots=True)
class Handoff:
    point: str
    slot: str


async def get_handoff(
    work: IntakeWork, hub: Hub, asked_by: WorkerName, allocation_id: AllocationId
) -> Handoff:
    """The point and the slot. The rules let only logistics ask, which tells only the carrier of that bag.

    For a household in hiding it is the hub's meeting point: an advocate collects there, and the carrier
    learns nothing that differs between such households.
    """
    case_id = await work.allocations.carried(allocation_id)
    case = None if case_id is None else await work.cases.find(case_id, asked_by)
    if case is None:
        raise not_found()
    work.access_log.read(asked_by, "", case.case_id, [], "GetHandoff")
    if case.confidential:
        discretion.hush()
        return Handoff(hub.meeting_point, hub.handoff_slot)
    secrets = await work.vault.secrets(case)
    if not secrets.handoff_point:
        raise refused("no-handoff-point", "The household has named no place to meet.")
    return Handoff(secrets.handoff_point, secrets.handoff_slot)
