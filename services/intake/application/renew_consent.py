"""Ask in time whether the network may go on looking: with the consent to it all open needs of the household end."""

from services.intake.application.ports import IntakeWork
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder, begins
from services.intake.domain.consents import Consent, EndedBy, Purpose, renew_on
from services.intake.domain.followups import TaskKind

CONSENT_ENDS_SOON = "consent-ends-soon"


def ask_in_time(work: IntakeWork, case: Case, consent: Consent) -> None:
    """Promise to ask before this consent ends; whoever has just given it has answered what was asked."""
    if consent.purpose is not Purpose.SEARCH:
        return
    work.tasks.overtake(case.case_id, TaskKind.RENEW_CONSENT)
    at = begins(renew_on(consent), work.zone)
    work.clocks.arm(case.case_id, case.agency_id, CONSENT_ENDS_SOON, str(consent.consent_id), at)


async def consent_ends_soon_rings(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """A question for a worker, unless the search goes on under another consent. What nobody answers stays asked, also
    when the consent is over. Nothing ends with it for a closed case."""
    consents = await work.consents.of_case(case)
    standing = [each for each in consents if each.purpose is Purpose.SEARCH and each.valid_on(work.today)]
    ending = [each for each in standing if str(each.consent_id) == reminder.about]
    if case.closed_at is not None or not ending:
        return
    if any(each.until_date > ending[0].until_date for each in standing):
        return
    if await work.tasks.ask(case, TaskKind.RENEW_CONSENT, reminder.about, work.today):
        work.changed(case.case_id)


def ask_no_more(work: IntakeWork, case: Case, ended: Consent, by: EndedBy) -> None:
    """It has ended. Whoever took it back has answered."""
    if ended.purpose is not Purpose.SEARCH:
        return
    work.clocks.disarm(case.case_id, CONSENT_ENDS_SOON, str(ended.consent_id))
    if by is not EndedBy.EXPIRED:
        work.tasks.overtake(case.case_id, TaskKind.RENEW_CONSENT)
