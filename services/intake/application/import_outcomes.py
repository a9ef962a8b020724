"""Tell what became of the needs that an import reported."""

from services.intake.application.ports import ImportedNeed, IntakeWork


async def import_outcomes(work: IntakeWork, source_id: str, after: str) -> list[ImportedNeed]:
    """The next of them behind that source key, in its order; all needs of a household or none. Empty at the
    end."""
    return await work.imports.outcomes(source_id, after)
