"""What all commands on a household share: the revision that was seen, and what follows from a change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from services.chassis import discretion
from services.intake.application.end_consent import end_unwitnessed
from services.intake.application.household_changed import adults_part, household_changed, leavers_sign_no_more
from services.intake.application.ports import IntakeWork, KnownHousehold, KnownPerson
from services.intake.domain.access import Sight, assigned_from_the_start, must_act, must_be_assigned, must_see
from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.changes import changed_fields
from services.intake.domain.events import CaseSnapshot, HouseholdChanged
from services.intake.domain.household import Household, checked, facts_of
from services.intake.domain.ids import ArrivalCode, CaseId, PersonId
from services.intake.domain.refusal import Refusal, conflict, not_found, refused


@dataclass(frozen=True, slots=True)
class Edit:
    """Who changes which household, and the revision of it that they saw."""

    asker: Asker
    case_id: CaseId
    expected_revision: int


@dataclass(frozen=True, slots=True)
class Editing:
    """A household at the moment of a change. Who else changes it meanwhile makes the work run again."""

    case: Case
    viewer: Viewer
    known: KnownHousehold

    def person(self, person_id: PersonId) -> KnownPerson:
        """That member; a person of another household is as if absent."""
        for each in self.known.persons:
            if each.person_id == person_id:
                return each
        raise not_found()


@dataclass(frozen=True, slots=True)
class Edited:
    """`taken_over` is the code of a household that became confidential by this change: the hub takes over."""

    revision: int
    taken_over: ArrivalCode | None = None


def must_know(found: Case | None, viewer: Viewer) -> Case:
    """The case, for whoever may read its persons. What was erased is as if it had never been there."""
    case = _must_read(found, viewer)
    if case.facts.nobody:
        raise not_found()
    return case


def _must_read(found: Case | None, viewer: Viewer) -> Case:
    case = must_act(found, viewer)
    if must_see(case, viewer)[1] is not Sight.FULL:
        raise refused("police-write-mostly", "Police do not read households.")
    return case


async def begin(
    work: IntakeWork, edit: Edit, *, closed_too: bool = False, assigned_only: bool = False
) -> Editing:
    """Raises Refusal (conflict, "household-changed") when the household is another than its worker saw.

    `assigned_only`: not through broken glass, which is for reading and for what cannot wait until somebody comes
    who is assigned.
    """
    found = await work.cases.approach(edit.case_id, edit.asker)
    if closed_too and _must_read(found.case, found.viewer).facts.nobody:
        # Not as if absent: who erased it and did not hear so gets the answer when they send the command again.
        raise refused("household-erased", "The household was erased with its last person.")
    case = must_know(found.case, found.viewer)
    if assigned_only:
        must_be_assigned(case)
    if not closed_too:
        case.must_be_open()
    if case.facts.revision != edit.expected_revision:
        raise await _changed_meanwhile(work, case, edit.expected_revision)
    known = await work.vault.known(case)
    # Whoever left between the two looks is not missing: the household has changed.
    again = (await work.cases.approach(edit.case_id, edit.asker)).case
    if again is not None and again.facts.revision != edit.expected_revision:
        raise await _changed_meanwhile(work, again, edit.expected_revision)
    return Editing(case, found.viewer, known)


async def finish(
    work: IntakeWork,
    editing: Editing,
    household: Household | None = None,
    persons: Sequence[KnownPerson] | None = None,
    leaving: Collection[PersonId] = (),
) -> Edited:
    """Keep the changed household (None: as it was) with these members (None: those it had), and tell. Whoever is
    no longer a member is forgotten, but for those who are `leaving` for a household of their own.

    Others hear of it only when what they may know is another. What changes nothing is no change.
    """
    case, before = editing.case, editing.known
    members = before.persons if persons is None else tuple(persons)
    changed = replace(
        before.household if household is None else household, persons=tuple(each.person for each in members)
    )
    after = _next(checked(changed, work.today), members, before, work)
    fields = changed_between(before, after)
    if not fields:
        return Edited(before.facts.revision)
    work.cases.advance(case)  # first: of two at once one goes on, and the other begins anew
    if after.facts.confidential:
        discretion.hush()
    if adults_part(before, after, work.today):
        work.one_places.part(case.case_id)
    await work.vault.change(case, after, leaving)
    work.changes.record(case, after.facts.revision, fields, editing.viewer.worker)
    code = await _arrival_code(work, editing, after)
    if after.facts.differ_from(before.facts):
        work.tell(HouseholdChanged(case.case_id, after.facts))
    if code != case.arrival_code:
        await _hand_over_code(work, case, after, code)
    work.changed(case.case_id)
    if case.closed_at is None:
        now = replace(case, facts=after.facts, arrival_code=code)
        await household_changed(work, now, before, after)
    else:
        await leavers_sign_no_more(work, case, before, after)
    newly_hidden = after.facts.confidential and not before.facts.confidential
    if newly_hidden:
        await hide_together(work, case, editing.viewer)
    return Edited(after.facts.revision, code if newly_hidden else None)


async def hide_together(work: IntakeWork, case: Case, viewer: Viewer) -> None:
    """Cases that are said to be with the same household hide with it: else they would tell of it, and where it is.
    What was signed before it hid was not signed for this."""
    await end_unwitnessed(work, case)
    for merge in await work.merges.of([case.case_id]):
        other_id = merge.merged if merge.kept == case.case_id else merge.kept
        other = await work.cases.lock(other_id, viewer.worker) if merge.holds else None
        if other is None or other.confidential or other.facts.nobody:
            continue
        known = await work.vault.known(other)
        hidden = replace(known.household, survivor=True, lifted=False)
        await finish(work, Editing(other, viewer, known), hidden)


def changed_between(before: KnownHousehold, after: KnownHousehold) -> tuple[str, ...]:
    return changed_fields(
        before.household,
        after.household,
        {each.person_id: each.person for each in before.persons},
        {each.person_id: each.person for each in after.persons},
    )


def _next(
    household: Household, members: tuple[KnownPerson, ...], before: KnownHousehold, work: IntakeWork
) -> KnownHousehold:
    return KnownHousehold(household, members, facts_of(household, work.today, before.facts.revision + 1))


async def _changed_meanwhile(work: IntakeWork, case: Case, seen: int) -> Refusal:
    # What no worker changed became another by itself: an age, a plan that is over.
    fields = await work.changes.since(case.household_id, seen) or ["facts"]
    return conflict(
        "household-changed",
        "The household was changed meanwhile; read it again.",
        revision=str(case.facts.revision),
        changed=",".join(fields),
    )


async def _arrival_code(work: IntakeWork, editing: Editing, after: KnownHousehold) -> ArrivalCode | None:
    """A household that hides has a code; whoever may stay with it is assigned from the moment it hides."""
    case, hides = editing.case, after.facts.confidential
    if hides and not case.confidential and assigned_from_the_start(editing.viewer, hides):
        work.cases.assign(case.case_id, editing.viewer.worker, editing.viewer.worker)
    if case.arrival_code is not None or not hides:
        return case.arrival_code
    code = await work.cases.free_arrival_code(case.case_id)
    work.cases.set_arrival_code(case.case_id, code)
    return code


async def _hand_over_code(
    work: IntakeWork, case: Case, after: KnownHousehold, code: ArrivalCode | None
) -> None:
    """Only a snapshot hands the hub's code over for needs that were reported without one."""
    records = await work.needs.records(case.case_id)
    standing = tuple(each.need for each in records if each.open)
    work.tell(CaseSnapshot(case.case_id, after.facts, standing, code, closed=False))
