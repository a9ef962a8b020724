"""Bring a household that was imported before up to what a newer export says of it."""

from dataclasses import replace
from datetime import date

from services.chassis.ids import uuid7
from services.intake.application.ports import HouseholdSecrets, IntakeWork, KnownPerson
from services.intake.domain.cases import Case
from services.intake.domain.events import CaseClosed, HouseholdChanged, NeedReported, NeedWithdrawn
from services.intake.domain.household import Facts, Household, facts_of
from services.intake.domain.ids import ArrivalCode, NeedId, PersonId
from services.intake.domain.imports import ImportedHousehold, mark, what
from services.intake.domain.needs import need_of


async def reconcile_household(work: IntakeWork, case: Case, row: ImportedHousehold, as_of: date) -> bool:
    """True if anything was another than before. Only what others may know and is new is announced."""
    facts, persons_changed = await _household(work, case, row, as_of)
    code = await _arrival_code(work, case, facts)
    if facts.revision != case.facts.revision:
        work.tell(HouseholdChanged(case.case_id, facts))
    if row.closed and case.closed_at is None:
        work.cases.close(case)
        work.tell(CaseClosed(case.case_id))
        work.changed(case.case_id)
        return True
    today = max(as_of, work.today)
    needs_changed = not row.closed and await _needs(work, case, facts, code, row, today)
    changed = persons_changed or facts.revision != case.facts.revision or needs_changed
    if changed:
        work.cases.advance(case)
        work.changed(case.case_id)
    return changed


async def _household(work: IntakeWork, case: Case, row: ImportedHousehold, as_of: date) -> tuple[Facts, bool]:
    """The facts as they are now, and whether anything kept in the vault had to be written."""
    household = _still_confidential(row.household, case)
    known = await work.vault.persons(case)
    wanted = _matched(known, row)
    facts = facts_of(household, as_of, case.facts.revision)
    if facts.differ_from(case.facts):
        facts = facts_of(household, as_of, case.facts.revision + 1)
    said = HouseholdSecrets(
        household.survivor, household.fleeing, household.handoff_point, household.handoff_slot
    )
    kept = await work.vault.secrets(case)
    differs = wanted != known or said != kept
    if differs or facts.revision != case.facts.revision:
        await work.vault.change(case, household, wanted, facts)
    return facts, differs


def _still_confidential(household: Household, case: Case) -> Household:
    """Once confidential, always, until an advocate lifts it: an export that no longer says so does not."""
    if household.confidential or not case.confidential:
        return household
    return replace(household, survivor=True)


def _matched(known: list[KnownPerson], row: ImportedHousehold) -> list[KnownPerson]:
    """The persons of the row, under the ids they already have where the source names them the same."""
    ids = {each.source_key: each.person_id for each in known if each.source_key}
    keys = row.person_source_keys or ("",) * len(row.household.persons)
    return [
        KnownPerson(ids.get(key) or PersonId(uuid7()), person, key)
        for key, person in zip(keys, row.household.persons, strict=True)
    ]


async def _arrival_code(work: IntakeWork, case: Case, facts: Facts) -> ArrivalCode | None:
    if case.arrival_code is not None or not facts.confidential:
        return case.arrival_code
    code = await work.cases.free_arrival_code(case.case_id)
    work.cases.set_arrival_code(case.case_id, code)
    return code


async def _needs(
    work: IntakeWork, case: Case, facts: Facts, code: ArrivalCode | None, row: ImportedHousehold, today: date
) -> bool:
    """Report what is asked for anew, take back what is not asked for any more, leave alone what agencies
    added."""
    imported = [each for each in await work.needs.records(case.case_id) if each.import_mark is not None]
    open_needs = [each.need for each in imported if each.open]
    asked = {what(request) for request in row.needs}
    standing = {what(need) for need in open_needs}
    told_before = {each.import_mark for each in imported}
    gone = [need for need in open_needs if what(need) not in asked]
    # Asked for again after a pause, it is a need again.
    work.needs.retire([each.need.need_id for each in imported if what(each.need) not in asked])
    new = [each for each in row.needs if what(each) not in standing and mark(each) not in told_before]
    for need in gone:
        work.needs.withdraw(case.case_id, need.need_id)
        work.tell(NeedWithdrawn(case.case_id, need.need_id))
    for request in new:
        need = need_of(request, request.need_id or NeedId(uuid7()), today)
        work.needs.report(case, need, mark(request))
        work.tell(NeedReported(case.case_id, need, facts, code))
    return bool(gone or new)
