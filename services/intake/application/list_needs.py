"""Show the needs of a case, each with where it comes from."""

from dataclasses import dataclass
from datetime import date

from services.intake.application.derive_needs import log_read, whole_case
from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId
from services.intake.domain.norms import Overrule
from services.intake.domain.outcomes import NeedOutcome


@dataclass(frozen=True, slots=True)
class NeedLine:
    """`overrule` is the word that a derived need follows in place of its norm."""

    outcome: NeedOutcome
    overrule: Overrule | None
    handed_over: int


@dataclass(frozen=True, slots=True)
class CaseNeeds:
    """`since` is None while nothing is derived."""

    lines: tuple[NeedLine, ...]
    overrules: tuple[Overrule, ...]
    since: date | None
    horizon_days: int


async def list_needs(work: IntakeWork, asker: Asker, case_id: CaseId) -> CaseNeeds:
    """Every need, and every word against a norm with its reason. That the reasons were read is logged."""
    case, viewer = whole_case(await work.cases.approach(case_id, asker))
    words = await work.norms.overrules(case)
    if words:
        log_read(work, case, viewer, [], "ListNeeds")
    received = dict(await work.norms.handed_over(case_id))
    followed = await work.norms.followed(case_id)
    return CaseNeeds(
        lines=tuple(
            NeedLine(each, _word_on(each, words), received.get(each.need.need_id, 0))
            for each in await work.needs.outcomes(case_id)
        ),
        overrules=tuple(words),
        since=None if followed is None else followed.plan.since,
        horizon_days=0 if followed is None else followed.plan.horizon_days,
    )


def _word_on(outcome: NeedOutcome, words: list[Overrule]) -> Overrule | None:
    """The word about its item before the one about the whole norm."""
    need = outcome.need
    mine = [word for word in words if word.norm == need.norm and word.item_id in (need.item_id, "")]
    return max(mine, key=lambda word: bool(word.item_id), default=None)
