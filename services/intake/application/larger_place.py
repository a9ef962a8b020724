"""A household has grown out of the place it lives in: a larger one is looked for, and it stays until there is one."""

from services.chassis.ids import uuid7
from services.intake.application.follow_stays import case_of
from services.intake.application.keep_stays import report, search_for
from services.intake.application.ports import IntakeWork
from services.intake.domain.consents import wants_no_search
from services.intake.domain.ids import CaseId, NeedId, ReferralId
from services.intake.domain.needs import need_of
from services.intake.domain.stays import larger_place


async def place_outgrown(work: IntakeWork, case_id: CaseId, referral_id: ReferralId) -> None:
    """Begin the search, by matching's word, unless a place is looked for already: told twice it is one search.

    Nothing is begun for a closed case, for a stay that is over, or against the household's will.
    """
    case = await case_of(work, case_id)
    stays = await work.stays.of_case(case_id)
    stay = next((each for each in stays if each.referral_id == referral_id and not each.ended), None)
    wanted = None if stay is None else larger_place(stay, work.today)
    if wanted is None or case.closed_at is not None:
        return
    if await search_for(work, case, wanted.from_date or work.today) is not None:
        return
    if wants_no_search(await work.consents.of_case(case), work.today):
        return
    report(work, case, need_of(wanted, NeedId(uuid7()), work.today))
    work.cases.advance(case)
    work.changed(case_id)
