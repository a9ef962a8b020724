"""After a restore: whoever was erased since the backup was made is erased again."""

from dataclasses import replace

from services.intake.application.end_consent import end_keyless
from services.intake.application.erase_person import erase_case
from services.intake.application.household_changed import household_changed
from services.intake.application.household_ports import Keyless
from services.intake.application.ports import IntakeWork, KnownHousehold
from services.intake.domain.cases import Case
from services.intake.domain.events import HouseholdChanged
from services.intake.domain.household import facts_of
from services.intake.domain.ids import PersonId, WorkerName

NOBODY = WorkerName("")


async def keyless(work: IntakeWork) -> list[Keyless]:
    """Whose rows came back without a key."""
    return await work.forgetting.keyless()


async def begin_anew(work: IntakeWork) -> None:
    """What searches read by starts from this cluster's own count again."""
    work.forgetting.begin_anew()


async def forget_again(work: IntakeWork, found: Keyless) -> None:
    """Their keys are gone, so nobody could read them; now nobody counts them either."""
    case = await work.cases.find(found.case_id, NOBODY)
    if case is None:
        raise LookupError("a household has lost its case")
    if found.readable and not found.persons:
        work.cases.advance(case)
        await end_keyless(work, case)
        return
    before = await work.vault.left(case) if found.readable else None
    if before is None or not before.persons:
        await erase_case(work, case, found.persons, None)
        return
    await _without(work, case, before, found.persons)


async def _without(
    work: IntakeWork, case: Case, before: KnownHousehold, erased: tuple[PersonId, ...]
) -> None:
    """Of `before` the vault could read only those who are left; its facts still count the others."""
    facts = facts_of(before.household, work.today, before.facts.revision + 1)
    after = replace(before, facts=facts)
    work.cases.advance(case)
    work.forgetting.forget(erased)
    await work.vault.change(case, after)
    work.changes.record(case, facts.revision, [f"persons/{each}" for each in erased], NOBODY)
    work.tell(HouseholdChanged(case.case_id, facts))
    work.changed(case.case_id)
    await end_keyless(work, case)
    if case.closed_at is None:
        await household_changed(work, replace(case, facts=facts), before, after)
