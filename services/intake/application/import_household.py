"""Take over one household of another system's export, as a whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

from services.chassis.ids import uuid7
from services.intake.application.household_changed import household_changed, known_persons
from services.intake.application.imported_exit import (
    comes_back,
    count_from_home,
    follow_exit,
    kept_open,
    news_of_exit,
    stays_open,
)
from services.intake.application.open_case import needs_of
from services.intake.application.ports import Imported, IntakeWork, KnownHousehold, NewCase
from services.intake.application.reconcile_household import reconcile_household
from services.intake.domain.cases import Case
from services.intake.domain.events import CaseClosed, CaseOpened, NeedReported
from services.intake.domain.household import checked, facts_of
from services.intake.domain.ids import AgencyId, CaseId, HouseholdId, NeedId, WorkerName
from services.intake.domain.imports import ImportedHousehold, ImportOutcome, checked_import, last_exit, mark
from services.intake.domain.refusal import invalid, refused


@dataclass(frozen=True, slots=True)
class ImportSource:
    """One export: which system, as of which day, its organisations by key, and who imports it."""

    source_id: str
    as_of: date
    agencies: Mapping[str, str]
    imported_by: WorkerName


@dataclass(frozen=True, slots=True)
class ImportedCase:
    case_id: CaseId
    need_ids: tuple[NeedId, ...]
    outcome: ImportOutcome


async def import_household(work: IntakeWork, source: ImportSource, row: ImportedHousehold) -> ImportedCase:
    """Idempotent by (source, key): the same again changes nothing, something new changes just that.

    A household whose case was closed and that the export shows open again begins a new case.
    """
    digest = digest_of(work, source, row)
    known = await work.imports.lock(source.source_id, row.source_key)
    if known is None:
        return await create_case(work, source, row, digest)
    case = await work.cases.lock(known.case_id, source.imported_by)
    if case is None:
        raise LookupError("an imported household has lost its case")
    if case.facts.nobody:
        raise refused("household-erased", "The household was erased here; an export does not bring it back.")
    row = await _without_gone(work, case, row)
    if known.digest == digest:
        return ImportedCase(case.case_id, await _imported_needs(work, case.case_id), ImportOutcome.UNCHANGED)
    if case.closed_at is not None and not row.closed:
        returned = replace(row, household=row.household.hiding_since(case.confidential))
        created = await create_case(work, source, returned, digest)
        work.imports.stay_away_too(case.case_id, created.case_id)
        return created
    news = await news_of_exit(work, case.case_id, row)
    as_it_is = kept_open(case, row) if stays_open(work, case, row, news) else row
    changed = await reconcile_household(work, case, as_it_is, source.as_of)
    if news is not None:
        await follow_exit(work, case.case_id, news, source.imported_by)
    work.history.replace(case.case_id, case.agency_id, row.history, source.imported_by)
    remembered = Imported(case.household_id, case.case_id, digest)
    work.imports.remember(source.source_id, row.source_key, remembered)
    outcome = ImportOutcome.CHANGED if changed or news is not None else ImportOutcome.UNCHANGED
    return ImportedCase(case.case_id, await _imported_needs(work, case.case_id), outcome)


async def _without_gone(work: IntakeWork, case: Case, row: ImportedHousehold) -> ImportedHousehold:
    """The row without persons who were erased here, or whom workers know to have left the household."""
    barred = await work.forgetting.barred(case, row.person_source_keys)
    barred |= await work.imports.staying_away(case, row.person_source_keys)
    if not barred:
        return row
    together = zip(row.person_source_keys, row.household.persons, strict=True)
    left = [(key, person) for key, person in together if key not in barred]
    if not left:
        raise refused("persons-erased", "Everybody of the household was erased here, or left it.")
    household = replace(row.household, persons=tuple(person for _, person in left))
    return replace(row, household=household, person_source_keys=tuple(key for key, _ in left))


def digest_of(work: IntakeWork, source: ImportSource, row: ImportedHousehold) -> bytes:
    """Tells whether the same was said before. Raises Refusal for a row that cannot be taken over."""
    checked_import(row)
    checked(row.household, source.as_of)
    return work.imports.digest(source.as_of.isoformat().encode() + row.content)


async def _imported_needs(work: IntakeWork, case_id: CaseId) -> tuple[NeedId, ...]:
    records = await work.needs.records(case_id)
    return tuple(each.need.need_id for each in records if each.import_mark is not None)


async def create_case(
    work: IntakeWork, source: ImportSource, row: ImportedHousehold, digest: bytes
) -> ImportedCase:
    """A new case. Facts are those of the export's day; needs are looked for from today, nobody sleeps
    earlier."""
    case_id, household_id = CaseId(uuid7()), HouseholdId(uuid7())
    facts = facts_of(row.household, source.as_of, revision=1)
    code = await work.cases.free_arrival_code(case_id) if facts.confidential else None
    back = comes_back(work, row)
    closed = row.closed and not back
    needs = () if row.closed else needs_of(row.needs, max(source.as_of, work.today))
    opened_at = datetime.combine(row.opened_on, time(), UTC)
    new = NewCase(
        case_id=case_id,
        household_id=household_id,
        agency_id=await _agency(work, source, row),
        opened_by=source.imported_by,
        opened_at=opened_at,
        known=KnownHousehold(row.household, known_persons(row.household, row.person_source_keys), facts),
        arrival_code=code,
        needs=needs,
        import_marks=tuple(mark(request) for request in row.needs[: len(needs)]),
        assigned=False,
        closed_at=work.now if closed else None,
    )
    await work.cases.open(new)
    work.history.keep(case_id, new.agency_id, row.history, source.imported_by)
    work.imports.remember(source.source_id, row.source_key, Imported(household_id, case_id, digest))
    work.tell(CaseOpened(case_id, facts), occurred_at=opened_at)
    work.tell(*(NeedReported(case_id, need, facts, code) for need in needs))
    case = new.as_case(work.now)
    if closed:
        work.tell(CaseClosed(case_id))
        count_from_home(work, case, row)
    else:
        await household_changed(work, case, None, new.known)
    if back and (left := last_exit(row)) is not None:
        await follow_exit(work, case_id, left, source.imported_by)
    return ImportedCase(case_id, tuple(need.need_id for need in needs), ImportOutcome.CREATED)


async def _agency(work: IntakeWork, source: ImportSource, row: ImportedHousehold) -> AgencyId:
    name = source.agencies.get(row.agency_source_key)
    if name is None:
        raise invalid("agency-not-in-export", "The household's organisation is not part of the request.")
    return await work.agencies.imported(source.source_id, row.agency_source_key, name)
