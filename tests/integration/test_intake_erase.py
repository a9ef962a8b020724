"""Who is erased is gone: the key, the row, what commands said and answered; and the others hear of it."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search
from aid.intake.v1 import stays_pb2 as stays

from services.chassis.errors import AidError
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    MANAGER,
    OPERATOR,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("erase"))) as opened:
        yield opened


async def seen(intake: Intake, case_id: str, who: Any = COLLEAGUE) -> pb.HouseholdView:
    answer = await intake.ask("GetHousehold", pb.GetHouseholdRequest(case_id=case_id), who)
    view: pb.HouseholdView = answer.household
    return view


async def erase(
    intake: Intake, case_id: str, index: int, who: Any = COLLEAGUE, key: str | None = None
) -> str:
    view = await seen(intake, case_id, who)
    person_id = view.persons[index].person_id
    request = pb.ErasePersonRequest(case_id=case_id, expected_revision=view.revision, person_id=person_id)
    await intake.ask("ErasePerson", request, who, key)
    return person_id


async def count(intake: Intake, query: str, *arguments: object) -> int:
    return int(await intake.database.pool.fetchval(query, *arguments))


async def test_an_erased_person_leaves_no_key_no_row_and_no_answer(intake: Intake) -> None:
    key, request = str(uuid.uuid4()), open_request(lodging(2))
    opened = await intake.ask("OpenCase", request, OUTREACH, key)
    kept = "SELECT answer || fingerprint FROM idempotency WHERE key = $1"
    assert await intake.database.pool.fetchval(kept, key) != b""
    erased = uuid.UUID(await erase(intake, opened.case_id, 1))
    assert await count(intake, "SELECT count(*) FROM person WHERE person_id = $1", erased) == 0
    keys = "SELECT count(*) FROM keystore.subject_key WHERE subject_id = $1"
    assert await count(intake, keys, erased) == 0
    assert await intake.database.pool.fetchval(kept, key) == b""
    view = await seen(intake, opened.case_id)
    assert [each.person.given_name for each in view.persons] == ["Mara"]
    changed = (await intake.announced(opened.case_id))[-1]
    assert isinstance(changed, events.HouseholdChanged)
    assert (changed.facts.infants, changed.facts.revision) == (0, 2)


async def test_who_was_found_by_name_is_not_found_any_more(intake: Intake) -> None:
    name = f"Zq{uuid.uuid4().hex[:10]}"
    persons = [*household().persons, messages.Person(given_name=name, family_name="Quill")]
    request = open_request(household=household(persons=persons))
    opened = await intake.ask("OpenCase", request, OUTREACH)
    find = search.FindPersonsRequest(name=f"{name} Quill")
    before = (await intake.ask("FindPersons", find, COLLEAGUE)).persons
    assert [each.given_name for each in before] == [name]
    await erase(intake, opened.case_id, 2)
    assert name not in str(await intake.ask("FindPersons", find, COLLEAGUE))


async def test_an_entry_that_a_phone_sends_again_does_not_bring_the_person_back(intake: Intake) -> None:
    key, request = str(uuid.uuid4()), open_request(lodging(2))
    opened = await intake.ask("OpenCase", request, OUTREACH, key)
    await erase(intake, opened.case_id, 1)
    before = await intake.count("case_file")
    with pytest.raises(AidError) as refused:
        await intake.ask("OpenCase", request, OUTREACH, key)
    assert refused.value.reason == "idempotency-key-reused"
    assert await intake.count("case_file") == before


async def test_with_the_last_person_the_case_is_gone(intake: Intake) -> None:
    person = messages.Person(given_name="Mara", note="a word")
    request = open_request(lodging(2), household=household(persons=[person], survivor=True))
    opened = await intake.ask("OpenCase", request, ADVOCATE)
    erasing = str(uuid.uuid4())
    await erase(intake, opened.case_id, 0, ADVOCATE, erasing)
    told = [type(each).__name__ for each in await intake.announced(opened.case_id)]
    assert told == ["CaseOpened", "NeedReported", "CaseErased"]
    case_id = uuid.UUID(opened.case_id)
    case = await intake.database.pool.fetchrow(
        "SELECT * FROM case_file JOIN household USING (household_id) WHERE case_id = $1", case_id
    )
    assert case is not None
    assert (case["closed_at"] is None, case["arrival_code"], case["sealed"]) == (False, None, b"")
    assert (case["adults"], case["area"], list(case["avoid"])) == (0, "", [])
    assert case["confidential"], "a word that changed by this would tell of it"
    keys = "SELECT count(*) FROM keystore.subject_key WHERE subject_id = ANY ($1::uuid[])"
    assert await count(intake, keys, [case["household_id"], case_id]) == 0
    assert (
        await count(intake, "SELECT count(*) FROM need WHERE case_id = $1 AND withdrawn_at IS NULL", case_id)
        == 0
    )
    for method, asked in (
        ("GetHousehold", pb.GetHouseholdRequest(case_id=opened.case_id)),
        (
            "ErasePerson",
            pb.ErasePersonRequest(case_id=opened.case_id, expected_revision=1, person_id=str(case_id)),
        ),
    ):
        with pytest.raises(Refusal) as refused:
            await intake.ask(method, asked, ADVOCATE)
        assert refused.value.reason in ("not-found", "household-erased")
    assert (await intake.case(opened.case_id, ADVOCATE)).status == "closed"
    async with intake.application.works.database.transaction() as connection:
        await connection.speak_for("region")
        source = intake.application.snapshots["aid.intake.cases.v1"]
        snapshot = await source.snapshot(connection, opened.case_id)
    assert snapshot is not None
    told_again = events.CaseSnapshot.FromString(snapshot.payload)
    assert (told_again.closed, told_again.facts.adults, told_again.arrival_code) == (True, 0, "")


async def test_who_erases_the_last_person_twice_with_one_key_gets_the_answer_and_nobody_else_does(
    intake: Intake,
) -> None:
    one = household(persons=[messages.Person(given_name="Solo")])
    case_id = (await intake.ask("OpenCase", open_request(lodging(2), household=one), OUTREACH)).case_id
    view = await seen(intake, case_id)
    request = pb.ErasePersonRequest(
        case_id=case_id, expected_revision=view.revision, person_id=view.persons[0].person_id
    )
    key = str(uuid.uuid4())
    first = await intake.ask("ErasePerson", request, COLLEAGUE, key)
    assert await intake.ask("ErasePerson", request, COLLEAGUE, key) == first
    another = type(COLLEAGUE)("another", COLLEAGUE.agency, COLLEAGUE.roles)
    for who, reason in ((another, "household-erased"), (MANAGER, "not-found")):
        with pytest.raises(Refusal) as refused:
            await intake.ask("ErasePerson", request, who, key)
        assert refused.value.reason == reason
    assert [type(each).__name__ for each in await intake.announced(case_id)].count("CaseErased") == 1


async def test_with_an_erased_person_go_the_words_that_may_have_been_theirs(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(lodging(2)), OUTREACH)
    about = {"case_id": opened.case_id}
    contact = pb.SafeContact(channel=pb.CHANNEL_TEXT, address="Ivo's aunt, 555-0199")
    safe = pb.SetSafeContactRequest(**about, expected_revision=1, safe_contact=contact)
    await intake.ask("SetSafeContact", safe, OUTREACH)
    offer = str(uuid.uuid4())
    avoid = pb.SetPlacesToAvoidRequest(
        **about, expected_revision=2, avoid=[offer], words="his father's street"
    )
    await intake.ask("SetPlacesToAvoid", avoid, OUTREACH)
    change = pb.HouseholdChange(handoff_point="Library")
    point = pb.ChangeHouseholdRequest(**about, expected_revision=3, change=change)
    await intake.ask("ChangeHousehold", point, OUTREACH)
    household_key = """
        SELECT wrapped FROM keystore.subject_key JOIN case_file ON subject_id = household_id WHERE case_id = $1
    """
    before = await intake.database.pool.fetchval(household_key, uuid.UUID(opened.case_id))
    await erase(intake, opened.case_id, 1)
    view = await seen(intake, opened.case_id)
    assert (view.safe_contact, view.avoid_words) == (pb.SafeContact(), "")
    assert (list(view.avoid), view.handoff_point) == ([offer], "Library"), "it is still kept from there"
    assert await intake.database.pool.fetchval(household_key, uuid.UUID(opened.case_id)) not in (None, before)


async def test_what_was_written_before_somebody_was_erased_is_no_words_when_somebody_writes_again(
    intake: Intake,
) -> None:
    opened = await intake.ask("OpenCase", open_request(lodging(2)), OUTREACH)

    async def lives(note: str) -> None:
        said = stays.RecordLivingSituationRequest(case_id=opened.case_id, living_situation=336, note=note)
        await intake.ask("RecordLivingSituation", said, OUTREACH)

    await lives("with his aunt")
    await erase(intake, opened.case_id, 1)
    await lives("alone now")
    written = await intake.database.pool.fetch(
        "SELECT sealed IS NULL AS blank FROM living_situation WHERE case_id = $1 ORDER BY recorded_at, situation_id",
        uuid.UUID(opened.case_id),
    )
    assert [row["blank"] for row in written] == [True, False]


async def test_a_consent_ends_with_its_signer_also_when_the_case_is_closed(intake: Intake) -> None:
    text = consents.ConsentText(
        version="closed-1", language="en", purpose=consents.CONSENT_PURPOSE_FOLLOW_UP, body="May we ask?"
    )
    await intake.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)
    opened = await intake.ask("OpenCase", open_request(lodging(2)), OUTREACH)
    mother, toddler = (each.person_id for each in (await seen(intake, opened.case_id)).persons)
    consent = consents.RecordConsentRequest(
        case_id=opened.case_id, person_ids=[mother, toddler], signer_id=mother, text_version="closed-1",
        text_language="en", purpose=consents.CONSENT_PURPOSE_FOLLOW_UP,
        evidence=consents.CONSENT_EVIDENCE_PAPER, until_date="2027-02-01",
    )  # fmt: skip
    await intake.ask("RecordConsent", consent, OUTREACH)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await erase(intake, opened.case_id, 0)
    asked = consents.ListConsentsRequest(case_id=opened.case_id)
    [left] = (await intake.ask("ListConsents", asked, COLLEAGUE)).consents
    assert left.state == "signer-left"


async def test_a_person_of_a_closed_case_may_be_erased_too(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(lodging(2)), OUTREACH)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await erase(intake, opened.case_id, 0)
    assert [each.person.given_name for each in (await seen(intake, opened.case_id)).persons] == ["Ivo"]
    await erase(intake, opened.case_id, 0)
    told = [type(each).__name__ for each in await intake.announced(opened.case_id)]
    assert told[-2:] == ["HouseholdChanged", "CaseErased"]


async def test_the_next_export_does_not_bring_an_erased_person_back(intake: Intake) -> None:
    def row(**changes: Any) -> messages.ImportHouseholdsRequest:
        imported = messages.ImportedHousehold(
            source_key="h1", agency_source_key="org", household=household(**changes),
            person_source_keys=["p1", "p2"], opened_on="2026-11-01",
        )  # fmt: skip
        return messages.ImportHouseholdsRequest(
            source_id="system", as_of="2026-11-24", households=[imported],
            agencies=[messages.ImportedAgency(source_key="org", name="Old Mill")],
        )  # fmt: skip

    async def imported(request: messages.ImportHouseholdsRequest) -> Any:
        answer = await intake.ask("ImportHouseholds", request, OPERATOR)
        return answer.results[0]

    first = await imported(row())
    theirs = await intake.database.pool.fetchval(
        "SELECT agency_id::text FROM case_file WHERE case_id = $1", uuid.UUID(first.case_id)
    )
    worker = type(COLLEAGUE)("their worker", theirs, frozenset({"case_manager"}))
    await erase(intake, first.case_id, 1, worker)
    for request in (row(), row(pets=True)):
        assert (await imported(request)).case_id == first.case_id
        assert [each.person.given_name for each in (await seen(intake, first.case_id, worker)).persons] == [
            "Mara"
        ]
    await erase(intake, first.case_id, 0, worker)
    before = await intake.count("case_file")
    again = await imported(row(pets=False))
    assert (again.outcome, again.reason) == ("refused", "household-erased")
    assert await intake.count("case_file") == before
