"""A worker knows better than a norm: another quantity, or none, until somebody takes the word back."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.intake.application.derive_needs import Said, bring_in_step, whole_case
from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId
from services.intake.domain.norms import Overrule, check_word, checked_overrule
from services.intake.domain.refusal import not_found


@dataclass(frozen=True, slots=True)
class OverruleNeed:
    """`quantity` 0: nothing is needed."""

    asker: Asker
    case_id: CaseId
    norm: str
    item_id: str
    quantity: int
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiftOverrule:
    asker: Asker
    case_id: CaseId
    norm: str
    item_id: str


async def overrule_need(work: IntakeWork, command: OverruleNeed) -> Said:
    """The word holds from now on, whatever becomes of the household; also before anything is derived."""
    case, viewer = whole_case(await work.cases.approach(command.case_id, command.asker))
    case.must_be_open()
    word = checked_overrule(
        Overrule(command.norm, command.item_id, command.quantity, command.reason, viewer.worker, work.now)
    )
    others = await _others(work, case, word.norm, word.item_id)
    work.cases.advance(case)
    await work.norms.overrule(case, word)
    work.changed(case.case_id)
    return await _in_step(work, case, [*others, word])


async def lift_overrule(work: IntakeWork, command: LiftOverrule) -> Said:
    """The norm holds again. A word that was never said is not there."""
    case, _ = whole_case(await work.cases.approach(command.case_id, command.asker))
    case.must_be_open()
    check_word(command.norm, command.item_id)
    said_before = await work.norms.overrules(case)
    others = [word for word in said_before if (word.norm, word.item_id) != (command.norm, command.item_id)]
    if len(others) == len(said_before):
        raise not_found()
    work.cases.advance(case)
    work.norms.lift(case.case_id, command.norm, command.item_id)
    work.changed(case.case_id)
    return await _in_step(work, case, others)


async def _others(work: IntakeWork, case: Case, norm: str, item_id: str) -> list[Overrule]:
    said = await work.norms.overrules(case)
    return [word for word in said if (word.norm, word.item_id) != (norm, item_id)]


async def _in_step(work: IntakeWork, case: Case, overrules: Sequence[Overrule]) -> Said:
    followed = await work.norms.followed(case.case_id)
    if followed is None:
        return Said()
    known = await work.vault.persons(case)
    return await bring_in_step(work, case, [each.person for each in known], followed, overrules)
