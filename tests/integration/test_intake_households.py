"""Households on a real database: who joins, leaves, is born, parts; what is told of it, and to whom it is not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import agencies_pb2 as agencies
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages
from google.protobuf.message import Message

from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    HUB,
    MANAGER,
    OFFICER,
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

LEAH = messages.Person(given_name="Leah", family_name="Quill", birth_date="1971-01-09", relationship=4)


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("households"))) as opened:
        yield opened


async def opened_case(intake: Intake, who: Any = OUTREACH, **changes: Any) -> str:
    request = open_request(lodging(3), household=household(**changes))
    return str((await intake.ask("OpenCase", request, who)).case_id)


async def seen(intake: Intake, case_id: str, who: Any = COLLEAGUE) -> pb.HouseholdView:
    answer = await intake.ask("GetHousehold", pb.GetHouseholdRequest(case_id=case_id), who)
    view: pb.HouseholdView = answer.household
    return view


async def told(intake: Intake, case_id: str) -> list[str]:
    return [type(event).__name__ for event in await intake.announced(case_id)]


async def refused(intake: Intake, method: str, request: Message, who: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await intake.ask(method, request, who)
    return caught.value


async def test_a_household_is_shown_with_ids_and_its_reading_is_logged(intake: Intake) -> None:
    case_id = await opened_case(intake)
    view = await seen(intake, case_id)
    assert (view.revision, [each.person.given_name for each in view.persons]) == (1, ["Mara", "Ivo"])
    assert [each.person.relationship for each in view.persons] == [1, 2]
    assert view.safe_contact == pb.SafeContact()
    rows = await intake.database.pool.fetch(
        "SELECT person_id::text, reader, why FROM access_log WHERE case_id = $1", uuid.UUID(case_id)
    )
    assert {(row["person_id"], row["reader"], row["why"]) for row in rows} == {
        (each.person_id, "colleague", "GetHousehold") for each in view.persons
    }


async def test_who_joins_changes_and_leaves_is_told_as_facts_and_only_when_they_change(
    intake: Intake,
) -> None:
    case_id = await opened_case(intake)
    joined = await intake.ask(
        "AddPerson", pb.AddPersonRequest(case_id=case_id, expected_revision=1, person=LEAH), OUTREACH
    )
    assert joined.revision == 2
    renamed = await intake.ask(
        "ChangePerson",
        pb.ChangePersonRequest(
            case_id=case_id, expected_revision=2, person_id=joined.person_id,
            change=pb.PersonChange(contact="555", note="", aliases=pb.Aliases(names=["Lee"])),
        ),
        COLLEAGUE,
    )  # fmt: skip
    assert renamed.revision == 3
    view = await seen(intake, case_id)
    lea = view.persons[2].person
    assert (lea.contact, lea.family_name, lea.birth_date, list(lea.aliases)) == (
        "555", "Quill", "1971-01-09", ["Lee"],
    )  # fmt: skip
    await intake.ask(
        "RemovePerson",
        pb.RemovePersonRequest(case_id=case_id, expected_revision=3, person_id=joined.person_id),
        OUTREACH,
    )
    changes = [each for each in await intake.announced(case_id) if isinstance(each, events.HouseholdChanged)]
    assert [(each.facts.revision, each.facts.adults) for each in changes] == [(2, 2), (4, 1)]
    gone = uuid.UUID(joined.person_id)
    assert await intake.database.pool.fetchval("SELECT count(*) FROM person WHERE person_id = $1", gone) == 0
    keys = "SELECT count(*) FROM keystore.subject_key WHERE subject_id = $1"
    assert await intake.database.pool.fetchval(keys, gone) == 0


async def test_a_birth_ends_the_due_date_and_the_child_is_a_person(intake: Intake) -> None:
    mother = messages.Person(given_name="Mara", due_date="2026-12-08", birth_date="1998-05-02")
    case_id = await opened_case(intake, persons=[mother])
    [opened, *_] = await intake.announced(case_id)
    assert isinstance(opened, events.CaseOpened)
    assert opened.facts.newborn_space_from_week == "2026-W48"
    view = await seen(intake, case_id)
    twins = [messages.Person(given_name="Ada"), messages.Person(given_name="Bo", birth_date="2026-11-23")]
    request = pb.RecordBirthRequest(
        case_id=case_id, expected_revision=1, mother_id=view.persons[0].person_id, children=twins
    )
    born = await intake.ask("RecordBirth", request, OUTREACH)
    view = await seen(intake, case_id)
    assert [each.person_id for each in view.persons[1:]] == list(born.person_ids)
    assert [each.person.birth_date for each in view.persons] == ["1998-05-02", "2026-11-24", "2026-11-23"]
    assert [each.person.relationship for each in view.persons[1:]] == [2, 2]
    assert view.persons[0].person.due_date == ""
    facts = (await intake.announced(case_id))[-1].facts  # type: ignore[attr-defined]
    assert (facts.infants, facts.newborn_space_from_week) == (2, "")


async def test_of_two_who_change_one_household_at_once_the_second_is_told_what_changed(
    intake: Intake,
) -> None:
    case_id = await opened_case(intake)
    first = (await seen(intake, case_id)).persons[0].person_id

    def note(n: int) -> pb.ChangePersonRequest:
        change = pb.PersonChange(note=f"secret word {n}")
        return pb.ChangePersonRequest(case_id=case_id, expected_revision=1, person_id=first, change=change)

    area = pb.ChangeHouseholdRequest(
        case_id=case_id, expected_revision=1, change=pb.HouseholdChange(area="hillside", pets=True)
    )
    answers = await asyncio.gather(
        *(intake.ask("ChangePerson", note(n), OUTREACH) for n in range(7)),
        intake.ask("ChangeHousehold", area, COLLEAGUE),
        return_exceptions=True,
    )
    assert not [each for each in answers if isinstance(each, BaseException) and not isinstance(each, Refusal)]
    kept = [each for each in answers if not isinstance(each, BaseException)]
    lost = [each for each in answers if isinstance(each, Refusal)]
    assert (len(kept), len(lost)) == (1, 7)
    assert {(each.kind, each.reason, each.details["revision"]) for each in lost} == {
        ("conflict", "household-changed", "2")
    }
    names = {"area,pets", f"persons/{first}/note"}
    assert {each.details["changed"] for each in lost} <= names
    assert not any("secret word" in f"{each}{each.details}" for each in lost)
    again = area if "area" not in lost[0].details["changed"] else note(0)
    again.expected_revision = 2
    method = "ChangeHousehold" if again is area else "ChangePerson"
    assert (await intake.ask(method, again, OUTREACH)).revision == 3
    view = await seen(intake, case_id)
    assert (view.area, view.pets, view.revision) == ("hillside", True, 3)
    assert view.persons[0].person.note.startswith("secret word")


async def test_many_who_change_one_household_one_after_the_other_lose_nothing(intake: Intake) -> None:
    """Each reads again after a conflict: every person is there in the end, every revision once."""
    case_id = await opened_case(intake)

    async def add(n: int) -> int:
        while True:
            revision = (await seen(intake, case_id)).revision
            person = messages.Person(given_name=f"N{n}")
            request = pb.AddPersonRequest(case_id=case_id, expected_revision=revision, person=person)
            try:
                return int((await intake.ask("AddPerson", request, OUTREACH)).revision)
            except Refusal as conflict:
                assert conflict.reason == "household-changed"

    revisions = await asyncio.gather(*(add(n) for n in range(6)))
    assert sorted(revisions) == [2, 3, 4, 5, 6, 7]
    view = await seen(intake, case_id)
    assert {each.person.given_name for each in view.persons} == {"Mara", "Ivo", *(f"N{n}" for n in range(6))}
    changes = [each for each in await intake.announced(case_id) if isinstance(each, events.HouseholdChanged)]
    assert [each.facts.adults for each in changes] == [2, 3, 4, 5, 6, 7]


async def test_who_begins_to_flee_is_with_the_hub_from_that_moment(intake: Intake) -> None:
    case_id = await opened_case(intake)
    request = pb.ChangeHouseholdRequest(
        case_id=case_id, expected_revision=1, change=pb.HouseholdChange(fleeing=True)
    )
    answer = await intake.ask("ChangeHousehold", request, COLLEAGUE)
    assert (answer.hub.phone, answer.hub.meeting_point) == (HUB.phone, HUB.meeting_point)
    assert await told(intake, case_id) == ["CaseOpened", "NeedReported", "HouseholdChanged", "CaseSnapshot"]
    snapshot = (await intake.announced(case_id))[-1]
    assert isinstance(snapshot, events.CaseSnapshot)
    assert (snapshot.arrival_code, snapshot.facts.confidential) == (answer.hub.arrival_code, True)
    assert len(snapshot.open_needs) == 1
    get = pb.GetHouseholdRequest(case_id=case_id)
    assert (await refused(intake, "GetHousehold", get, COLLEAGUE)).reason == "not-found"
    assert (await refused(intake, "GetHousehold", get, OUTREACH)).reason == "with-the-hub"
    assert (await intake.case(case_id, OUTREACH)).status == "with the hub"


async def test_only_an_advocate_of_the_case_lifts_confidentiality_and_the_past_stays(intake: Intake) -> None:
    case_id = await opened_case(intake, ADVOCATE, survivor=True, fleeing=True)
    lift = pb.LiftConfidentialityRequest(case_id=case_id, expected_revision=1)
    stranger = type(ADVOCATE)("another", ADVOCATE.agency, frozenset({"advocate"}))
    assert (await refused(intake, "LiftConfidentiality", lift, stranger)).reason == "not-found"
    await intake.ask("LiftConfidentiality", lift, ADVOCATE)
    view = await seen(intake, case_id, stranger)
    assert (view.survivor, view.fleeing, view.confidential) == (True, True, False)
    change = pb.HouseholdChange(pets=True, fleeing=False)
    await intake.ask(
        "ChangeHousehold",
        pb.ChangeHouseholdRequest(case_id=case_id, expected_revision=2, change=change),
        stranger,
    )
    assert not (await seen(intake, case_id, stranger)).confidential
    again = pb.ChangeHouseholdRequest(
        case_id=case_id, expected_revision=3, change=pb.HouseholdChange(fleeing=True)
    )
    await intake.ask("ChangeHousehold", again, ADVOCATE)
    assert (await seen(intake, case_id, ADVOCATE)).confidential
    back = pb.ChangeHouseholdRequest(
        case_id=case_id, expected_revision=4, change=pb.HouseholdChange(fleeing=False, survivor=False)
    )
    await intake.ask("ChangeHousehold", back, ADVOCATE)
    assert (await seen(intake, case_id, ADVOCATE)).confidential, "only lifting lifts it"


async def test_broken_glass_shows_and_changes_and_neither_lifts_nor_erases(intake: Intake) -> None:
    case_id = await opened_case(intake, ADVOCATE, survivor=True)
    stranger = type(ADVOCATE)("in the night", ADVOCATE.agency, frozenset({"advocate"}))
    glass = agencies.BreakGlassRequest(case_id=case_id, reason="She called and nobody else is here.")
    await intake.ask("BreakGlass", glass, stranger)
    view = await seen(intake, case_id, stranger)
    whys = await intake.database.pool.fetch(
        "SELECT DISTINCT why FROM access_log WHERE case_id = $1 AND person_id IS NOT NULL", uuid.UUID(case_id)
    )
    assert [row["why"] for row in whys] == ["GetHousehold after BreakGlass"]
    lift = pb.LiftConfidentialityRequest(case_id=case_id, expected_revision=1)
    assert (await refused(intake, "LiftConfidentiality", lift, stranger)).reason == "advocate-only"
    person_id = view.persons[0].person_id
    erase = pb.ErasePersonRequest(case_id=case_id, expected_revision=1, person_id=person_id)
    assert (await refused(intake, "ErasePerson", erase, stranger)).reason == "assigned-only"
    about: dict[str, Any] = {"case_id": case_id, "expected_revision": 1}
    for waits in (
        pb.SplitHouseholdRequest(**about, person_ids=[person_id]),
        pb.RemovePersonRequest(**about, person_id=person_id),
        pb.SetPlacesToAvoidRequest(**about),
        pb.SetSafeContactRequest(**about, safe_contact=pb.SafeContact(channel=pb.CHANNEL_IN_PERSON)),
    ):
        method = type(waits).__name__.removesuffix("Request")
        assert (await refused(intake, method, waits, stranger)).reason == "assigned-only", method
    change = pb.HouseholdChange(wheelchair=True)
    request = pb.ChangeHouseholdRequest(case_id=case_id, expected_revision=1, change=change)
    assert (await intake.ask("ChangeHousehold", request, stranger)).revision == 2


async def test_a_household_that_parts_is_two_cases_as_confidential_as_the_one(intake: Intake) -> None:
    case_id = await opened_case(
        intake, ADVOCATE, survivor=True, handoff_point="Library", persons=[*household().persons, LEAH]
    )
    view = await seen(intake, case_id, ADVOCATE)
    leah = view.persons[2].person_id
    split = await intake.ask(
        "SplitHousehold",
        pb.SplitHouseholdRequest(case_id=case_id, expected_revision=1, person_ids=[leah]),
        ADVOCATE,
    )
    stayed, parted = await seen(intake, case_id, ADVOCATE), await seen(intake, split.case_id, ADVOCATE)
    assert [each.person.given_name for each in stayed.persons] == ["Mara", "Ivo"]
    assert [(each.person_id, each.person.given_name) for each in parted.persons] == [(leah, "Leah")]
    assert (parted.confidential, parted.handoff_point, parted.revision) == (True, "", 1)
    get = pb.GetHouseholdRequest(case_id=split.case_id)
    assert (await refused(intake, "GetHousehold", get, MANAGER)).reason == "not-found"
    [opened] = await intake.announced(split.case_id)
    assert isinstance(opened, events.CaseOpened)
    assert (opened.facts.adults, opened.facts.confidential) == (1, True)
    everybody = [each.person_id for each in stayed.persons]
    for ids, reason in ((everybody, "split-of-nobody"), ([], "split-of-nobody"), ([leah], "not-found")):
        request = pb.SplitHouseholdRequest(case_id=case_id, expected_revision=2, person_ids=ids)
        assert (await refused(intake, "SplitHousehold", request, ADVOCATE)).reason == reason


async def test_how_to_reach_a_household_and_where_never_to_send_it(intake: Intake) -> None:
    case_id, offer = await opened_case(intake), new_id()
    contact = pb.SafeContact(
        channel=pb.CHANNEL_CALL, address="+1-555-0177", earliest="18:00", latest="08:30",
        voicemail=pb.VOICEMAIL_CALL_BACK,
    )  # fmt: skip
    await intake.ask(
        "SetSafeContact",
        pb.SetSafeContactRequest(case_id=case_id, expected_revision=1, safe_contact=contact),
        OUTREACH,
    )
    assert await told(intake, case_id) == ["CaseOpened", "NeedReported"], "nobody else hears how to reach it"
    await intake.ask(
        "SetPlacesToAvoid",
        pb.SetPlacesToAvoidRequest(
            case_id=case_id, expected_revision=2, avoid=[offer], words="where his brother works"
        ),
        OUTREACH,
    )
    view = await seen(intake, case_id)
    assert (view.safe_contact, list(view.avoid), view.avoid_words) == (
        contact, [offer], "where his brother works",
    )  # fmt: skip
    changed = (await intake.announced(case_id))[-1]
    assert isinstance(changed, events.HouseholdChanged)
    assert (list(changed.facts.avoid), changed.facts.revision) == ([offer], 3)


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("ChangeHousehold", pb.ChangeHouseholdRequest(), "revision-missing"),
        (
            "AddPerson",
            pb.AddPersonRequest(person=messages.Person(birth_date="2031-01-01")),
            "birth-date-impossible",
        ),
        ("AddPerson", pb.AddPersonRequest(person=messages.Person(note="x" * 4001)), "text-too-long"),
        ("ChangePerson", pb.ChangePersonRequest(person_id="42"), "id-malformed"),
        ("ChangePerson", pb.ChangePersonRequest(person_id=new_id()), "not-found"),
        ("RecordBirth", pb.RecordBirthRequest(mother_id=new_id()), "not-found"),
        (
            "ChangeHousehold",
            pb.ChangeHouseholdRequest(change=pb.HouseholdChange(area="12 Elm St")),
            "area-invalid",
        ),
        (
            "SetSafeContact",
            pb.SetSafeContactRequest(safe_contact=pb.SafeContact(channel=pb.CHANNEL_TEXT)),
            "address-mismatch",
        ),
        (
            "SetSafeContact",
            pb.SetSafeContactRequest(safe_contact=pb.SafeContact(earliest="noon")),
            "time-malformed",
        ),
        (
            "SetSafeContact",
            pb.SetSafeContactRequest(safe_contact=pb.SafeContact(earliest="12:00")),
            "channel-missing",
        ),
        ("SetPlacesToAvoid", pb.SetPlacesToAvoidRequest(avoid=["motel"]), "id-malformed"),
        (
            "SetPlacesToAvoid",
            pb.SetPlacesToAvoidRequest(avoid=[new_id() for _ in range(51)]),
            "too-many-places",
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_field_and_changes_nothing(
    intake: Intake, method: str, request_: Any, reason: str
) -> None:
    case_id = await opened_case(intake)
    request = type(request_)()
    request.CopyFrom(request_)
    request.case_id = case_id
    request.expected_revision = 0 if reason == "revision-missing" else 1
    assert (await refused(intake, method, request, OUTREACH)).reason == reason
    assert (await seen(intake, case_id)).revision == 1
    assert await told(intake, case_id) == ["CaseOpened", "NeedReported"]


async def test_the_last_person_cannot_leave_and_a_closed_case_does_not_change(intake: Intake) -> None:
    case_id = await opened_case(intake, persons=[LEAH])
    leah = (await seen(intake, case_id)).persons[0].person_id
    request = pb.RemovePersonRequest(case_id=case_id, expected_revision=1, person_id=leah)
    assert (await refused(intake, "RemovePerson", request, OUTREACH)).reason == "last-person"
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), OUTREACH)
    assert (await refused(intake, "RemovePerson", request, OUTREACH)).reason == "case-closed"


async def test_foreign_agencies_and_police_do_not_read_or_change_households(intake: Intake) -> None:
    case_id = await opened_case(intake)
    for method, request in (
        ("GetHousehold", pb.GetHouseholdRequest(case_id=case_id)),
        ("AddPerson", pb.AddPersonRequest(case_id=case_id, expected_revision=1, person=LEAH)),
    ):
        assert (await refused(intake, method, request, MANAGER)).reason == "not-found"
        assert (await refused(intake, method, request, OFFICER)).reason == "not-found"
    theirs = await opened_case(intake, OFFICER)
    get = pb.GetHouseholdRequest(case_id=theirs)
    assert (await refused(intake, "GetHousehold", get, OFFICER)).reason == "police-write-mostly"


async def test_the_same_command_again_is_the_same_answer(intake: Intake) -> None:
    case_id, key = await opened_case(intake, persons=[LEAH]), str(uuid.uuid4())
    request = pb.AddPersonRequest(case_id=case_id, expected_revision=1, person=messages.Person(note="n"))
    first = await intake.ask("AddPerson", request, OUTREACH, key)
    assert await intake.ask("AddPerson", request, OUTREACH, key) == first
    assert len((await seen(intake, case_id)).persons) == 2
    assert goods().quantity == 60
