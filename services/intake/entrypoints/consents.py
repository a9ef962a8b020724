"""ConsentService: what a household allows, what is told on the strength of it, and who read what."""

from datetime import date

from aid.intake.v1 import consents_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.chassis.ids import uuid7
from services.intake.application.bar_signer import BarSigner, bar_signer
from services.intake.application.disclose import Disclose, DisclosedPerson, disclose
from services.intake.application.end_consent import RevokeConsent, revoke_consent
from services.intake.application.list_consents import list_consents
from services.intake.application.list_reads import list_reads
from services.intake.application.ports import IntakeWork
from services.intake.application.record_consent import RecordConsent, record_consent
from services.intake.domain.access import CASEWORK
from services.intake.domain.consents import Consent, ConsentText, EndedBy, Evidence, Purpose, checked_text
from services.intake.domain.ids import ConsentId, PersonId, ReferralId, WorkerName
from services.intake.domain.refusal import conflict, invalid
from services.intake.entrypoints import requests, words
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.ConsentService"
RULES = {
    "PutConsentText": allow("operator"),
    "ListConsentTexts": allow(*CASEWORK, "operator"),
    "RecordConsent": allow(*CASEWORK),
    "RevokeConsent": allow(*CASEWORK),
    "ListConsents": allow(*CASEWORK),
    "BarSigner": allow(*CASEWORK),
    # Matching has checked that the place is the provider's.
    "Disclose": allow("service", subjects=("matching",)),
    "ListReads": allow(*CASEWORK),
}
ROUTES = (
    Route("POST", "/v1/consent-texts", "PutConsentText"),
    Route("GET", "/v1/consent-texts", "ListConsentTexts"),
    Route("POST", "/v1/cases/{case_id}/consents/{consent_id}:revoke", "RevokeConsent"),
    Route("POST", "/v1/cases/{case_id}/consents", "RecordConsent"),
    Route("GET", "/v1/cases/{case_id}/consents", "ListConsents"),
    Route("POST", "/v1/cases/{case_id}/persons/{person_id}:bar-signer", "BarSigner"),
    Route("POST", "/v1/disclosures", "Disclose"),
    Route("GET", "/v1/cases/{case_id}/reads", "ListReads"),
)
_PURPOSE = {purpose: messages.ConsentPurpose.Value(f"CONSENT_PURPOSE_{purpose.name}") for purpose in Purpose}
_EVIDENCE = {each: messages.ConsentEvidence.Value(f"CONSENT_EVIDENCE_{each.name}") for each in Evidence}


