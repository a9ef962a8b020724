"""Cases on a real database: what is recorded, what is announced, and what is not done."""

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import AidError
from services.intake.domain.access import REGION
from services.intake.domain.cases import Case
from services.intake.domain.ids import CaseId, WorkerName
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    COLLEAGUE,
    MANAGER,
    NOON,
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
from tests.support.messaging import until
from tests.support.stack import RunningStack


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


async def opened_case(intake: Intake, *needs: messages.NeedInput) -> messages.OpenCaseResponse:
    answer: messages.OpenCaseResponse = await intake.ask("OpenCase", open_request(*needs), OUTREACH)
    return answer


async def test_an_opened_case_is_shown_whole_and_announced_without_a_name(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(3), goods())
    view = await intake.case(opened.case_id, COLLEAGUE)
    assert view.status == "open"
    assert [person.given_name for person in view.persons] == ["Mara", "Ivo"]
    assert [(each.need.need_id, each.state) for each in view.needs] == [
        (opened.need_ids[0], "reported"),
        (opened.need_ids[1], "reported"),
    ]
    assert view.needs[0].need.from_date == "2026-11-24"
    first, second, third = await intake.announced(opened.case_id)
    assert isinstance(first, events.CaseOpened)
    assert (first.facts.adults, first.facts.infants, first.facts.area) == (1, 1, "riverside")
    assert isinstance(second, events.NeedReported)
    assert second.need == view.needs[0].need
    assert isinstance(third, events.NeedReported)
    assert third.need.item_id == "diapers-size-1"


async def test_the_same_command_again_is_the_same_case(intake: Intake) -> None:
    request, key = open_request(lodging(2)), str(uuid.uuid4())
    first = await intake.ask("OpenCase", request, OUTREACH, key)
    again = await asyncio.gather(*(intake.ask("OpenCase", request, OUTREACH, key) for _ in range(4)))
    assert {answer.case_id for answer in again} == {first.case_id}
    assert len(await intake.announced(first.case_id)) == 2
    with pytest.raises(AidError) as reused:
        await intake.ask("OpenCase", open_request(lodging(4)), OUTREACH, key)
    assert reused.value.reason == "idempotency-key-reused"


async def test_a_repetition_that_comes_after_the_end_is_still_the_same_answer(intake: Intake) -> None:
    request, key = open_request(lodging(2), find_tonight=True), str(uuid.uuid4())
    first = await intake.ask("OpenCase", request, OUTREACH, key)
    assert first.tonight.HasField("pending")
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=first.case_id), OUTREACH)
    late = await intake.ask("OpenCase", request, OUTREACH, key)
    assert (late.case_id, late.need_ids, late.HasField("tonight")) == (first.case_id, first.need_ids, False)


