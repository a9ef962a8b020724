"""Tell a provider whom to expect: names under a consent for this referral. Code and heads are matching's to tell."""

from dataclasses import dataclass, field
from datetime import date

from services.chassis import discretion
from services.intake.application.ports import IntakeWork, KnownPerson
from services.intake.domain.consents import Consent, Purpose
from services.intake.domain.household import AgeBand, age_band
from services.intake.domain.ids import CaseId, PersonId, ReferralId, WorkerName
from services.intake.domain.outcomes import ReferralState
from services.intake.domain.refusal import not_found, refused


@dataclass(frozen=True, slots=True)
class Disclose:
    """`reader` of `reader_agency` asks, as matching says, which has checked that the place is theirs."""

    case_id: CaseId
    referral_id: ReferralId
    reader: WorkerName
    reader_agency: str


@dataclass(frozen=True, slots=True)
class DisclosedPerson:
    given_name: str = field(repr=False)
    family_name: str = field(repr=False)
    age_band: AgeBand


async def disclose(work: IntakeWork, command: Disclose) -> list[DisclosedPerson]:
    """The fields of the purpose and no other, of those who are covered today; each reading is logged."""
    case = await work.cases.find(command.case_id, command.reader)
    if case is None or case.closed_at is not None:
        raise not_found()
    if case.confidential:
        discretion.hush()
    await _must_be_accepted(work, command)
    known = await work.vault.persons(case)
    covered: dict[PersonId, str] = {}
    for consent in await work.consents.of_case(case):
        of_this = (
            consent.purpose is Purpose.SHARE_WITH_PROVIDER and consent.referral_id == command.referral_id
        )
        if of_this and consent.valid_on(work.today):
            signed = {each.person_id for each in known if _may_stand_on(consent, each, work.today)}
            covered.update(dict.fromkeys(signed, str(consent.consent_id)))
    told = [each for each in known if each.person_id in covered]
    for each in told:
        work.access_log.read(
            command.reader, command.reader_agency, case.case_id, [each.person_id],
            Purpose.SHARE_WITH_PROVIDER.value, covered[each.person_id],
        )  # fmt: skip
    return [
        DisclosedPerson(each.person.given_name, each.person.family_name, age_band(each.person, work.today))
        for each in told
    ]


def _may_stand_on(consent: Consent, known: KnownPerson, today: date) -> bool:
    """Whoever has come of age since then signs for themselves."""
    grown_up = age_band(known.person, today) is AgeBand.ADULT
    return known.person_id in consent.persons and (known.person_id == consent.signer or not grown_up)


async def _must_be_accepted(work: IntakeWork, command: Disclose) -> None:
    for need in await work.needs.outcomes(command.case_id):
        for referral in need.referrals:
            if referral.referral_id == command.referral_id:
                if referral.state is ReferralState.ACCEPTED:
                    return
                raise refused("referral-not-accepted", "Whom to expect is told after both sides said yes.")
    raise not_found()
