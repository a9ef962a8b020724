"""Who has ended the search is looked for by nobody but a worker whom they ask: no clock and no norm begins it anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import needs_pb2 as needs
from aid.intake.v1 import stays_pb2 as stays

from services.intake.domain.refusal import Refusal
from tests.support.clocks import day, days_pass, moves_in, opened_case, told
from tests.support.intake import OPERATOR, OUTREACH, Intake, lodging, opened_intake
from tests.support.stack import RunningStack

OVER = ("withdrawn", "met")
SEARCH = consents.CONSENT_PURPOSE_SEARCH


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        text = consents.ConsentText(version="search-1", language="en", purpose=SEARCH, body="May we look?")
        await opened.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)
        yield opened


async def seen(intake: Intake, case_id: str) -> households.HouseholdView:
    answer = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    view: households.HouseholdView = answer.household
    return view


async def allow(intake: Intake, case_id: str, who: int = 0) -> str:
    signer = (await seen(intake, case_id)).persons[who].person_id
    request = consents.RecordConsentRequest(
        case_id=case_id, person_ids=[signer], signer_id=signer, purpose=SEARCH, text_version="search-1",
        text_language="en", evidence=consents.CONSENT_EVIDENCE_PAPER, until_date=day(60),
    )  # fmt: skip
    return str((await intake.ask("RecordConsent", request, OUTREACH)).consent_id)


async def end_search(intake: Intake, case_id: str) -> None:
    revoke = consents.RevokeConsentRequest(case_id=case_id, consent_id=await allow(intake, case_id))
    await intake.ask("RevokeConsent", revoke, OUTREACH)


async def open_needs(intake: Intake, case_id: str) -> list[str]:
    known = (await intake.case(case_id, OUTREACH)).needs
    return [each.need.need_id for each in known if each.state not in OVER]


async def join(intake: Intake, case_id: str) -> None:
    request = households.AddPersonRequest(
        case_id=case_id,
        expected_revision=(await seen(intake, case_id)).revision,
        person=messages.Person(given_name="Tilda", birth_date="1980-01-01"),
    )
    await intake.ask("AddPerson", request, OUTREACH)


async def test_whoever_joins_afterwards_and_each_new_day_ask_for_nothing(intake: Intake) -> None:
    case_id = (await opened_case(intake, lodging(3))).case_id
    derive = needs.DeriveNeedsRequest(case_id=case_id)
    assert (await intake.ask("DeriveNeeds", derive, OUTREACH)).reported
    await end_search(intake, case_id)
    assert await open_needs(intake, case_id) == []
    before = len(await told(intake, case_id, events.NeedReported))
    await join(intake, case_id)
    await days_pass(intake, 40)
    assert len(await told(intake, case_id, events.NeedReported)) == before
    with pytest.raises(Refusal) as refused:
        await intake.ask("DeriveNeeds", derive, OUTREACH)
    assert refused.value.reason == "search-ended"
    await allow(intake, case_id)
    assert (await intake.ask("DeriveNeeds", derive, OUTREACH)).reported


async def test_where_its_signer_leaves_what_follows_from_the_others_is_not_asked_for(intake: Intake) -> None:
    case_id = (await opened_case(intake, lodging(3))).case_id
    await intake.ask("DeriveNeeds", needs.DeriveNeedsRequest(case_id=case_id), OUTREACH)
    await join(intake, case_id)
    await allow(intake, case_id, who=-1)
    before = len(await told(intake, case_id, events.NeedReported))
    view = await seen(intake, case_id)
    leave = households.RemovePersonRequest(
        case_id=case_id, expected_revision=view.revision, person_id=view.persons[-1].person_id
    )
    await intake.ask("RemovePerson", leave, OUTREACH)
    assert await open_needs(intake, case_id) == []
    assert len(await told(intake, case_id, events.NeedReported)) == before


async def test_the_end_of_a_stay_begins_no_search(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(9))
    await moves_in(intake, opened.case_id, 9, need_id=opened.need_ids[0])
    await end_search(intake, opened.case_id)
    await days_pass(intake, 9)
    ending = await told(intake, opened.case_id, events.StayEnding)
    assert [each.days_left for each in ending] == [7, 3, 1]
    assert {each.need_id for each in ending} == {""}
    assert await open_needs(intake, opened.case_id) == []


async def test_back_on_the_street_only_a_workers_word_asks_for_a_place(intake: Intake) -> None:
    case_id = (await opened_case(intake, lodging(3))).case_id
    await end_search(intake, case_id)
    outside = stays.RecordLivingSituationRequest(case_id=case_id, living_situation=116)
    assert not (await intake.ask("RecordLivingSituation", outside, OUTREACH)).need_id
    assert await open_needs(intake, case_id) == []
    asked = messages.ReportNeedRequest(case_id=case_id, need=lodging(1))
    need_id = (await intake.ask("ReportNeed", asked, OUTREACH)).need_id
    assert (await intake.ask("RecordLivingSituation", outside, OUTREACH)).need_id == need_id
    tonight = messages.FindTonightRequest(case_id=case_id, need_id=need_id)
    await intake.ask("FindTonight", tonight, OUTREACH)
    assert await open_needs(intake, case_id) == [need_id]
