"""Record what somebody of a household allowed in writing."""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.intake.application.end_consent import CONSENT_ENDS, tell_consents
from services.intake.application.ports import IntakeWork
from services.intake.application.renew_consent import ask_in_time
from services.intake.application.whole_household import whole_household
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.clocks import begins
from services.intake.domain.consents import Circle, Consent, check_consent
from services.intake.domain.ids import CaseId, ConsentId
from services.intake.domain.outcomes import ReferralState
from services.intake.domain.refusal import refused

_LIVE = (ReferralState.PROPOSED, ReferralState.ACCEPTED)


@dataclass(frozen=True, slots=True)
class RecordConsent:
    asker: Asker
    case_id: CaseId
    consent: Consent


async def record_consent(work: IntakeWork, command: RecordConsent) -> ConsentId:
    """Kept with the version of the words that informed, and with its end, which comes by itself."""
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_be_assigned(must_act(found.case, found.viewer))
    case.must_be_open()
    consent = replace(command.consent, by_advocate=found.viewer.is_one_of("advocate"))
    text = await work.consents.text(consent.text_version, consent.text_language)
    check_consent(consent, await _circle(work, case), text, work.today, consent.by_advocate)
    await _check_referral(work, case, consent)
    standing = await work.consents.of_case(case)
    await work.consents.record(case, consent, found.viewer.worker)
    ends = begins(consent.until_date + timedelta(days=1), work.zone)
    work.clocks.arm(case.case_id, case.agency_id, CONSENT_ENDS, str(consent.consent_id), ends)
    ask_in_time(work, case, consent)
    work.cases.advance(case)
    await tell_consents(work, case, [*standing, consent])
    work.changed(case.case_id)
    return consent.consent_id


async def _circle(work: IntakeWork, case: Case) -> Circle:
    """A bar holds for who is barred, also in a household that they left with. Who was removed and entered again, or
    is entered once more in a case that is said to be with the same household, is nobody that could be told by an id."""
    members = {each.person_id: each.person for each in await work.vault.persons(case)}
    bars = await work.consents.bars(await whole_household(work, case.case_id), members)
    return Circle(members, bars.members, case.confidential, bars.others)


async def _check_referral(work: IntakeWork, case: Case, consent: Consent) -> None:
    """Only a referral that may still lead somewhere has a provider to be told."""
    if consent.referral_id is None:
        return
    for need in await work.needs.outcomes(case.case_id):
        for referral in need.referrals:
            if referral.referral_id == consent.referral_id and referral.state in _LIVE:
                return
    raise refused("referral-not-open", "The case has no open referral of that id.")
