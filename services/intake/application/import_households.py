"""Take over many households at once, as long as they are new or say nothing new."""

from collections import Counter
from collections.abc import Sequence

from services.intake.application.import_household import (
    ImportedCase,
    ImportSource,
    create_case,
    digest_of,
)
from services.intake.application.imported_exit import comes_back
from services.intake.application.ports import Imported, IntakeWork
from services.intake.domain.ids import CaseId
from services.intake.domain.imports import ImportedHousehold, ImportOutcome
from services.intake.domain.refusal import Refusal

# None: it was imported before and says something else now, or is twice in the rows; it is taken over by itself.
Result = ImportedCase | Refusal | None


async def import_households(
    work: IntakeWork, source: ImportSource, rows: Sequence[ImportedHousehold]
) -> list[Result]:
    """One transaction for all: what is refused is refused before anything of it is written, and holds up
    nobody."""
    often = Counter(row.source_key for row in rows)
    known = await work.imports.lock_all(source.source_id, list(often))
    new = [row for row in rows if row.source_key not in known]
    # Before anything is written: a look in between would have to write what was promised until then.
    organisations = {row.agency_source_key for row in new} & source.agencies.keys()
    await work.agencies.all_imported(source.source_id, {key: source.agencies[key] for key in organisations})
    await work.one_places.look([row.household for row in new])
    results: list[Result] = []
    for row in rows:
        try:
            alone = often[row.source_key] > 1
            results.append(None if alone else await _one(work, source, row, known.get(row.source_key)))
        except Refusal as refusal:
            results.append(refusal)
    work.in_step()
    return await _with_needs(work, results)


async def _one(
    work: IntakeWork, source: ImportSource, row: ImportedHousehold, known: Imported | None
) -> ImportedCase | None:
    digest = digest_of(work, source, row)
    if known is None and comes_back(work, row):
        return None
    if known is None:
        return await create_case(work, source, row, digest)
    return ImportedCase(known.case_id, (), ImportOutcome.UNCHANGED) if known.digest == digest else None


async def _with_needs(work: IntakeWork, results: list[Result]) -> list[Result]:
    """What is unchanged has the needs that it had."""
    asked: list[CaseId] = [
        each.case_id
        for each in results
        if isinstance(each, ImportedCase) and each.outcome is ImportOutcome.UNCHANGED
    ]
    needs = await work.imports.needs_of(asked)
    return [
        ImportedCase(each.case_id, tuple(needs[each.case_id]), each.outcome)
        if isinstance(each, ImportedCase) and each.outcome is ImportOutcome.UNCHANGED
        else each
        for each in results
    ]