async def test_an_entry_made_offline_keeps_its_ids_and_its_time(intake: Intake) -> None:
    case_id, need_id, met = new_id(), new_id(), Timestamp()
    met.FromDatetime(NOON - timedelta(hours=7))
    request = open_request(
        lodging(2, need_id=need_id, from_date="2026-11-23"), case_id=case_id, occurred_at=met
    )
    opened = await intake.ask("OpenCase", request, OUTREACH)
    assert (opened.case_id, list(opened.need_ids)) == (case_id, [need_id])
    view = await intake.case(case_id, OUTREACH)
    assert view.opened_at == met
    assert view.needs[0].need.from_date == "2026-11-24"  # the night that has passed cannot be slept any more
    headers = await intake.database.pool.fetchval(
        "SELECT headers FROM outbox WHERE key = $1 LIMIT 1", case_id
    )
    assert "2026-11-24T05:00:00+00:00" in headers
    for taken in (open_request(case_id=case_id), open_request(lodging(1, need_id=need_id))):
        with pytest.raises(Refusal) as refused:
            await intake.ask("OpenCase", taken, OUTREACH)
        assert (refused.value.kind, refused.value.reason) == ("conflict", "id-taken")


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (messages.OpenCaseRequest(), "household-empty", "household.persons"),
        (open_request(lodging(0)), "nights-out-of-range", "needs[0].nights"),
        (open_request(lodging(91)), "nights-out-of-range", "needs[0].nights"),
        (open_request(goods(quantity=5000)), "quantity-out-of-range", "needs[0].quantity"),
        (open_request(goods(item="Diapers!")), "item-malformed", "needs[0].item_id"),
        (open_request(messages.NeedInput(nights=1)), "word-unknown", "needs[0].kind"),
        (open_request(lodging(1, from_date="24.11.2026")), "date-malformed", "needs[0].from_date"),
        (open_request(case_id="42"), "id-malformed", "case_id"),
        (open_request(goods(), find_tonight=True), "no-lodging-need", "needs"),
        (
            open_request(household=household(persons=[messages.Person(birth_date="2031-01-01")])),
            "birth-date-impossible",
            "household.persons[0].birth_date",
        ),
        (
            open_request(household=household(persons=[messages.Person(note="x" * 4001)])),
            "text-too-long",
            "household.persons[0].note",
        ),
    ],
)
async def test_a_malformed_request_is_refused_by_field_and_changes_nothing(
    intake: Intake, request_: messages.OpenCaseRequest, reason: str, field: str
) -> None:
    before = [await intake.count(table) for table in ("case_file", "household", "outbox", "idempotency")]
    with pytest.raises(Refusal) as refused:
        await intake.ask("OpenCase", request_, OUTREACH)
    assert (refused.value.kind, refused.value.reason) == ("invalid", reason)
    assert refused.value.details == {"field": field}
    after = [await intake.count(table) for table in ("case_file", "household", "outbox", "idempotency")]
    assert after == before


async def test_a_need_is_added_taken_back_once_and_closed_with_its_case(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(1))
    added = await intake.ask(
        "ReportNeed", messages.ReportNeedRequest(case_id=opened.case_id, need=goods("wipes", 2)), OUTREACH
    )
    withdrawal = messages.WithdrawNeedRequest(case_id=opened.case_id, need_id=added.need_id)
    await intake.ask("WithdrawNeed", withdrawal, OUTREACH)
    await intake.ask("WithdrawNeed", withdrawal, COLLEAGUE)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=opened.case_id), OUTREACH)
    said = [type(event).__name__ for event in await intake.announced(opened.case_id)]
    assert said == ["CaseOpened", "NeedReported", "NeedReported", "NeedWithdrawn", "CaseClosed"]
    view = await intake.case(opened.case_id, OUTREACH)
    assert view.status == "closed"
    assert [need.state for need in view.needs] == ["withdrawn", "withdrawn"]
    with pytest.raises(Refusal) as refused:
        await intake.ask(
            "ReportNeed", messages.ReportNeedRequest(case_id=opened.case_id, need=lodging(1)), OUTREACH
        )
    assert refused.value.reason == "case-closed"


async def test_needs_reported_at_the_same_time_are_all_there(intake: Intake) -> None:
    opened = await opened_case(intake)
    await asyncio.gather(
        *(
            intake.ask(
                "ReportNeed",
                messages.ReportNeedRequest(case_id=opened.case_id, need=goods("soap", n)),
                OUTREACH,
            )
            for n in range(1, 5)
        )
    )
    view = await intake.case(opened.case_id, OUTREACH)
    assert sorted(each.need.quantity for each in view.needs) == [1, 2, 3, 4]
    assert len(await intake.announced(opened.case_id)) == 5


async def test_no_need_stays_open_in_a_case_that_is_closed_at_the_same_moment(intake: Intake) -> None:
    for _ in range(20):
        opened = await opened_case(intake)
        report = messages.ReportNeedRequest(case_id=opened.case_id, need=goods("soap", 1))
        close = messages.CloseCaseRequest(case_id=opened.case_id)
        answers = await asyncio.gather(
            intake.ask("ReportNeed", report, OUTREACH),
            intake.ask("CloseCase", close, COLLEAGUE),
            return_exceptions=True,
        )
        assert not isinstance(answers[1], BaseException)
        view = await intake.case(opened.case_id, OUTREACH)
        assert {need.state for need in view.needs} <= {"withdrawn"}
        said = [type(event).__name__ for event in await intake.announced(opened.case_id)]
        assert said[-1] == "CaseClosed"
        if isinstance(answers[0], BaseException):
            assert str(answers[0]) == "The case is closed."
            assert "NeedReported" not in said


