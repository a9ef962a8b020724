"""Derived needs through intake's doors: shown as derived, in step with the household, told by difference only."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import needs_pb2 as needs
from aid.intake.v1 import stays_pb2 as stays
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import Message

from services.chassis.envelope import Announcement
from services.chassis.timers import Timers
from services.intake.adapters.snapshots import CaseSnapshots
from services.intake.adapters.wire import CASES
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
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
from tests.support.stack import RunningStack

TODAY = NOON.date()
MONTH = timedelta(days=30)


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


@pytest.fixture
async def clocked(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    """One whose clock the test may move."""
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def opened_case(intake: Intake, *asked: messages.NeedInput, **changes: Any) -> str:
    request = open_request(*asked, **({"household": household(**changes)} if changes else {}))
    answer = await intake.ask("OpenCase", request, OUTREACH)
    return str(answer.case_id)


async def derived(intake: Intake, case_id: str, **more: Any) -> needs.DeriveNeedsResponse:
    answer: needs.DeriveNeedsResponse = await intake.ask(
        "DeriveNeeds", needs.DeriveNeedsRequest(case_id=case_id, **more), OUTREACH
    )
    return answer


async def listed(intake: Intake, case_id: str) -> needs.ListNeedsResponse:
    answer: needs.ListNeedsResponse = await intake.ask(
        "ListNeeds", needs.ListNeedsRequest(case_id=case_id), COLLEAGUE
    )
    return answer


async def open_lines(intake: Intake, case_id: str) -> dict[str, tuple[int, str]]:
    """Item (or "food") of each open derived need, with its quantity (days) and size."""
    found = {}
    for line in (await listed(intake, case_id)).needs:
        need = line.view.need
        if line.view.norm and line.view.state not in ("withdrawn", "met"):
            found[need.item_id or "food"] = (need.quantity or need.nights, need.size)
    return found


async def overrule(intake: Intake, case_id: str, norm: str, **said: Any) -> needs.OverruleNeedResponse:
    request = needs.OverruleNeedRequest(case_id=case_id, norm=norm, **{"reason": "as they said", **said})
    answer: needs.OverruleNeedResponse = await intake.ask("OverruleNeed", request, OUTREACH)
    return answer


async def advance(intake: Intake, by: timedelta) -> None:
    """Move domain time, and keep every promise that falls due on the way."""
    intake.clock.advance(by)
    timers = Timers(
        intake.database, intake.clock, intake.application.works, intake.application.deadlines,
        metrics=intake.metrics,
    )  # fmt: skip
    while await timers.keep():
        pass


def folded(told: Sequence[Message]) -> dict[str, common.Need]:
    """What whoever heard every event knows to be open."""
    known: dict[str, common.Need] = {}
    for event in told:
        match event:
            case events.NeedReported():
                assert event.need.need_id not in known
                known[event.need.need_id] = event.need
            case events.NeedChanged():
                assert known[event.need.need_id] != event.need
                known[event.need.need_id] = event.need
            case events.NeedWithdrawn() | events.NeedMet():
                del known[event.need_id]
            case _:
                pass
    return known


async def agreed(intake: Intake, case_id: str) -> None:
    """What was told, what is shown and what a snapshot says are one."""
    heard = folded(await intake.announced(case_id))
    shown = {
        line.view.need.need_id: line.view.need
        for line in (await listed(intake, case_id)).needs
        if line.view.state not in ("withdrawn", "met")
    }
    assert heard == shown
    snapshots = intake.application.snapshots[CASES]
    assert isinstance(snapshots, CaseSnapshots)
    async with intake.application.works() as work:
        said: Announcement | None = await snapshots.snapshot(work.connection, case_id)
    assert said is not None
    kept = events.CaseSnapshot.FromString(said.payload).open_needs
    assert {need.need_id: need for need in kept} == heard


async def received(intake: Intake, case_id: str, need_id: str, quantity: int) -> None:
    """A bag is set aside for the need and handed over."""
    allocation_id = new_id()
    await intake.hear(
        matching.NeedAllocated(
            case_id=case_id, need_id=need_id, allocation_id=allocation_id, quantity=quantity
        ),
        logistics.HandoverConfirmed(allocation_id=allocation_id, day=intake.clock.now().date().isoformat()),
    )


async def need_id_of(intake: Intake, case_id: str, item: str) -> str:
    [found] = [
        line.view.need.need_id
        for line in (await listed(intake, case_id)).needs
        if line.view.need.item_id == item and line.view.state not in ("withdrawn", "met")
    ]
    return str(found)


async def test_what_follows_is_shown_before_it_is_asked_for(intake: Intake) -> None:
    case_id = await opened_case(intake, lodging(3))
    before = await intake.announced(case_id)
    request = needs.PreviewNeedsRequest(case_id=case_id)
    preview = (await intake.ask("PreviewNeeds", request, COLLEAGUE)).needs
    assert {(line.norm.name, line.item_id, line.size, line.quantity) for line in preview} == {
        ("food", "", "", 7),
        ("diapers", "diapers-size-4", "", 150),
        ("baby-blanket", "baby-blanket", "", 1),
        ("crib-sheet", "crib-sheet", "", 1),
        ("blanket", "blanket", "", 1),
        ("clothes", "clothes-infant", "86", 2),
        ("soap", "soap-bar", "", 5),
        ("laundry-soap", "laundry-soap", "", 2),
    }
    assert all("Sphere" in line.norm.source or "SPHERE" in line.norm.source for line in preview)
    assert await intake.announced(case_id) == before
    assert await open_lines(intake, case_id) == {}


async def test_derived_needs_are_told_once_and_shown_as_derived(intake: Intake) -> None:
    case_id = await opened_case(intake, goods("stroller", 1))
    first = await derived(intake, case_id)
    assert (len(first.reported), len(first.changed), len(first.withdrawn)) == (8, 0, 0)
    told = await intake.announced(case_id)
    again = await derived(intake, case_id)
    assert again == needs.DeriveNeedsResponse()
    assert await intake.announced(case_id) == told
    shown = await listed(intake, case_id)
    assert (shown.following, shown.since, shown.horizon_days) == (True, TODAY.isoformat(), 30)
    assert [line.norm.name for line in shown.needs][:3] == ["", "food", "diapers"]
    view = await intake.case(case_id, COLLEAGUE)
    assert {need.norm for need in view.needs} >= {"", "food", "soap"}
    await agreed(intake, case_id)


async def test_a_household_that_changes_is_told_by_difference_only(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await derived(intake, case_id)
    told = len(await intake.announced(case_id))
    await join(intake, case_id, messages.Person(birth_date="2026-10-25", relationship=2))
    news = (await intake.announced(case_id))[told:]
    kinds = [type(event).__name__ for event in news]
    assert kinds.count("NeedReported") == 2
    assert {event.need.item_id for event in news if isinstance(event, events.NeedReported)} == {
        "diapers-size-1",
        "clothes-newborn",
    }
    assert {event.need.item_id: event.need.quantity for event in news if isinstance(event, events.NeedChanged)} == {
        "baby-blanket": 2, "crib-sheet": 2, "soap-bar": 8, "laundry-soap": 3,
    }  # fmt: skip
    changed = next(event for event in news if isinstance(event, events.NeedChanged))
    assert changed.facts.infants == 2
    await agreed(intake, case_id)


async def join(intake: Intake, case_id: str, person: messages.Person) -> None:
    known = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    request = households.AddPersonRequest(
        case_id=case_id, expected_revision=known.household.revision, person=person
    )
    await intake.ask("AddPerson", request, OUTREACH)


async def test_a_child_outgrows_its_things_and_the_need_keeps_its_place(clocked: Intake) -> None:
    child = messages.Person(birth_date="2026-07-01", relationship=2)
    case_id = await opened_case(clocked, persons=[messages.Person(), child])
    await derived(clocked, case_id)
    clothes, told = (
        await need_id_of(clocked, case_id, "clothes-infant"),
        len(await clocked.announced(case_id)),
    )
    assert (await open_lines(clocked, case_id))["clothes-infant"] == (2, "68")
    await advance(clocked, timedelta(days=91))
    lines = await open_lines(clocked, case_id)
    assert lines["clothes-infant"] == (2, "74")
    assert "diapers-size-3" in lines
    assert "diapers-size-2" not in lines
    news = (await clocked.announced(case_id))[told:]
    sizes = [
        event.need.size
        for event in news
        if isinstance(event, events.NeedChanged) and event.need.need_id == clothes
    ]
    assert sizes == ["74"]
    await agreed(clocked, case_id)


async def test_what_was_received_counts_and_only_the_rest_is_asked_for(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await derived(intake, case_id)
    diapers = await need_id_of(intake, case_id, "diapers-size-4")
    await received(intake, case_id, diapers, 150)
    assert "diapers-size-4" not in await open_lines(intake, case_id)
    assert await derived(intake, case_id) == needs.DeriveNeedsResponse()
    await overrule(intake, case_id, "diapers", item_id="diapers-size-4", quantity=180)
    assert (await open_lines(intake, case_id))["diapers-size-4"] == (30, "")
    preview = await intake.ask("PreviewNeeds", needs.PreviewNeedsRequest(case_id=case_id), COLLEAGUE)
    [line] = [line for line in preview.needs if line.norm.name == "diapers"]
    assert (line.quantity, line.received, line.overrule.quantity) == (180, 150, 180)
    await agreed(intake, case_id)


async def test_a_need_that_is_half_received_is_met_when_half_is_all_that_is_wanted(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await derived(intake, case_id)
    soap = await need_id_of(intake, case_id, "soap-bar")
    await received(intake, case_id, soap, 3)
    told = len(await intake.announced(case_id))
    await overrule(intake, case_id, "soap", quantity=3)
    news = (await intake.announced(case_id))[told:]
    assert [(type(event).__name__, event.need_id) for event in news] == [("NeedMet", soap)]  # type: ignore[attr-defined]
    await agreed(intake, case_id)


async def test_the_next_month_is_asked_for_on_top_of_what_was_received(clocked: Intake) -> None:
    case_id = await opened_case(clocked)
    await derived(clocked, case_id)
    diapers = await need_id_of(clocked, case_id, "diapers-size-4")
    await received(clocked, case_id, diapers, 60)
    await advance(clocked, MONTH)
    assert await need_id_of(clocked, case_id, "diapers-size-4") == diapers
    assert (await open_lines(clocked, case_id))["diapers-size-4"] == (210, "")
    [line] = [each for each in (await listed(clocked, case_id)).needs if each.view.need.need_id == diapers]
    assert line.handed_over == 60
    assert line.view.need.latest_date == (TODAY + MONTH + timedelta(days=29)).isoformat()
    await agreed(clocked, case_id)


async def test_the_clock_brings_the_newborns_needs_forward_and_a_birth_asks_for_nothing_anew(
    clocked: Intake,
) -> None:
    due = TODAY + timedelta(days=24)
    mother = messages.Person(birth_date="1998-05-02", due_date=due.isoformat(), relationship=1)
    case_id = await opened_case(clocked, persons=[mother])
    await derived(clocked, case_id)
    assert "newborn-kit" not in await open_lines(clocked, case_id)
    monday = due - timedelta(days=14)
    monday -= timedelta(days=monday.weekday())
    await advance(clocked, datetime.combine(monday, datetime.min.time(), NOON.tzinfo) - clocked.clock.now())
    lines = await open_lines(clocked, case_id)
    assert lines["newborn-kit"] == (1, "")
    assert lines["diapers-newborn"] == (215, "")
    latest = {
        event.need.latest_date
        for event in await clocked.announced(case_id)
        if isinstance(event, events.NeedReported) and event.need.item_id == "newborn-kit"
    }
    assert latest == {(monday + timedelta(days=13)).isoformat()}
    assert due.isoformat() not in json.dumps([str(event) for event in await clocked.announced(case_id)])
    await agreed(clocked, case_id)


async def test_a_clock_that_is_set_back_brings_nothing_back(clocked: Intake) -> None:
    case_id = await opened_case(clocked)
    await derived(clocked, case_id)
    await advance(clocked, MONTH)
    told = await clocked.announced(case_id)
    await advance(clocked, timedelta(days=-2))
    await derived(clocked, case_id)
    await advance(clocked, timedelta(days=2))
    assert await clocked.announced(case_id) == told


async def test_a_worker_overrules_a_norm_with_a_reason_and_takes_it_back(intake: Intake) -> None:
    case_id = await opened_case(intake)
    reason = f"cloth diapers {uuid.uuid4().hex}"
    await overrule(intake, case_id, "diapers", not_needed=True, reason=reason)
    await derived(intake, case_id)
    assert "diapers-size-4" not in await open_lines(intake, case_id)
    shown = await listed(intake, case_id)
    [word] = shown.overrules
    assert (word.norm, word.not_needed, word.reason, word.overruled_by) == (
        "diapers",
        True,
        reason,
        "outreach",
    )
    for table in ("overrule", "need", "outbox", "access_log", "idempotency"):
        found = await intake.database.pool.fetchval(
            f"SELECT count(*) FROM {table} AS row WHERE row::text LIKE '%' || $1 || '%'", reason.split()[-1]
        )
        assert found == 0, table
    lift = needs.LiftOverruleRequest(case_id=case_id, norm="diapers")
    lifted = await intake.ask("LiftOverrule", lift, COLLEAGUE)
    assert len(lifted.reported) == 1
    assert (await open_lines(intake, case_id))["diapers-size-4"] == (150, "")
    with pytest.raises(Refusal, match="nothing of that name"):
        await intake.ask("LiftOverrule", lift, COLLEAGUE)
    await agreed(intake, case_id)


async def test_a_second_word_takes_the_place_of_the_first(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await derived(intake, case_id)
    await overrule(intake, case_id, "soap", quantity=9)
    answer = await overrule(intake, case_id, "soap", quantity=2, reason="two are enough")
    assert len(answer.changed) == 1
    shown = await listed(intake, case_id)
    assert [(word.quantity, word.reason) for word in shown.overrules] == [(2, "two are enough")]
    [line] = [each for each in shown.needs if each.view.norm == "soap"]
    assert (line.view.need.quantity, line.overrule.reason) == (2, "two are enough")


async def test_stopping_takes_back_what_was_derived_and_nothing_else(clocked: Intake) -> None:
    case_id = await opened_case(clocked, goods("stroller", 1))
    await derived(clocked, case_id)
    for _ in range(2):
        await clocked.ask("StopDerivedNeeds", needs.StopDerivedNeedsRequest(case_id=case_id), OUTREACH)
    assert await open_lines(clocked, case_id) == {}
    assert [need.item_id for need in folded(await clocked.announced(case_id)).values()] == ["stroller"]
    told = await clocked.announced(case_id)
    await advance(clocked, MONTH)
    assert [type(event) for event in (await clocked.announced(case_id))[len(told) :]] == []
    assert not (await listed(clocked, case_id)).following


async def test_a_closed_case_asks_for_nothing_any_more(clocked: Intake) -> None:
    case_id = await opened_case(clocked)
    await derived(clocked, case_id)
    await clocked.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), OUTREACH)
    told = await clocked.announced(case_id)
    await advance(clocked, MONTH)
    assert await clocked.announced(case_id) == told
    with pytest.raises(Refusal, match="case is closed"):
        await derived(clocked, case_id)


async def test_a_case_that_is_opened_again_asks_again(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await derived(intake, case_id)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), OUTREACH)
    outside = stays.RecordLivingSituationRequest(case_id=case_id, living_situation=116)
    assert (await intake.ask("RecordLivingSituation", outside, OUTREACH)).reopened
    assert len(await open_lines(intake, case_id)) == 8


async def test_why_a_norm_was_overruled_goes_with_the_person_it_may_tell_of(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await overrule(intake, case_id, "soap", quantity=1, reason="Ivo has his own")
    known = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    request = households.ErasePersonRequest(
        case_id=case_id,
        expected_revision=known.household.revision,
        person_id=known.household.persons[1].person_id,
    )
    await intake.ask("ErasePerson", request, COLLEAGUE)
    [word] = (await listed(intake, case_id)).overrules
    assert (word.norm, word.quantity, word.reason) == ("soap", 1, "")


async def test_a_reported_need_becomes_another_and_is_told_so(intake: Intake) -> None:
    case_id = await opened_case(intake, lodging(3), goods("shoes-toddler", 1, size="eu-22"))
    first, second = (await listed(intake, case_id)).needs
    later = lodging(5, from_date="2026-12-01", latest_date="2026-12-05", constraints=["quiet", "crib"])
    for need_id, need in (
        (first.view.need.need_id, later),
        (second.view.need.need_id, goods("shoes-toddler", 2, size="eu-24")),
    ):
        request = needs.ChangeNeedRequest(case_id=case_id, need_id=need_id, need=need)
        answer = await intake.ask("ChangeNeed", request, COLLEAGUE)
        assert answer == await intake.ask("ChangeNeed", request, OUTREACH)
    changed = [event for event in await intake.announced(case_id) if isinstance(event, events.NeedChanged)]
    assert [(event.need.nights, event.need.from_date, event.need.latest_date) for event in changed] == [
        (5, "2026-12-01", "2026-12-05"),
        (0, "", ""),
    ]
    assert list(changed[0].need.constraints) == ["crib", "quiet"]
    assert (changed[1].need.quantity, changed[1].need.size) == (2, "eu-24")
    await agreed(intake, case_id)


async def test_what_cannot_be_changed_is_refused_and_says_why(intake: Intake) -> None:
    case_id = await opened_case(intake, lodging(3), goods("blanket", 4))
    await derived(intake, case_id)
    place, blankets = (line.view.need.need_id for line in (await listed(intake, case_id)).needs[:2])
    soap = await need_id_of(intake, case_id, "soap-bar")
    await received(intake, case_id, blankets, 2)
    for need_id, need, reason in (
        (place, goods(), "need-of-another-kind"),
        (blankets, goods("towel", 4), "need-of-another-kind"),
        (blankets, goods("blanket", 2), "received-already"),
        (blankets, goods("blanket", 9, size="huge"), "size-unknown"),
        (place, lodging(2, constraints=["sunny"]), "constraint-unknown"),
        (soap, goods("soap-bar", 9), "need-derived"),
        (new_id(), lodging(2), "not-found"),
    ):
        with pytest.raises(Refusal) as refused:
            await intake.ask(
                "ChangeNeed", needs.ChangeNeedRequest(case_id=case_id, need_id=need_id, need=need), OUTREACH
            )
        assert refused.value.reason == reason
    with pytest.raises(Refusal, match="overrule that"):
        await intake.ask(
            "WithdrawNeed", messages.WithdrawNeedRequest(case_id=case_id, need_id=soap), OUTREACH
        )
    assert not [event for event in await intake.announced(case_id) if isinstance(event, events.NeedChanged)]


async def test_needs_of_every_kind_are_recorded_shown_and_told(intake: Intake) -> None:
    asked = [
        messages.NeedInput(kind=common.NEED_KIND_HOUSING, constraints=["near-school", "ground-floor"]),
        messages.NeedInput(kind=common.NEED_KIND_SERVICES, item_id="legal-aid", latest_date="2026-12-24"),
        messages.NeedInput(kind=common.NEED_KIND_JOB, from_date="2027-02-01", constraints=["part-time"]),
    ]
    case_id = await opened_case(intake, *asked)
    view = await intake.case(case_id, OUTREACH)
    assert [need.need.kind for need in view.needs] == [need.kind for need in asked]
    assert list(view.needs[0].need.constraints) == ["ground-floor", "near-school"]
    assert (view.needs[1].need.item_id, view.needs[1].need.latest_date) == ("legal-aid", "2026-12-24")
    assert view.needs[2].need.from_date == "2027-02-01"
    await agreed(intake, case_id)


async def test_only_who_sees_the_whole_case_sees_what_follows_from_it(intake: Intake) -> None:
    hidden = await intake.ask("OpenCase", open_request(household=household(fleeing=True)), OUTREACH)
    police = await intake.ask("OpenCase", open_request(), OFFICER)
    answers = set()
    for case_id, who, reason in (
        (new_id(), MANAGER, "not-found"),
        (hidden.case_id, MANAGER, "not-found"),
        (hidden.case_id, COLLEAGUE, "not-found"),
        (hidden.case_id, OUTREACH, "with-the-hub"),
        (police.case_id, OFFICER, "police-write-mostly"),
    ):
        for method, request in (
            ("ListNeeds", needs.ListNeedsRequest(case_id=case_id)),
            ("PreviewNeeds", needs.PreviewNeedsRequest(case_id=case_id)),
            ("DeriveNeeds", needs.DeriveNeedsRequest(case_id=case_id)),
            ("StopDerivedNeeds", needs.StopDerivedNeedsRequest(case_id=case_id)),
            ("OverruleNeed", needs.OverruleNeedRequest(case_id=case_id, norm="soap", quantity=1, reason="r")),
            ("LiftOverrule", needs.LiftOverruleRequest(case_id=case_id, norm="soap")),
        ):
            with pytest.raises(Refusal) as refused:
                await intake.ask(method, request, who)
            assert refused.value.reason == reason, (method, who.subject)
            answers.add((reason, str(refused.value)))
    assert len(answers) == 3


async def test_an_advocate_derives_for_a_household_in_hiding_and_the_hubs_code_goes_along(
    intake: Intake,
) -> None:
    opened = await intake.ask("OpenCase", open_request(household=household(survivor=True)), ADVOCATE)
    await intake.ask("DeriveNeeds", needs.DeriveNeedsRequest(case_id=opened.case_id), ADVOCATE)
    reported = [
        event for event in await intake.announced(opened.case_id) if isinstance(event, events.NeedReported)
    ]
    assert len(reported) == 8
    assert all(event.arrival_code and event.facts.confidential for event in reported)


async def test_reading_ages_on_a_workers_behalf_is_logged(intake: Intake) -> None:
    case_id = await opened_case(intake)
    before = await intake.count("access_log")
    await intake.ask("PreviewNeeds", needs.PreviewNeedsRequest(case_id=case_id), COLLEAGUE)
    await derived(intake, case_id)
    assert await intake.count("access_log") == before + 4


async def test_two_workers_who_derive_at_once_ask_once(intake: Intake) -> None:
    case_id = await opened_case(intake)
    await asyncio.gather(*(derived(intake, case_id) for _ in range(4)))
    assert len(await open_lines(intake, case_id)) == 8
    await agreed(intake, case_id)


async def test_the_words_and_norms_are_listed(intake: Intake) -> None:
    words = await intake.ask("ListConstraints", needs.ListConstraintsRequest(), OUTREACH)
    assert len(words.kinds) == 6
    norms = await intake.ask("ListNorms", needs.ListNormsRequest(), OUTREACH)
    assert {norm.name for norm in norms.norms} >= {"food", "diapers", "newborn-kit", "soap"}
