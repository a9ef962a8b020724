"""Open a confidential case in an emergency, for a limited time, and have a supervisor elsewhere look into it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from services.chassis import discretion
from services.chassis.ids import uuid7
from services.intake.application.agencies_ports import Mark, Notice
from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.break_glass import BrokenGlass, checked_reason, may_break
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder
from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId, GlassId
from services.intake.domain.refusal import invalid, not_found

GLASS_CLOSES = "glass-closes"
"""The promise that ends it; it is about the id of the breaking."""


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """The case is named by its id or by the code that the household said."""

    asker: Asker
    case_id: CaseId | None
    arrival_code: ArrivalCode | None
    reason: str = field(repr=False)


async def break_glass(work: IntakeWork, command: BreakGlass, lasts: timedelta) -> BrokenGlass:
    """The case is open to the asker for so long. Counted nowhere: only the access log and the supervisor know."""
    reason = checked_reason(command.reason)
    found, viewer = await _approached(work, command)
    case = may_break(found, viewer)
    discretion.hush()
    await work.cases.lock(case.case_id, viewer.worker)
    glass = BrokenGlass(
        glass_id=GlassId(uuid7()),
        case_id=case.case_id,
        agency_id=case.agency_id,
        worker=viewer.worker,
        opened_at=work.now,
        until=work.now + lasts,
        reason=reason,
    )
    await work.glass.keep(glass)
    work.access_log.read(viewer.worker, str(case.agency_id), case.case_id, [], "BreakGlass")
    work.clocks.arm(case.case_id, case.agency_id, GLASS_CLOSES, str(glass.glass_id), glass.until)
    return glass


async def glass_closes(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """Its time is over; whoever still watches the case is told to look again, and is shown nothing."""
    await work.glass.end(GlassId(UUID(reminder.about)))
    work.changed(case.case_id)


async def list_break_glass(
    work: IntakeWork, asker: Asker, after: Mark | None, limit: int
) -> Sequence[Notice]:
    """What no supervisor has looked into yet. Each reason that is shown is logged as a reading."""
    agency_id = await _own_agency(work, asker)
    notices = await work.glass.unread(agency_id, after, limit)
    own = "" if agency_id is None else str(agency_id)
    for notice in notices:
        work.access_log.read(asker.worker, own, notice.glass.case_id, [], "ListBreakGlass")
    return notices


async def ack_break_glass(work: IntakeWork, asker: Asker, glass_id: GlassId) -> None:
    """Looked into, once: by a supervisor of another agency than the one in which it happened."""
    if not await work.glass.acknowledge(glass_id, await _own_agency(work, asker), asker.worker):
        raise not_found()
    discretion.hush()


async def _approached(work: IntakeWork, command: BreakGlass) -> tuple[Case | None, Viewer]:
    if command.arrival_code is not None:
        viewer = await work.agencies.viewer(command.asker)
        return await work.cases.find_by_code(command.arrival_code, viewer.worker), viewer
    if command.case_id is None:
        raise invalid("case-missing", "The case is named by its id or by an arrival code.", field="case_id")
    found = await work.cases.approach(command.case_id, command.asker)
    return found.case, found.viewer


async def _own_agency(work: IntakeWork, asker: Asker) -> AgencyId | None:
    viewer = await work.agencies.viewer(asker)
    return None if viewer.agency is None else viewer.agency.agency_id
