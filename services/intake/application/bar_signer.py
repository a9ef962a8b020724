"""Say that a member of the household signs for nobody else."""

from dataclasses import dataclass

from services.intake.application.end_consent import end_guesses, end_signatures
from services.intake.application.ports import IntakeWork
from services.intake.application.whole_household import kept_case, whole_household
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, PersonId
from services.intake.domain.refusal import denied, not_found


@dataclass(frozen=True, slots=True)
class BarSigner:
    asker: Asker
    case_id: CaseId
    person_id: PersonId
    barred: bool


async def bar_signer(work: IntakeWork, command: BarSigner) -> None:
    """Any worker of the case may bar somebody, and what they signed for others ends; an advocate alone lifts it,
    and of a household in hiding one who is assigned to it. Also of somebody who was removed or erased since: their bar
    makes of every signature here one that an advocate takes."""
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_act(found.case, found.viewer)
    known = {each.person_id for each in await work.vault.persons(case)}
    if not command.barred:
        must_be_assigned(case)
        known.update(await work.consents.barred_in(case.case_id))
    if command.person_id not in known:
        raise not_found()
    work.cases.advance(case)
    if command.barred:
        work.consents.bar(case, command.person_id, found.viewer.worker)
        await end_signatures(work, case, [command.person_id], present=True)
        await _end_elsewhere(work, case)
    elif found.viewer.is_one_of("advocate"):
        work.consents.unbar(command.person_id)
    else:
        raise denied("advocate-needed", "Only an advocate lifts this.")


async def _end_elsewhere(work: IntakeWork, case: Case) -> None:
    """In the other cases of the household any member may be whoever is barred here."""
    kept = await kept_case(work, case.case_id)
    await work.cases.lock(kept, case.opened_by)  # before its parts are looked at: none joins them unseen
    for other_id in await whole_household(work, case.case_id):
        other = None if other_id == case.case_id else await work.cases.lock(other_id, case.opened_by)
        if other is not None:
            await end_guesses(work, other)
