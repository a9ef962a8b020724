"""Consents on a real database: what they allow, how they end, what ends with them, and who read what."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aid.intake.v1 import consents_pb2 as messages
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as intake_messages
from aid.matching.v1 import events_pb2 as matching

from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.chassis.timers import Timers
from services.intake.domain.access import REGION
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.deadlines import deadlines
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    LOGISTICS,
    MANAGER,
    NOON,
    OFFICER,
    OPERATOR,
    OUTREACH,
    Intake,
    goods,
    household,
    lodging,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

MATCHING = Principal("matching", "", frozenset({"service"}))
TODAY = NOON.date()
PURPOSES = {
    "share-1": messages.CONSENT_PURPOSE_SHARE_WITH_PROVIDER,
    "follow-1": messages.CONSENT_PURPOSE_FOLLOW_UP,
    "search-1": messages.CONSENT_PURPOSE_SEARCH,
}


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        await publish_words(opened)
        yield opened


async def publish_words(intake: Intake) -> None:
    """What households are informed with."""
    for version, purpose in PURPOSES.items():
        text = messages.ConsentText(version=version, language="en", purpose=purpose, body="In plain words.")
        await intake.ask("PutConsentText", messages.PutConsentTextRequest(text=text), OPERATOR)


class Family:
    """A case with a mother and her toddler, a place that both sides want, and what happens to it."""

    def __init__(self, intake: Intake, opened: intake_messages.OpenCaseResponse, who: Principal) -> None:
        self.intake, self.who = intake, who
        self.case_id = opened.case_id
        self.need_id = opened.need_ids[0]
        self.referral_id = new_id()
        self.mother = self.toddler = ""

    @classmethod
    async def met(cls, intake: Intake, who: Principal = OUTREACH, **changes: Any) -> "Family":
        request = open_request(lodging(), goods(), household=household(**changes))
        family = cls(intake, await intake.ask("OpenCase", request, who), who)
        seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=family.case_id), who)
        family.mother, family.toddler = (each.person_id for each in seen.household.persons)
        proposed = matching.ReferralProposed(
            case_id=family.case_id, referral_id=family.referral_id, need_id=family.need_id,
            place_handle=new_id(), contact="+1-555-0100", from_date=f"{TODAY}", nights=3,
        )  # fmt: skip
        proposed.expires_at.FromDatetime(NOON + timedelta(hours=2))
        await intake.hear(proposed)
        return family

    async def accepted(self) -> None:
        ids = {"case_id": self.case_id, "referral_id": self.referral_id, "need_id": self.need_id}
        await self.intake.hear(matching.ReferralAccepted(**ids))

    def asked(self, **changes: Any) -> messages.RecordConsentRequest:
        fields: dict[str, Any] = {
            "case_id": self.case_id,
            "person_ids": [self.mother, self.toddler],
            "signer_id": self.mother,
            "purpose": messages.CONSENT_PURPOSE_SHARE_WITH_PROVIDER,
            "referral_id": self.referral_id,
            "text_version": "share-1",
            "text_language": "en",
            "evidence": messages.CONSENT_EVIDENCE_PAPER,
            "evidence_note": "signed sheet in folder 12",
            "until_date": f"{TODAY + timedelta(days=30)}",
        }
        return messages.RecordConsentRequest(**(fields | changes))

    async def consents(self, **changes: Any) -> str:
        answer = await self.intake.ask("RecordConsent", self.asked(**changes), self.who)
        return str(answer.consent_id)

    async def revokes(self, consent_id: str) -> messages.RevokeConsentResponse:
        request = messages.RevokeConsentRequest(case_id=self.case_id, consent_id=consent_id)
        answer: messages.RevokeConsentResponse = await self.intake.ask("RevokeConsent", request, self.who)
        return answer

    async def listed(self) -> list[messages.ConsentView]:
        request = messages.ListConsentsRequest(case_id=self.case_id)
        return list((await self.intake.ask("ListConsents", request, self.who)).consents)

    async def disclosed(self, reader: str = "shelter-desk") -> messages.DiscloseResponse:
        request = messages.DiscloseRequest(
            case_id=self.case_id, referral_id=self.referral_id, reader=reader, reader_agency="agency-shelter"
        )
        answer: messages.DiscloseResponse = await self.intake.ask("Disclose", request, MATCHING)
        return answer

    async def said(self) -> list[events.ConsentChanged]:
        announced = await self.intake.announced(self.case_id)
        return [each for each in announced if isinstance(each, events.ConsentChanged)]


async def test_names_are_told_after_acceptance_under_a_consent_and_each_reading_is_logged(
    intake: Intake,
) -> None:
    family = await Family.met(intake)
    with pytest.raises(Refusal, match="both sides"):
        await family.disclosed()
    await family.accepted()
    bare = await family.disclosed()
    assert list(bare.persons) == []

    consent_id = await family.consents()
    told = await family.disclosed()
    assert [(each.given_name, each.family_name, each.age_band) for each in told.persons] == [
        ("Mara", "Quill", intake_messages.AGE_BAND_ADULT),
        ("Ivo", "Quill", intake_messages.AGE_BAND_INFANT),
    ]
    assert {field.name for field, _ in told.persons[0].ListFields()} == {
        "given_name", "family_name", "age_band",
    }  # fmt: skip
    reads = (
        await intake.ask("ListReads", messages.ListReadsRequest(case_id=family.case_id), COLLEAGUE)
    ).reads
    by_provider = [each for each in reads if each.reader == "shelter-desk"]
    assert {(each.person_id, each.reader_agency, each.why, each.consent_id) for each in by_provider} == {
        (person, "agency-shelter", "share-with-provider", consent_id)
        for person in (family.mother, family.toddler)
    }
    assert [each.at.ToDatetime(NOON.tzinfo) for each in by_provider] == [NOON, NOON]


async def test_a_consent_for_one_is_no_consent_for_the_other(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    await family.consents(person_ids=[family.mother])
    assert [each.given_name for each in (await family.disclosed()).persons] == ["Mara"]


async def test_who_has_come_of_age_is_not_told_of_by_a_parent_s_signature(intake: Intake) -> None:
    """Ivo is eighteen tomorrow."""
    born = TODAY.replace(year=TODAY.year - 18) + timedelta(days=1)
    mother, _ = household().persons
    ivo = intake_messages.Person(given_name="Ivo", birth_date=f"{born}")
    family = await Family.met(intake, persons=[mother, ivo])
    await family.accepted()
    await family.consents()
    assert [each.given_name for each in (await family.disclosed()).persons] == ["Mara", "Ivo"]
    intake.clock.advance(timedelta(days=1))
    assert [each.given_name for each in (await family.disclosed()).persons] == ["Mara"]
    await family.consents(person_ids=[family.toddler], signer_id=family.toddler)
    assert [each.given_name for each in (await family.disclosed()).persons] == ["Mara", "Ivo"]


async def test_revoking_ends_the_telling_and_closes_the_referral_at_once(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    consent_id = await family.consents()
    closed = await family.revokes(consent_id)
    assert list(closed.closed_referral_ids) == [family.referral_id]
    assert not (await family.disclosed()).persons
    assert [each.state for each in await family.listed()] == ["revoked"]
    assert [(list(each.allowed), list(each.closed_referral_ids)) for each in await family.said()] == [
        (["share-with-provider"], []),
        ([], [family.referral_id]),
    ]
    again = await family.revokes(consent_id)
    assert not again.closed_referral_ids
    assert len(await family.said()) == 2


async def test_while_another_consent_for_the_same_provider_stands_the_referral_stands(intake: Intake) -> None:
    family = await Family.met(intake)
    one, _ = (
        await family.consents(person_ids=[family.toddler]),
        await family.consents(person_ids=[family.mother]),
    )
    assert not (await family.revokes(one)).closed_referral_ids


async def test_ending_the_search_takes_back_every_open_need(intake: Intake) -> None:
    family = await Family.met(intake)
    consent_id = await family.consents(
        purpose=messages.CONSENT_PURPOSE_SEARCH, referral_id="", text_version="search-1"
    )
    closed = await family.revokes(consent_id)
    assert len(closed.withdrawn_need_ids) == 2
    view = await intake.case(family.case_id, OUTREACH)
    assert {each.state for each in view.needs} == {"withdrawn"}
    withdrawn = [
        each.need_id
        for each in await intake.announced(family.case_id)
        if isinstance(each, events.NeedWithdrawn)
    ]
    assert sorted(withdrawn) == sorted(closed.withdrawn_need_ids)


async def test_a_consent_ends_by_itself_once_and_what_it_allowed_with_it(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    await family.consents(until_date=f"{TODAY + timedelta(days=2)}")
    intake.clock.advance(timedelta(days=3, hours=-13))  # a minute before the last day is over
    await keep_promises(intake)
    assert [each.state for each in await family.listed()] == ["valid"]
    intake.clock.advance(timedelta(hours=1))
    assert not (await family.disclosed()).persons  # also before any timer has noticed
    await keep_promises(intake)
    await keep_promises(intake)
    assert [each.state for each in await family.listed()] == ["expired"]
    assert [list(each.allowed) for each in await family.said()] == [["share-with-provider"], []]


async def test_who_is_barred_signs_for_no_child_and_what_they_signed_has_ended(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.consents(person_ids=[family.toddler])
    own = await family.consents(person_ids=[family.mother])
    bar = messages.BarSignerRequest(case_id=family.case_id, person_id=family.mother, barred=True)
    await intake.ask("BarSigner", bar, OUTREACH)
    assert {each.consent_id: each.state for each in await family.listed()}[own] == "valid"
    assert sorted(each.state for each in await family.listed()) == ["signer-left", "valid"]
    with pytest.raises(Refusal) as refused:
        await family.consents(person_ids=[family.toddler])
    assert refused.value.reason == "signer-barred"
    lift = messages.BarSignerRequest(case_id=family.case_id, person_id=family.mother)
    with pytest.raises(Refusal) as refused:
        await intake.ask("BarSigner", lift, OUTREACH)
    assert refused.value.reason == "advocate-needed"


async def test_consents_of_a_household_in_hiding_are_for_its_own_workers(intake: Intake) -> None:
    family = await Family.met(intake, ADVOCATE, fleeing=True)
    consent_id = await family.consents()
    assert [each.consent_id for each in await family.listed()] == [consent_id]
    for who in (COLLEAGUE, MANAGER, OFFICER):
        for method, request in (
            ("ListConsents", messages.ListConsentsRequest(case_id=family.case_id)),
            ("ListReads", messages.ListReadsRequest(case_id=family.case_id)),
            ("RecordConsent", family.asked()),
            ("RevokeConsent", messages.RevokeConsentRequest(case_id=family.case_id, consent_id=consent_id)),
            ("BarSigner", messages.BarSignerRequest(case_id=family.case_id, person_id=family.mother)),
        ):
            with pytest.raises(Refusal) as refused:
                await intake.ask(method, request, who)
            assert refused.value.reason == "not-found", (who.subject, method)


async def test_only_matching_is_told_whom_a_provider_may_expect(intake: Intake) -> None:
    family = await Family.met(intake)
    request = messages.DiscloseRequest(case_id=family.case_id, referral_id=family.referral_id, reader="x")
    for who in (OUTREACH, LOGISTICS, OPERATOR):
        with pytest.raises(AidError):
            await intake.ask("Disclose", request, who)


async def test_a_referral_of_another_case_is_none_of_this_one(intake: Intake) -> None:
    family, other = await Family.met(intake), await Family.met(intake)
    for changes in ({"referral_id": other.referral_id}, {"referral_id": new_id()}):
        with pytest.raises(Refusal) as refused:
            await family.consents(**changes)
        assert refused.value.reason == "referral-not-open"
    await other.accepted()
    other.case_id = family.case_id
    with pytest.raises(Refusal) as refused:
        await other.disclosed()
    assert refused.value.reason == "not-found"


async def test_words_that_were_published_never_change(intake: Intake) -> None:
    text = messages.ConsentText(
        version="share-1", language="en", purpose=PURPOSES["share-1"], body="In plain words."
    )
    await intake.ask("PutConsentText", messages.PutConsentTextRequest(text=text), OPERATOR)
    text.body = "In other words."
    with pytest.raises(Refusal) as refused:
        await intake.ask("PutConsentText", messages.PutConsentTextRequest(text=text), OPERATOR)
    assert refused.value.reason == "version-taken"
    answer = await intake.ask("ListConsentTexts", messages.ListConsentTextsRequest(), OUTREACH)
    assert sorted(each.version for each in answer.texts) == sorted(PURPOSES)
    assert {each.body for each in answer.texts} == {"In plain words."}


async def test_where_the_evidence_lies_is_in_no_column_in_the_clear(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.consents(evidence_note="under the Zinnwald oak")
    assert [each.evidence_note for each in await family.listed()] == ["under the Zinnwald oak"]
    async with intake.application.works.within(REGION)() as work:
        rows = await work.connection.fetch("SELECT consent::text AS all FROM consent")
    assert "Zinnwald" not in rows[0]["all"]
    assert b"Zinnwald".hex() not in rows[0]["all"]


async def test_the_log_of_reads_can_be_added_to_and_nothing_else(intake: Intake) -> None:
    family = await Family.met(intake)
    await intake.case(family.case_id, OUTREACH)
    for statement in (
        "UPDATE access_log SET reader = 'nobody'",
        "DELETE FROM access_log",
        "TRUNCATE access_log",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with intake.application.works.within(REGION)() as work:
                await work.connection.execute(statement)


async def test_reads_are_listed_a_page_at_a_time(intake: Intake) -> None:
    family = await Family.met(intake)
    for _ in range(120):
        await intake.case(family.case_id, OUTREACH)
    seen: list[str] = []
    after = ""
    while page := (
        await intake.ask(
            "ListReads",
            messages.ListReadsRequest(case_id=family.case_id, person_id=family.mother, after=after),
            OUTREACH,
        )
    ).reads:
        seen += [each.read_id for each in page]
        after = page[-1].read_id
    assert len(seen) == len(set(seen)) >= 121
    rows = await intake.database.pool.fetch("SELECT read_id::text FROM access_log ORDER BY access_id DESC")
    newest_first = [row["read_id"] for row in rows if row["read_id"] in seen]
    assert seen == newest_first


async def keep_promises(intake: Intake) -> None:
    application = intake.application
    timers = Timers(intake.database, intake.clock, application.works, deadlines(), metrics=intake.metrics)
    while await timers.keep():
        pass