async def test_another_agency_gets_the_answer_of_an_absent_case(intake: Intake) -> None:
    opened = await opened_case(intake, lodging(1))
    answers = []
    for case_id in (opened.case_id, new_id()):
        for method, request in (
            ("GetCase", messages.GetCaseRequest(case_id=case_id)),
            ("ReportNeed", messages.ReportNeedRequest(case_id=case_id, need=goods())),
            ("WithdrawNeed", messages.WithdrawNeedRequest(case_id=case_id, need_id=opened.need_ids[0])),
            ("CloseCase", messages.CloseCaseRequest(case_id=case_id)),
            ("FindTonight", messages.FindTonightRequest(case_id=case_id, need_id=opened.need_ids[0])),
            ("AnswerReferral", messages.AnswerReferralRequest(case_id=case_id, referral_id=new_id())),
        ):
            with pytest.raises(Refusal) as refused:
                await intake.ask(method, request, MANAGER)
            answers.append(
                (refused.value.kind, refused.value.reason, str(refused.value), refused.value.details)
            )
    assert len(answers) == 12
    assert set(map(str, answers)) == {str(("missing", "not-found", "There is nothing of that name.", {}))}


async def test_police_write_and_see_one_word(intake: Intake) -> None:
    opened = await intake.ask("OpenCase", open_request(lodging(1)), OFFICER)
    view = await intake.case(opened.case_id, OFFICER)
    assert (view.status, view.confidential) == ("open", False)
    assert not view.persons
    assert not view.needs
    await intake.ask("ReportNeed", messages.ReportNeedRequest(case_id=opened.case_id, need=goods()), OFFICER)
    assert len(await intake.announced(opened.case_id)) == 3


async def test_police_learn_where_they_sleep_only_while_they_stand_there(intake: Intake) -> None:
    request, key = open_request(lodging(1), find_tonight=True), str(uuid.uuid4())
    opened = await intake.ask("OpenCase", request, OFFICER, key)
    asked = messages.FindTonightRequest(case_id=opened.case_id, need_id=opened.need_ids[0])
    assert (await intake.ask("FindTonight", asked, OFFICER)).HasField("tonight")
    before = intake.clock.now()
    intake.clock.advance(timedelta(hours=1, seconds=1))
    try:
        with pytest.raises(Refusal) as refused:
            await intake.ask("FindTonight", asked, OFFICER)
        assert refused.value.reason == "police-write-mostly"
        assert not (await intake.ask("OpenCase", request, OFFICER, key)).HasField("tonight")
    finally:
        intake.clock.advance(before - intake.clock.now())


async def test_what_is_kept_of_a_command_cannot_be_tried_against_names(intake: Intake) -> None:
    request, key = open_request(), str(uuid.uuid4())
    await intake.ask("OpenCase", request, OUTREACH, key)
    kept = await intake.database.pool.fetchval("SELECT fingerprint FROM idempotency WHERE key = $1", key)
    said = b"aid.intake.v1.IntakeService/OpenCase\0" + request.SerializeToString(deterministic=True)
    assert kept == hmac.digest(intake.secrets.digest, said, hashlib.sha256)
    assert kept not in (hashlib.sha256(said).digest(), hmac.digest(b"", said, hashlib.sha256))


async def test_every_reading_of_a_person_is_logged_and_the_log_cannot_be_rewritten(intake: Intake) -> None:
    opened = await opened_case(intake)
    before = await intake.count("access_log")
    await intake.case(opened.case_id, COLLEAGUE)
    rows = await intake.database.pool.fetch(
        "SELECT reader, agency, case_id::text, why, person_id FROM access_log ORDER BY access_id OFFSET $1",
        before,
    )
    assert [(row["reader"], row["agency"], row["case_id"], row["why"]) for row in rows] == [
        ("colleague", COLLEAGUE.agency, opened.case_id, "GetCase")
    ] * 2
    assert len({row["person_id"] for row in rows}) == 2
    for statement in ("DELETE FROM access_log", "UPDATE access_log SET reader = 'x'", "TRUNCATE access_log"):
        with pytest.raises(Exception, match="permission denied"):
            await intake.database.pool.execute(statement)


