"""Bring a household that was imported before up to what a newer export says of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.chassis.ids import uuid7
from services.intake.application.edit_household import changed_between, hide_together
from services.intake.application.household_changed import adults_part, household_changed
from services.intake.application.ports import IntakeWork, KnownHousehold, KnownPerson, NeedRecord
from services.intake.domain.agencies import Viewer
from services.intake.domain.cases import Case
from services.intake.domain.events import (
    CaseClosed,
    CaseSnapshot,
    HouseholdChanged,
    NeedReported,
    NeedWithdrawn,
)
from services.intake.domain.household import Facts, Person, facts_of
from services.intake.domain.ids import ArrivalCode, NeedId, PersonId, WorkerName
from services.intake.domain.imports import ImportedHousehold, mark, what
from services.intake.domain.needs import Need, need_of

NOBODY = Viewer(WorkerName(""), None, frozenset())


async def reconcile_household(work: IntakeWork, case: Case, row: ImportedHousehold, as_of: date) -> bool:
    """True if anything was another than before. Only what others may know and is new is announced."""
    before = await work.vault.known(case)
    after = _household(before, row, as_of)
    facts, vault_changed = after.facts, after != before
    if vault_changed:
        if left := _left(before, after):
            work.forgetting.forget(left)
        if adults_part(before, after, work.today):
            work.one_places.part(case.case_id)
        await work.vault.change(case, after)
        work.changes.record(case, facts.revision, changed_between(before, after), "")
    code = await _arrival_code(work, case, facts)
    if facts.differ_from(case.facts):
        work.tell(HouseholdChanged(case.case_id, facts))
    if facts.confidential and not case.confidential:
        await hide_together(work, case, NOBODY)
    if row.closed and case.closed_at is None:
        work.cases.close(case)
        work.allocations.forget(case.case_id)
        work.tell(CaseClosed(case.case_id))
        work.changed(case.case_id)
        return True
    news = _News((), (), ())
    if not row.closed:
        news = _news(await work.needs.records(case.case_id), row, max(as_of, work.today))
        _tell(work, case, facts, code, news)
    if code != case.arrival_code:
        # Only a snapshot hands the hub's code over for needs that were reported without one.
        work.tell(CaseSnapshot(case.case_id, facts, news.standing, code, closed=row.closed))
    changed = vault_changed or bool(news.gone or news.asked)
    if changed:
        work.cases.advance(case)
        work.changed(case.case_id)
    if vault_changed and not row.closed:
        await household_changed(work, replace(case, facts=facts, arrival_code=code), before, after)
    return changed


@dataclass(frozen=True, slots=True)
class _News:
    """What the export says anew of the needs: taken back, asked for (with its mark), and open after both."""

    gone: tuple[Need, ...]
    asked: tuple[tuple[Need, bytes], ...]
    standing: tuple[Need, ...]
    unasked: tuple[NeedId, ...] = ()


def _household(before: KnownHousehold, row: ImportedHousehold, as_of: date) -> KnownHousehold:
    """The household as the export has it. What no export says (how to reach it, where not to send it, that an
    advocate lifted its confidentiality), and what this one is silent of, stays as workers recorded it. The revision
    rises with whatever changed."""
    was, said, persons = before.household, row.household, _matched(before.persons, row)
    meets = said if said.handoff_point else was
    household = replace(
        said,
        persons=tuple(each.person for each in persons),
        wheelchair=said.wheelchair or was.wheelchair,
        pets=said.pets or was.pets,
        area=said.area or was.area,
        handoff_point=meets.handoff_point,
        handoff_slot=meets.handoff_slot,
        safe_contact=was.safe_contact,
        avoid=was.avoid,
        avoid_words=was.avoid_words,
    ).hides_anew(was)
    same = KnownHousehold(household, persons, before.facts)
    facts = facts_of(household, as_of, before.facts.revision)
    if same == before and not facts.differ_from(before.facts):
        return before
    return replace(same, facts=replace(facts, revision=before.facts.revision + 1))


def _matched(known: Sequence[KnownPerson], row: ImportedHousehold) -> tuple[KnownPerson, ...]:
    """The persons of the row, under the ids they already have where the source names them the same, and behind them
    those whom no export named: workers recorded them. A source that names nobody says all of them anew."""
    before = {each.source_key: each for each in known if each.source_key}
    keys = row.person_source_keys or ("",) * len(row.household.persons)
    told = tuple(
        _brought_up(before[key], said)
        if key in before
        else KnownPerson(PersonId(uuid7()), said, key, said.due_date)
        for key, said in zip(keys, row.household.persons, strict=True)
    )
    return told if "" in keys else (*told, *(each for each in known if not each.source_key))


def _brought_up(before: KnownPerson, said: Person) -> KnownPerson:
    """What the export is silent of stays. A due date that it only repeats does not undo what a worker said since."""
    was = before.person
    recorded_here = was.due_date != before.source_due
    stays = said.due_date == before.source_due or (said.due_date is None and recorded_here)
    person = replace(
        said,
        due_date=was.due_date if stays else said.due_date,
        note=said.note or was.note,
        contact=said.contact or was.contact,
        aliases=said.aliases or was.aliases,
    )
    return replace(before, person=person, source_due=said.due_date)


def _left(before: KnownHousehold, after: KnownHousehold) -> list[PersonId]:
    staying = {each.person_id for each in after.persons}
    return [each.person_id for each in before.persons if each.person_id not in staying]


async def _arrival_code(work: IntakeWork, case: Case, facts: Facts) -> ArrivalCode | None:
    if case.arrival_code is not None or not facts.confidential:
        return case.arrival_code
    code = await work.cases.free_arrival_code(case.case_id)
    work.cases.set_arrival_code(case.case_id, code)
    return code


def _news(records: list[NeedRecord], row: ImportedHousehold, today: date) -> _News:
    """New is what no open need asks for and no export said before; what agencies added is left alone."""
    imported = [each for each in records if each.import_mark is not None]
    wanted = {what(request) for request in row.needs}
    standing = {what(each.need) for each in imported if each.open}
    told_before = {each.import_mark for each in imported}
    gone = tuple(each.need for each in imported if each.open and what(each.need) not in wanted)
    asked = tuple(
        (need_of(request, request.need_id or NeedId(uuid7()), today), mark(request))
        for request in row.needs
        if what(request) not in standing and mark(request) not in told_before
    )
    left = [each.need for each in records if each.open and each.need not in gone]
    return _News(
        gone=gone,
        asked=asked,
        standing=(*left, *(need for need, _ in asked)),
        unasked=tuple(each.need.need_id for each in imported if what(each.need) not in wanted),
    )


def _tell(work: IntakeWork, case: Case, facts: Facts, code: ArrivalCode | None, news: _News) -> None:
    """Write the news down and announce them. What the export asks for again after a pause is a need again."""
    work.needs.retire(news.unasked)
    for need in news.gone:
        work.needs.withdraw(case.case_id, need.need_id)
        work.tell(NeedWithdrawn(case.case_id, need.need_id))
    for need, import_mark in news.asked:
        work.needs.report(case, need, import_mark)
        work.tell(NeedReported(case.case_id, need, facts, code))
