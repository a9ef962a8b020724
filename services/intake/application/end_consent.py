"""End a consent: revoked, over, or given by somebody who may not give it any more. What stood on it ends at once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from services.intake.application.ports import IntakeWork
from services.intake.application.renew_consent import ask_no_more
from services.intake.domain.access import must_act, must_be_assigned
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.clocks import Reminder
from services.intake.domain.consents import Consent, EndedBy, Purpose
from services.intake.domain.events import ConsentChanged, NeedWithdrawn
from services.intake.domain.ids import CaseId, ConsentId, NeedId, PersonId, ReferralId
from services.intake.domain.refusal import not_found

CONSENT_ENDS = "consent-ends"


@dataclass(frozen=True, slots=True)
class RevokeConsent:
    asker: Asker
    case_id: CaseId
    consent_id: ConsentId


@dataclass(frozen=True, slots=True)
class Closed:
    """What ended with consents."""

    needs: tuple[NeedId, ...] = ()
    referrals: tuple[ReferralId, ...] = ()


async def revoke_consent(work: IntakeWork, command: RevokeConsent) -> Closed:
    """Revoked at once, also on a closed case, and by whoever is there: nobody is told of any more. The search alone
    waits for somebody who is assigned, for its end takes a place away. Twice is once."""
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_act(found.case, found.viewer)
    consents = await work.consents.of_case(case)
    revoked = [each for each in consents if each.consent_id == command.consent_id]
    if not revoked:
        raise not_found()
    if revoked[0].purpose is Purpose.SEARCH:
        must_be_assigned(case)
    work.cases.advance(case)
    return await _end(work, case, consents, revoked, EndedBy.REVOKED)


async def consent_ends(work: IntakeWork, case: Case, reminder: Reminder) -> None:
    """Its last day is over."""
    consents = await work.consents.of_case(case)
    over = [each for each in consents if str(each.consent_id) == reminder.about]
    await _end(work, case, consents, over, EndedBy.EXPIRED)


async def end_signatures(work: IntakeWork, case: Case, gone: Collection[PersonId], *, present: bool) -> None:
    """Somebody left the household, or is barred and stays (`present`): what they signed for others ends, and what
    was signed for those who left."""
    who = frozenset(gone)
    consents = await work.consents.of_case(case)
    ended = [
        each
        for each in consents
        if (each.signer in who and each.for_others()) or (not present and not who.isdisjoint(each.persons))
    ]
    await _end(work, case, consents, ended, EndedBy.SIGNER_LEFT)


async def end_unwitnessed(work: IntakeWork, case: Case) -> None:
    """The household begins to hide: what nobody signed with that in mind ends, and what stood on it."""
    consents = await work.consents.of_case(case)
    ended = [each for each in consents if not each.outlives_hiding()]
    await _end(work, case, consents, ended, EndedBy.HIDING)


async def end_guesses(work: IntakeWork, case: Case) -> None:
    """Somebody is barred who may be any member of this household: what was signed for others and was not taken by an
    advocate ends. Also where nothing does the case is another one: a signature that is being recorded there is
    looked at again."""
    work.cases.advance(case)
    consents = await work.consents.of_case(case)
    ended = [each for each in consents if each.for_others() and not each.by_advocate]
    await _end(work, case, consents, ended, EndedBy.SIGNER_LEFT)


async def end_keyless(work: IntakeWork, case: Case) -> None:
    """After a restore: what stood on somebody who has been erased since stands on nobody."""
    keyless = await work.consents.keyless(case.case_id)
    consents = await work.consents.of_case(case)
    ended = [each for each in consents if each.consent_id in keyless]
    await _end(work, case, consents, ended, EndedBy.SIGNER_LEFT)


async def tell_consents(
    work: IntakeWork, case: Case, consents: Iterable[Consent], closed: Sequence[ReferralId] = ()
) -> None:
    """What is allowed now, by purpose; to whom and by whom stays here."""
    allowed = {each.purpose for each in consents if each.valid_on(work.today)}
    work.tell(ConsentChanged(case.case_id, tuple(sorted(allowed, key=_place)), tuple(closed)))


async def _end(
    work: IntakeWork, case: Case, consents: list[Consent], ending: list[Consent], by: EndedBy
) -> Closed:
    ending = [each for each in ending if each.ended_by is None]
    if not ending:
        return Closed()
    for each in ending:
        work.consents.end(each.consent_id, by)
        work.clocks.disarm(case.case_id, CONSENT_ENDS, str(each.consent_id))
        ask_no_more(work, case, each, by)
    ids = {each.consent_id for each in ending}
    now = [replace(each, ended_by=by) if each.consent_id in ids else each for each in consents]
    closed = await _close(work, case, ending, [each for each in now if each.valid_on(work.today)])
    await tell_consents(work, case, now, closed.referrals)
    work.tell(*(NeedWithdrawn(case.case_id, need_id) for need_id in closed.needs))
    work.changed(case.case_id)
    return closed


async def _close(work: IntakeWork, case: Case, ended: list[Consent], valid: list[Consent]) -> Closed:
    """What nothing allows any more: referrals whose provider was told names, and all open searches.

    Matching closes a referral unless the household lives there already; then only the telling has ended.
    """
    still = {(each.purpose, each.referral_id) for each in valid}
    lost = {(each.purpose, each.referral_id) for each in ended} - still
    referrals = tuple(each for purpose, each in lost if purpose is Purpose.SHARE_WITH_PROVIDER and each)
    if (Purpose.SEARCH, None) not in lost:
        return Closed(referrals=referrals)
    open_needs = [each.need.need_id for each in await work.needs.records(case.case_id) if each.open]
    for need_id in open_needs:
        work.needs.withdraw(case.case_id, need_id)
    # Written now: what derives from the household later in this work looks at what is wanted still.
    await work.cases.lock(case.case_id, case.opened_by)
    return Closed(tuple(open_needs), referrals)


def _place(purpose: Purpose) -> int:
    return list(Purpose).index(purpose)