class ConsentRpc:
    """Reads a request, runs its use case, writes the answer."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def PutConsentText(
        self, request: messages.PutConsentTextRequest, call: Call
    ) -> messages.PutConsentTextResponse:
        said = request.text
        purpose = requests.word_in(words.reverse(_PURPOSE), said.purpose, "text.purpose")
        text = checked_text(ConsentText(said.version, said.language, purpose, said.body))

        async def act(work: IntakeWork) -> messages.PutConsentTextResponse:
            if await work.consents.publish(text) != text:
                raise conflict(
                    "version-taken", "This version has other words; words that were used never change."
                )
            return messages.PutConsentTextResponse()

        return await self._door.once(request, call, messages.PutConsentTextResponse, act)

    async def ListConsentTexts(
        self, request: messages.ListConsentTextsRequest, call: Call
    ) -> messages.ListConsentTextsResponse:
        async with self._door.within(call)() as work:
            texts = await work.consents.texts()
        return messages.ListConsentTextsResponse(
            texts=[
                messages.ConsentText(
                    version=each.version,
                    language=each.language,
                    purpose=_PURPOSE[each.purpose],
                    body=each.body,
                )
                for each in texts
            ]
        )

    async def RecordConsent(
        self, request: messages.RecordConsentRequest, call: Call
    ) -> messages.RecordConsentResponse:
        case_id = requests.case_id_in(request.case_id)

        async def act(work: IntakeWork) -> messages.RecordConsentResponse:
            consent = _consent_in(request, work.today)
            consent_id = await record_consent(work, RecordConsent(asker(call), case_id, consent))
            return messages.RecordConsentResponse(consent_id=str(consent_id))

        return await self._door.once(request, call, messages.RecordConsentResponse, act)

    async def RevokeConsent(
        self, request: messages.RevokeConsentRequest, call: Call
    ) -> messages.RevokeConsentResponse:
        command = RevokeConsent(
            asker(call),
            requests.case_id_in(request.case_id),
            ConsentId(requests.uuid_in(request.consent_id, "consent_id")),
        )

        async def act(work: IntakeWork) -> messages.RevokeConsentResponse:
            closed = await revoke_consent(work, command)
            return messages.RevokeConsentResponse(
                withdrawn_need_ids=map(str, closed.needs), closed_referral_ids=map(str, closed.referrals)
            )

        return await self._door.once(request, call, messages.RevokeConsentResponse, act)

    async def ListConsents(
        self, request: messages.ListConsentsRequest, call: Call
    ) -> messages.ListConsentsResponse:
        case_id = requests.case_id_in(request.case_id)
        async with self._door.within(call)() as work:
            consents, today = await list_consents(work, asker(call), case_id), work.today
        return messages.ListConsentsResponse(consents=[_view(each, today) for each in consents])

    async def BarSigner(self, request: messages.BarSignerRequest, call: Call) -> messages.BarSignerResponse:
        person_id = PersonId(requests.uuid_in(request.person_id, "person_id"))
        command = BarSigner(asker(call), requests.case_id_in(request.case_id), person_id, request.barred)

        async def act(work: IntakeWork) -> messages.BarSignerResponse:
            await bar_signer(work, command)
            return messages.BarSignerResponse()

        return await self._door.once(request, call, messages.BarSignerResponse, act)

    async def Disclose(self, request: messages.DiscloseRequest, call: Call) -> messages.DiscloseResponse:
        command = Disclose(
            requests.case_id_in(request.case_id),
            ReferralId(requests.uuid_in(request.referral_id, "referral_id")),
            WorkerName(request.reader),
            request.reader_agency,
        )
        if not command.reader:
            raise invalid("reader-missing", "Who reads is always said.", field="reader")

        async def read(work: IntakeWork) -> list[DisclosedPerson]:
            return await disclose(work, command)

        told = await self._door.within(call).run(read)
        return messages.DiscloseResponse(
            persons=[
                messages.DisclosedPerson(
                    given_name=each.given_name,
                    family_name=each.family_name,
                    age_band=words.AGE_BAND[each.age_band],
                )
                for each in told
            ],
        )

    async def ListReads(self, request: messages.ListReadsRequest, call: Call) -> messages.ListReadsResponse:
        case_id = requests.case_id_in(request.case_id)
        person = requests.optional_uuid(request.person_id, "person_id")
        after = requests.optional_uuid(request.after, "after")
        async with self._door.within(call)() as work:
            reads = await list_reads(
                work, asker(call), case_id, None if person is None else PersonId(person), after
            )
        answer = messages.ListReadsResponse()
        for each in reads:
            read = answer.reads.add(
                read_id=str(each.read_id),
                reader=each.reader,
                reader_agency=each.reader_agency,
                person_id="" if each.person_id is None else str(each.person_id),
                why=each.why,
                consent_id=each.consent,
            )
            read.at.FromDatetime(each.at)
        return answer


def _consent_in(request: messages.RecordConsentRequest, today: date) -> Consent:
    referral_id = requests.optional_uuid(request.referral_id, "referral_id")
    return Consent(
        consent_id=ConsentId(uuid7()),
        persons=tuple(PersonId(requests.uuid_in(each, "person_ids")) for each in request.person_ids),
        signer=PersonId(requests.uuid_in(request.signer_id, "signer_id")),
        purpose=requests.word_in(words.reverse(_PURPOSE), request.purpose, "purpose"),
        referral_id=None if referral_id is None else ReferralId(referral_id),
        text_version=request.text_version,
        text_language=request.text_language,
        evidence=requests.word_in(words.reverse(_EVIDENCE), request.evidence, "evidence"),
        note=request.evidence_note,
        given_on=requests.optional_date(request.given_on, "given_on") or today,
        until_date=requests.date_in(request.until_date, "until_date"),
    )


def _view(consent: Consent, today: date) -> messages.ConsentView:
    state = "valid" if consent.valid_on(today) else (consent.ended_by or EndedBy.EXPIRED).value
    return messages.ConsentView(
        consent_id=str(consent.consent_id),
        person_ids=map(str, consent.persons),
        signer_id=str(consent.signer),
        purpose=_PURPOSE[consent.purpose],
        referral_id="" if consent.referral_id is None else str(consent.referral_id),
        text_version=consent.text_version,
        text_language=consent.text_language,
        evidence=_EVIDENCE[consent.evidence],
        evidence_note=consent.note,
        given_on=consent.given_on.isoformat(),
        until_date=consent.until_date.isoformat(),
        state=state,
    )
