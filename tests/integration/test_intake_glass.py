"""What somebody can do through broken glass: read, and what cannot wait. Nothing that gives a household away."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import agencies_pb2 as desk
from aid.intake.v1 import consents_pb2 as messages
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as intake_messages
from aid.intake.v1 import needs_pb2 as needs
from aid.intake.v1 import search_pb2 as search
from aid.intake.v1 import stays_pb2 as stays
from google.protobuf.message import Message

from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.intake.application.export_cases import export_page
from services.intake.domain.access import agency_scope
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import AgencyId, WorkerName
from services.intake.domain.refusal import Refusal
from tests.integration.test_intake_consents import publish_words
from tests.support.clocks import days_pass, moves_in
from tests.support.intake import (
    ADVOCATE,
    NOON,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

INSIDER = Principal("insider", ADVOCATE.agency, frozenset({"advocate", "case_manager"}))
PERSONS = [
    intake_messages.Person(given_name="Mara", family_name="Quill", birth_date="1998-05-02", relationship=1),
    intake_messages.Person(given_name="Dad", family_name="Quill", birth_date="1990-05-02", relationship=3),
    intake_messages.Person(given_name="Ivo", family_name="Quill", birth_date="2025-03-01", relationship=2),
]


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        await publish_words(opened)
        yield opened


async def in_hiding(intake: Intake) -> tuple[intake_messages.OpenCaseResponse, list[str]]:
    """With the ids of the mother, of him from whom they hide, and of the child."""
    request = open_request(lodging(), household=household(persons=PERSONS, fleeing=True), find_tonight=True)
    opened = await intake.ask("OpenCase", request, ADVOCATE)
    asked = households.GetHouseholdRequest(case_id=opened.case_id)
    seen = await intake.ask("GetHousehold", asked, ADVOCATE)
    return opened, [each.person_id for each in seen.household.persons]


async def glass_broken(intake: Intake, case_id: str) -> None:
    breaks = desk.BreakGlassRequest(case_id=case_id, reason="an emergency at the door")
    await intake.ask("BreakGlass", breaks, INSIDER)


def signature(case_id: str, signer: str, child: str) -> messages.RecordConsentRequest:
    return messages.RecordConsentRequest(
        case_id=case_id, person_ids=[child], signer_id=signer, purpose=messages.CONSENT_PURPOSE_FOLLOW_UP,
        text_version="follow-1", text_language="en", evidence=messages.CONSENT_EVIDENCE_PAPER,
        until_date=f"{NOON.date() + timedelta(days=20)}",
    )  # fmt: skip


async def reason(intake: Intake, method: str, request: Message, who: Principal) -> str:
    try:
        await intake.ask(method, request, who)
    except (AidError, Refusal) as refused:
        return refused.reason
    return ""


async def test_what_gives_a_household_away_waits_for_somebody_who_is_assigned(intake: Intake) -> None:
    opened, (mother, father, child) = await in_hiding(intake)
    case_id, need_id = opened.case_id, opened.need_ids[0]
    barring = messages.BarSignerRequest(case_id=case_id, person_id=father, barred=True)
    lifting = messages.BarSignerRequest(case_id=case_id, person_id=father)
    withdrawal = intake_messages.WithdrawNeedRequest(case_id=case_id, need_id=need_id)
    answer = intake_messages.AnswerReferralRequest(case_id=case_id, referral_id=need_id, accepted=True)
    search_on = signature(case_id, mother, mother)
    search_on.purpose, search_on.text_version = messages.CONSENT_PURPOSE_SEARCH, "search-1"
    consent_id = (await intake.ask("RecordConsent", search_on, ADVOCATE)).consent_id
    waits: list[tuple[str, Message]] = [
        ("BarSigner", lifting),
        ("RecordConsent", signature(case_id, mother, child)),
        ("AnswerReferral", answer),
        (
            "ChangeNeed",
            needs.ChangeNeedRequest(case_id=case_id, need_id=need_id, need=lodging(1)),
        ),
        ("WithdrawNeed", withdrawal),
        ("RevokeConsent", messages.RevokeConsentRequest(case_id=case_id, consent_id=consent_id)),
        ("CloseCase", intake_messages.CloseCaseRequest(case_id=case_id)),
    ]
    await glass_broken(intake, case_id)
    assert await reason(intake, "BarSigner", barring, INSIDER) == "", "who is a danger is said at once"
    assert (
        await reason(intake, "RecordConsent", signature(case_id, father, child), ADVOCATE) == "signer-barred"
    )
    for method, request in waits:
        assert await reason(intake, method, request, INSIDER) == "assigned-only", method
    assert not intake.matching.answered
    for method, request in waits:
        assert await reason(intake, method, request, ADVOCATE) == "", method


async def test_broken_glass_is_no_way_to_a_file(intake: Intake) -> None:
    opened, _ = await in_hiding(intake)
    await glass_broken(intake, opened.case_id)
    assert len((await intake.case(opened.case_id, INSIDER)).persons) == 3
    agency = AgencyId(UUID(INSIDER.agency))

    async def exported(who: Principal) -> int:
        asker = Asker(WorkerName(who.subject), who.agency, who.roles)
        async with intake.application.works.within(agency_scope(agency))() as work:
            page, _ = await export_page(work, asker, agency, None)
        return len(page)

    assert await exported(INSIDER) == 0
    assert await exported(ADVOCATE) == 1
    readers = await intake.database.pool.fetch(
        "SELECT DISTINCT reader FROM access_log WHERE why = 'ExportCases'"
    )
    assert [row["reader"] for row in readers] == [ADVOCATE.subject]


async def test_every_reading_through_broken_glass_says_so(intake: Intake) -> None:
    opened, _ = await in_hiding(intake)
    code = opened.tonight.hub.arrival_code
    await glass_broken(intake, opened.case_id)
    for method, request in (
        ("GetCase", intake_messages.GetCaseRequest(case_id=opened.case_id)),
        ("GetHousehold", households.GetHouseholdRequest(case_id=opened.case_id)),
        ("FindByCaseCode", search.FindByCaseCodeRequest(arrival_code=code)),
    ):
        assert await reason(intake, method, request, INSIDER) == ""
        await intake.ask(method, request, ADVOCATE)
    said = {
        who.subject: {
            row["why"]
            for row in await intake.database.pool.fetch(
                "SELECT why FROM access_log WHERE reader = $1 AND person_id IS NOT NULL", who.subject
            )
        }
        for who in (INSIDER, ADVOCATE)
    }
    assert said[ADVOCATE.subject] == {"GetCase", "GetHousehold", "FindByCaseCode"}
    assert said[INSIDER.subject] == {f"{why} after BreakGlass" for why in said[ADVOCATE.subject]}


async def test_so_does_the_reading_of_how_to_reach_them(intake: Intake) -> None:
    opened, _ = await in_hiding(intake)
    seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=opened.case_id), ADVOCATE)
    way = households.SafeContact(
        channel=households.CHANNEL_TEXT, address="+1-555-0177", earliest="09:00", latest="12:00"
    )
    request = households.SetSafeContactRequest(
        case_id=opened.case_id, expected_revision=seen.household.revision, safe_contact=way
    )
    await intake.ask("SetSafeContact", request, ADVOCATE)
    await moves_in(intake, opened.case_id, 3, need_id=opened.need_ids[0])
    await days_pass(intake, 30)
    await glass_broken(intake, opened.case_id)
    for who in (INSIDER, ADVOCATE):
        [task] = (await intake.ask("ListTasks", stays.ListTasksRequest(), who)).tasks
        assert task.safe_contact == way
    log = await intake.database.pool.fetch("SELECT reader, why FROM access_log WHERE why LIKE 'ListTasks%'")
    assert {tuple(row) for row in log} == {
        (INSIDER.subject, "ListTasks after BreakGlass"),
        (ADVOCATE.subject, "ListTasks"),
    }
