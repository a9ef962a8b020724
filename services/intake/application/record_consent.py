"""Record what somebody of a household allowed in writing."""

from dataclasses import dataclass
from datetime import timedelta

from services.intake.application.end_consent import CONSENT_ENDS, tell_consents
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import must_act
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
    case = must_act(found.case, found.viewer)
    case.must_be_open()
    consent = command.consent
    text = await work.consents.text(consent.text_version, consent.text_language)
    check_consent(consent, await _circle(work, case), text, work.today, found.viewer.is_one_of("advocate"))
    await _check_referral(work, case, consent)
    standing = await work.consents.of_case(case)
    await work.consents.record(case, consent, found.viewer.worker)
    ends = begins(consent.until_date + timedelta(days=1), work.zone)
    work.clocks.arm(case.case_id, case.agency_id, CONSENT_ENDS, str(consent.consent_id), ends)
    work.cases.advance(case)
    await tell_consents(work, case, [*standing, consent])
    work.changed(case.case_id)
    return consent.consent_id


async def _circle(work: IntakeWork, case: Case) -> Circle:
    known = await work.vault.persons(case)
    return Circle(
        members={each.person_id: each.person for each in known},
        barred=await work.consents.barred(case.case_id),
        hiding=case.confidential,
    )


async def _check_referral(work: IntakeWork, case: Case, consent: Consent) -> None:
    """Only a referral that may still lead somewhere has a provider to be told."""
    if consent.referral_id is None:
        return
    for need in await work.needs.outcomes(case.case_id):
        for referral in need.referrals:
            if referral.referral_id == consent.referral_id and referral.state in _LIVE:
                return
    raise refused("referral-not-open", "The case has no open referral of that id.")
