"""Some persons of a household become one of their own."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from services.chassis.ids import uuid7
from services.intake.application.edit_household import Edit, Edited, Editing, begin, finish
from services.intake.application.household_changed import household_changed
from services.intake.application.ports import IntakeWork, KnownHousehold, KnownPerson, NewCase
from services.intake.domain.contact import NOBODY
from services.intake.domain.events import CaseOpened
from services.intake.domain.household import checked, facts_of
from services.intake.domain.ids import CaseId, HouseholdId, PersonId
from services.intake.domain.refusal import invalid


@dataclass(frozen=True, slots=True)
class Split:
    edited: Edited
    case_id: CaseId


async def split_household(work: IntakeWork, edit: Edit, leaving: Collection[PersonId]) -> Split:
    """Two cases of the same agency, as confidential as the one was; persons keep their ids.

    No need, hand-off point or safe contact goes along: those who part may part from each other. Places to avoid
    do, and whoever splits a confidential household is assigned to both.
    """
    editing = await begin(work, edit, assigned_only=True)
    ids = set(leaving)
    apart = [editing.person(each) for each in ids]
    if not apart or len(apart) == len(editing.known.persons):
        raise invalid("split-of-nobody", "Some of the persons go, and some stay.", field="person_ids")
    staying = [each for each in editing.known.persons if each.person_id not in ids]
    going = tuple(each for each in editing.known.persons if each.person_id in ids)
    for each in going:
        work.imports.stay_away(editing.case, each.source_key)
    edited = await finish(work, editing, persons=staying, leaving=ids)
    case_id = await _open(work, editing, going)
    work.consents.take_bars_along(ids, case_id)
    return Split(edited, case_id)


async def _open(work: IntakeWork, editing: Editing, going: tuple[KnownPerson, ...]) -> CaseId:
    before = editing.known.household
    household = replace(
        before, persons=tuple(each.person for each in going), handoff_point="", handoff_slot="",
        safe_contact=NOBODY, avoid_words="",
    )  # fmt: skip
    facts = facts_of(checked(household, work.today), work.today, revision=1)
    case_id, worker = CaseId(uuid7()), editing.viewer.worker
    new = NewCase(
        case_id=case_id,
        household_id=HouseholdId(uuid7()),
        agency_id=editing.case.agency_id,
        opened_by=worker,
        opened_at=work.now,
        known=KnownHousehold(household, going, facts),
        arrival_code=await work.cases.free_arrival_code(case_id) if facts.confidential else None,
        needs=(),
        assigned=facts.confidential,
        parted=True,
    )
    work.one_places.part(case_id)
    await work.cases.open(new)
    work.tell(CaseOpened(case_id, facts))
    await household_changed(work, new.as_case(work.now), None, new.known)
    return case_id