async def test_nothing_personal_lies_in_the_database_in_the_clear(intake: Intake) -> None:
    marker = f"zq{uuid.uuid4().hex}"
    person = messages.Person(
        given_name=marker + "a", family_name=marker + "b", note=marker + "c", contact=marker + "d",
        birth_date="1987-12-13", due_date="2026-12-14",
    )  # fmt: skip
    request = open_request(
        lodging(1),
        household=household(persons=[person], handoff_point=marker + "e", handoff_slot=marker + "f"),
    )
    opened = await intake.ask("OpenCase", request, OUTREACH)
    shown = (await intake.case(opened.case_id, OUTREACH)).persons[0]
    assert (shown.note, shown.due_date) == (marker + "c", "2026-12-14")
    tables = await intake.database.pool.fetch(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables "
        "WHERE table_schema IN ('public', 'keystore') AND table_type = 'BASE TABLE'"
    )
    assert len(tables) > 15
    for table in tables:
        for text in (marker, marker.encode().hex(), "1987-12-13", "2026-12-14"):
            found = await intake.database.pool.fetchval(
                f"SELECT count(*) FROM {table['name']} AS row WHERE row::text LIKE '%' || $1 || '%'", text
            )
            assert found == 0, (table["name"], text)


async def test_a_due_date_leaves_as_a_week(intake: Intake) -> None:
    person = messages.Person(given_name="Mara", due_date="2026-12-16", age_band=messages.AGE_BAND_ADULT)
    opened = await intake.ask("OpenCase", open_request(household=household(persons=[person])), OUTREACH)
    [said] = await intake.announced(opened.case_id)
    assert isinstance(said, events.CaseOpened)
    assert said.facts.newborn_space_from_week == "2026-W49"


async def test_an_unregistered_agency_and_a_worker_of_another_one_are_refused(intake: Intake) -> None:
    stranger = type(OUTREACH)("stranger", new_id(), frozenset({"outreach"}))
    moved = type(OUTREACH)("manager", OUTREACH.agency, frozenset({"case_manager"}))
    for who, reason in ((stranger, "agency-unknown"), (moved, "worker-of-another-agency")):
        with pytest.raises(Refusal) as refused:
            await intake.ask("OpenCase", open_request(), who)
        assert (refused.value.kind, refused.value.reason) == ("denied", reason)


async def test_food_and_goods_do_not_mix_their_fields(intake: Intake) -> None:
    need = messages.NeedInput(kind=common.NEED_KIND_FOOD, nights=3, item_id="rice", quantity=1)
    with pytest.raises(Refusal) as refused:
        await intake.ask("OpenCase", open_request(need), OUTREACH)
    assert refused.value.reason == "need-fields-mixed"


_HIDE = """
WITH advanced AS (UPDATE case_file SET version = version + 1 WHERE case_id = $1 RETURNING household_id)
UPDATE household SET confidential = true, revision = revision + 1 FROM advanced
WHERE household.household_id = advanced.household_id
"""
_WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_whoever_waited_for_a_case_finds_its_household_as_it_is_now(intake: Intake) -> None:
    case_id = CaseId(uuid.UUID((await opened_case(intake, lodging(3))).case_id))

    async def locked() -> Case | None:
        async with intake.application.works.within(REGION)() as work:
            return await work.cases.lock(case_id, WorkerName("outreach"))

    async def waits() -> bool:
        return bool(await intake.database.pool.fetchval(_WAITING))

    before = await locked()
    async with intake.database.transaction() as other:
        await other.execute(_HIDE, case_id)
        waiting = asyncio.create_task(locked())
        await until(waits, what="the second work waiting for the case")
    after = await waiting
    assert before is not None
    assert after is not None
    assert (after.version, after.facts.revision) == (before.version + 1, before.facts.revision + 1)
    assert (before.confidential, after.confidential) == (False, True)
