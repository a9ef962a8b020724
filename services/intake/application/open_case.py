"""Open a case for a household with its needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.chassis import discretion
from services.chassis.ids import uuid7
from services.intake.application.household_changed import household_changed, known_persons
from services.intake.application.ports import IntakeWork, KnownHousehold, NewCase
from services.intake.domain.access import assigned_from_the_start
from services.intake.domain.agencies import Agency, AgencyType, Asker, Viewer
from services.intake.domain.entries import happened_at
from services.intake.domain.events import CaseOpened, NeedReported
from services.intake.domain.household import Household, checked, facts_of
from services.intake.domain.ids import CaseId, HouseholdId, NeedId
from services.intake.domain.needs import MOST_NEEDS, Need, NeedRequest, need_of
from services.intake.domain.refusal import conflict, denied, invalid


@dataclass(frozen=True, slots=True)
class OpenCase:
    """`occurred_at` is when it happened, if not now: an entry that was made without a signal."""

    asker: Asker
    case_id: CaseId | None
    household: Household
    needs: tuple[NeedRequest, ...]
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenedCase:
    case_id: CaseId
    need_ids: tuple[NeedId, ...]


async def look_ahead(work: IntakeWork, commands: Sequence[OpenCase]) -> None:
    """Read in a few looks what opening these cases in this work has to know."""
    await work.cases.look([each.case_id for each in commands if each.case_id is not None])
    await work.needs.look(
        [need.need_id for each in commands for need in each.needs if need.need_id is not None]
    )
    await work.one_places.look([each.household for each in commands])


async def open_case(work: IntakeWork, command: OpenCase) -> OpenedCase:
    """The case, its needs and what is announced of them, at once. Refused before anything is written."""
    viewer = await work.agencies.viewer(command.asker)
    agency = _may_open(viewer)
    today = work.today
    household = checked(command.household, today)
    if household.confidential:
        discretion.hush()
    occurred_at = happened_at(command.occurred_at, work.now)
    await _ids_are_free(work, command)
    case_id = command.case_id or CaseId(uuid7())
    facts = facts_of(household, today, revision=1)
    code = await work.cases.free_arrival_code(case_id) if facts.confidential else None
    needs = needs_of(command.needs, today)
    new = NewCase(
        case_id=case_id,
        household_id=HouseholdId(uuid7()),
        agency_id=agency.agency_id,
        opened_by=viewer.worker,
        opened_at=occurred_at,
        known=KnownHousehold(household, known_persons(household), facts),
        arrival_code=code,
        needs=needs,
        assigned=assigned_from_the_start(viewer, facts.confidential),
    )
    await work.cases.open(new)
    told = work.one_places.called(case_id, facts)
    work.tell(
        CaseOpened(case_id, told),
        *(NeedReported(case_id, need, told, code) for need in needs),
        occurred_at=occurred_at,
    )
    await household_changed(work, new.as_case(work.now), None, new.known)
    return OpenedCase(case_id, tuple(need.need_id for need in needs))


def needs_of(requests: tuple[NeedRequest, ...], today: date) -> tuple[Need, ...]:
    """The needs to record, in their order; each without an id gets one."""
    if len(requests) > MOST_NEEDS:
        raise invalid("too-many-needs", f"At most {MOST_NEEDS} needs fit one request.", field="needs")
    needs = tuple(
        need_of(request, request.need_id or NeedId(uuid7()), today, f"needs[{index}]")
        for index, request in enumerate(requests)
    )
    if len({need.need_id for need in needs}) < len(needs):
        raise invalid("need-id-twice", "Two needs have the same id.", field="needs")
    return needs


async def _ids_are_free(work: IntakeWork, command: OpenCase) -> None:
    """An offline phone makes the ids; whoever uses one twice gets a conflict, not somebody else's case."""
    if command.case_id is not None and await work.cases.taken(command.case_id):
        raise conflict("id-taken", "The id of the case is in use.")
    if await work.needs.any_taken([need.need_id for need in command.needs if need.need_id is not None]):
        raise conflict("id-taken", "The id of a need is in use.")


def _may_open(viewer: Viewer) -> Agency:
    """Only workers of a known agency open cases, and never one whose people may not enter a shared system."""
    if viewer.agency is None:
        raise denied("agency-unknown", "The caller's agency is not registered here.")
    if viewer.agency.type is AgencyType.VICTIM_SERVICE_PROVIDER:
        raise denied(
            "victim-service-provider", "People of a victim service provider may not enter a shared system."
        )
    if not viewer.agency.type.opens_cases:
        raise denied("agency-opens-no-cases", "Agencies of this type do not open cases.")
    return viewer.agency
