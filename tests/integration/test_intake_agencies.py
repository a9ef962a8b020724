"""A worker's own desk, workers who move, and confidential cases in an emergency."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import agencies_pb2 as desk
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages

from services.chassis import errors
from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.chassis.timers import Timers
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints import pages
from services.intake.entrypoints.deadlines import deadlines
from tests.support.intake import (
    ADVOCATE,
    AGENCIES,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    OFFICER,
    OPERATOR,
    OUTREACH,
    Intake,
    household,
    lodging,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

SUPERVISOR = Principal("supervisor", str(uuid.uuid5(uuid.NAMESPACE_DNS, "hub")), frozenset({"supervisor"}))
INSIDER = Principal("insider", AGENCIES["outreach"], frozenset({"supervisor"}))
WHY = "She called from the station and nobody else is here."


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def opened(intake: Intake, who: Principal, *, hiding: bool = False) -> messages.OpenCaseResponse:
    """One minute after the one before, so that the order in a list is known."""
    intake.clock.advance(timedelta(minutes=1))
    request = open_request(lodging(3), household=household(fleeing=hiding), find_tonight=hiding)
    answer: messages.OpenCaseResponse = await intake.ask("OpenCase", request, who)
    return answer


async def assign(intake: Intake, case: messages.OpenCaseResponse, who: Principal) -> None:
    code = case.tonight.hub.arrival_code
    request = messages.AssignWorkerRequest(arrival_code=code, worker=who.subject)
    await intake.ask("AssignWorker", request, HUB_DESK)


async def register(intake: Intake, who: Principal, agency: str = "") -> None:
    request = messages.RegisterWorkerRequest(worker=who.subject, agency_id=agency or who.agency)
    await intake.ask("RegisterWorker", request, OPERATOR)


async def listed(intake: Intake, who: Principal, size: int = 0) -> list[desk.CaseLine]:
    """All pages."""
    found: list[desk.CaseLine] = []
    token = ""
    while True:
        request = desk.ListCasesRequest(page_size=size, page_token=token)
        page = await intake.ask("ListCases", request, who)
        assert len(page.cases) <= (size or 50)
        found.extend(page.cases)
        token = page.next_page_token
        if not token:
            return found


async def refused(intake: Intake, method: str, request: Any, who: Principal) -> tuple[str, str]:
    with pytest.raises((Refusal, AidError)) as caught:
        await intake.ask(method, request, who)
    shown = errors.of(caught.value)
    assert shown is not None
    return shown.kind.value, shown.reason


def shown(lines: Sequence[desk.CaseLine]) -> list[tuple[str, str, int]]:
    return [(line.case_id, line.status, line.head_count) for line in lines]


async def test_a_worker_lists_the_agency_s_open_cases_and_the_confidential_ones_of_their_own(
    intake: Intake,
) -> None:
    first = await opened(intake, OUTREACH)
    hers = await opened(intake, OUTREACH, hiding=True)
    closed = await opened(intake, COLLEAGUE)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=closed.case_id), COLLEAGUE)
    elsewhere = await opened(intake, MANAGER)
    theirs = await opened(intake, OFFICER, hiding=True)
    last = await opened(intake, COLLEAGUE)
    open_ones = [(last.case_id, "open", 2), (first.case_id, "open", 2)]
    assert shown(await listed(intake, COLLEAGUE)) == open_ones
    hidden = (hers.case_id, "with the hub", 0)
    assert shown(await listed(intake, OUTREACH)) == [open_ones[0], hidden, open_ones[1]]
    assert shown(await listed(intake, MANAGER)) == [(elsewhere.case_id, "open", 2)]
    assert await listed(intake, ADVOCATE) == []
    await assign(intake, hers, ADVOCATE)
    await assign(intake, theirs, ADVOCATE)
    assert shown(await listed(intake, ADVOCATE)) == [(theirs.case_id, "open", 2), (hers.case_id, "open", 2)]
    assert shown(await listed(intake, OUTREACH)) == [open_ones[0], hidden, open_ones[1]]


async def test_pages_hold_what_is_seen_and_no_gaps(intake: Intake) -> None:
    """Nobody can count by short pages what is hidden from them."""
    seen = []
    for n in range(9):
        case = await opened(intake, OUTREACH, hiding=n % 3 == 1)
        if n % 3 != 1:
            seen.append(case.case_id)
    for size in (1, 2, 4, 6, 7):
        assert [line.case_id for line in await listed(intake, COLLEAGUE, size)] == seen[::-1]
    request = desk.ListCasesRequest(page_size=3)
    page = await intake.ask("ListCases", request, COLLEAGUE)
    assert len(page.cases) == 3
    for token in ("x", "e30=", page.next_page_token[4:], "WyIyMDI2IiwgIngiXQ=="):
        broken = desk.ListCasesRequest(page_token=token)
        assert await refused(intake, "ListCases", broken, COLLEAGUE) == ("invalid", "page-token-malformed")
    assert await refused(intake, "ListCases", desk.ListCasesRequest(page_size=201), COLLEAGUE) == (
        "invalid",
        "page-size-out-of-range",
    )


async def test_police_list_the_status_of_the_cases_they_opened(intake: Intake) -> None:
    plain, hidden = await opened(intake, OFFICER), await opened(intake, OFFICER, hiding=True)
    other = Principal("other-officer", AGENCIES["police"], frozenset({"outreach", "case_manager"}))
    mine = [(hidden.case_id, "with the hub", 0), (plain.case_id, "open", 0)]
    assert shown(await listed(intake, OFFICER)) == mine
    assert await listed(intake, other) == []
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=plain.case_id), OFFICER)
    await assign(intake, hidden, ADVOCATE)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=hidden.case_id), ADVOCATE)
    assert shown(await listed(intake, OFFICER)) == [mine[0], (plain.case_id, "closed", 0)]
    assert {line.area for line in await listed(intake, OFFICER)} == {""}


async def test_an_agency_shows_itself_and_its_workers_to_its_own(intake: Intake) -> None:
    await register(intake, OUTREACH)
    await register(intake, COLLEAGUE)
    answer = await intake.ask("GetAgency", desk.GetAgencyRequest(), OUTREACH)
    assert (answer.agency_id, answer.name, answer.type) == (
        OUTREACH.agency,
        "outreach",
        messages.AGENCY_TYPE_OUTREACH,
    )
    first = await intake.ask("ListWorkers", desk.ListWorkersRequest(page_size=1), OUTREACH)
    rest = await intake.ask(
        "ListWorkers", desk.ListWorkersRequest(page_token=first.next_page_token), OUTREACH
    )
    assert [each.worker for page in (first, rest) for each in page.workers] == ["colleague", "outreach"]
    assert not rest.next_page_token
    stranger = Principal("stranger", new_id(), frozenset({"outreach"}))
    for method, request in (
        ("GetAgency", desk.GetAgencyRequest()),
        ("ListWorkers", desk.ListWorkersRequest()),
    ):
        assert await refused(intake, method, request, stranger) == ("denied", "agency-unknown")


async def test_whoever_moves_to_another_agency_loses_the_old_one_s_confidential_cases(intake: Intake) -> None:
    await register(intake, COLLEAGUE)
    of_the_old, of_another = (
        await opened(intake, OUTREACH, hiding=True),
        await opened(intake, MANAGER, hiding=True),
    )
    for case in (of_the_old, of_another):
        await assign(intake, case, COLLEAGUE)
        assert (await intake.case(case.case_id, COLLEAGUE)).persons
    await register(intake, COLLEAGUE)  # told again, nothing changes
    assert (await intake.case(of_the_old.case_id, COLLEAGUE)).persons
    await register(intake, COLLEAGUE, AGENCIES["safe"])
    old_token = desk.ListCasesRequest()
    assert await refused(intake, "ListCases", old_token, COLLEAGUE) == ("denied", "worker-of-another-agency")
    moved = Principal(COLLEAGUE.subject, AGENCIES["safe"], COLLEAGUE.roles)
    asked = messages.GetCaseRequest(case_id=of_the_old.case_id)
    assert await refused(intake, "GetCase", asked, moved) == ("missing", "not-found")
    assert shown(await listed(intake, moved)) == [(of_another.case_id, "open", 2)]
    await register(intake, COLLEAGUE, AGENCIES["outreach"])
    assert await refused(intake, "GetCase", asked, COLLEAGUE) == ("missing", "not-found")


def breaking(**changes: Any) -> desk.BreakGlassRequest:
    return desk.BreakGlassRequest(**{"reason": WHY, **changes})


async def due(intake: Intake) -> None:
    """Everything that is due now happens."""
    timers = Timers(
        intake.database, intake.clock, intake.application.works, deadlines(), metrics=intake.metrics
    )
    while await timers.keep():
        pass


async def test_glass_is_broken_for_an_hour_logged_and_told_elsewhere(intake: Intake) -> None:
    case = await opened(intake, OFFICER, hiding=True)
    hers = await opened(intake, OUTREACH, hiding=True)
    asked = messages.GetCaseRequest(case_id=hers.case_id)
    assert await refused(intake, "GetCase", asked, COLLEAGUE) == ("missing", "not-found")
    key = "broken-once"
    answer = await intake.ask("BreakGlass", breaking(case_id=hers.case_id), COLLEAGUE, key)
    assert answer == await intake.ask("BreakGlass", breaking(case_id=hers.case_id), COLLEAGUE, key)
    assert answer.until.ToDatetime() == (intake.clock.now() + timedelta(hours=1)).replace(tzinfo=None)
    assert len((await intake.case(hers.case_id, COLLEAGUE)).persons) == 2
    await intake.ask(
        "ReportNeed", messages.ReportNeedRequest(case_id=hers.case_id, need=lodging(1)), COLLEAGUE
    )
    assert await listed(intake, COLLEAGUE) == [], "a list shows what one is assigned to"
    code = messages.AssignWorkerRequest(case_id=hers.case_id, worker=MANAGER.subject)
    helper = Principal("colleague", AGENCIES["outreach"], frozenset({"advocate"}))
    assert await refused(intake, "AssignWorker", code, helper) == ("missing", "not-found")
    log = await intake.database.pool.fetch(
        "SELECT reader, why FROM access_log WHERE case_id = $1::text::uuid ORDER BY access_id", hers.case_id
    )
    assert [tuple(row) for row in log] == [
        ("colleague", "BreakGlass"),
        ("colleague", "GetCase after BreakGlass"),
        ("colleague", "GetCase after BreakGlass"),
    ]
    [told] = (await intake.ask("ListBreakGlass", desk.ListBreakGlassRequest(), SUPERVISOR)).broken
    assert (told.agency, told.worker, told.reason) == ("outreach", "colleague", WHY)
    assert hers.case_id not in str(told)
    assert case.case_id not in str(told)
    intake.clock.advance(timedelta(minutes=59))
    assert (await intake.case(hers.case_id, COLLEAGUE)).persons
    intake.clock.advance(timedelta(minutes=1))
    assert await refused(intake, "GetCase", asked, COLLEAGUE) == ("missing", "not-found")


async def test_whoever_watches_through_broken_glass_is_shut_out_when_its_time_is_over(intake: Intake) -> None:
    hers = await opened(intake, OUTREACH, hiding=True)
    by_code = breaking(arrival_code=hers.tonight.hub.arrival_code)
    assert (await intake.ask("BreakGlass", by_code, COLLEAGUE)).case_id == hers.case_id
    async with aclosing(intake.watch(hers.case_id, COLLEAGUE)) as views:
        assert (await anext(views)).case.persons
        intake.clock.advance(timedelta(hours=1))
        await due(intake)
        with pytest.raises(Refusal, match="nothing of that name"):
            await anext(views)
    ended = await intake.database.pool.fetchval("SELECT count(*) FROM break_glass WHERE ended_at IS NOT NULL")
    assert ended == 1


async def test_a_supervisor_of_another_agency_looks_into_it_once(intake: Intake) -> None:
    hers = await opened(intake, OUTREACH, hiding=True)
    for _ in range(3):
        intake.clock.advance(timedelta(minutes=1))
        await intake.ask("BreakGlass", breaking(case_id=hers.case_id), COLLEAGUE)
    first = await intake.ask("ListBreakGlass", desk.ListBreakGlassRequest(page_size=2), SUPERVISOR)
    second = desk.ListBreakGlassRequest(page_size=2, page_token=first.next_page_token)
    rest = await intake.ask("ListBreakGlass", second, SUPERVISOR)
    ids = [each.glass_id for page in (first, rest) for each in page.broken]
    assert len(set(ids)) == 3
    acked = desk.AckBreakGlassRequest(glass_id=ids[0])
    assert (await intake.ask("ListBreakGlass", desk.ListBreakGlassRequest(), INSIDER)).broken == []
    assert await refused(intake, "AckBreakGlass", acked, INSIDER) == ("missing", "not-found")
    await intake.ask("AckBreakGlass", acked, SUPERVISOR)
    await intake.ask("AckBreakGlass", acked, Principal("later", "", frozenset({"supervisor"})))
    left = (await intake.ask("ListBreakGlass", desk.ListBreakGlassRequest(), SUPERVISOR)).broken
    assert [each.glass_id for each in left] == ids[1:]
    by = await intake.database.pool.fetch(
        "SELECT acknowledged_by FROM break_glass WHERE acknowledged_by <> ''"
    )
    assert [row[0] for row in by] == ["supervisor"]
    reads = await intake.database.pool.fetchval(
        "SELECT count(*) FROM access_log WHERE reader = 'supervisor' AND why = 'ListBreakGlass'"
    )
    assert reads == 5


async def test_why_glass_was_broken_goes_with_anybody_of_the_household_who_is_forgotten(
    intake: Intake,
) -> None:
    """It may name any of them, and a backup that is restored a week later must not be able to."""
    hers = await opened(intake, ADVOCATE, hiding=True)
    colleague = Principal("in the night", ADVOCATE.agency, frozenset({"advocate"}))

    async def reasons() -> list[str]:
        broken = (await intake.ask("ListBreakGlass", desk.ListBreakGlassRequest(), SUPERVISOR)).broken
        return [each.reason for each in broken]

    async def erase() -> None:
        asked = households.GetHouseholdRequest(case_id=hers.case_id)
        view = (await intake.ask("GetHousehold", asked, ADVOCATE)).household
        request = households.ErasePersonRequest(
            case_id=hers.case_id, expected_revision=view.revision, person_id=view.persons[0].person_id
        )
        await intake.ask("ErasePerson", request, ADVOCATE)

    await intake.ask("BreakGlass", breaking(case_id=hers.case_id), colleague)
    assert await reasons() == [WHY]
    backup = await intake.database.pool.fetch("SELECT glass_id, reason FROM break_glass")
    await erase()
    assert await reasons() == [""], "that it happened is told all the same"
    for row in backup:
        await intake.database.pool.execute(
            "UPDATE break_glass SET reason = $2 WHERE glass_id = $1", row["glass_id"], row["reason"]
        )
    assert await reasons() == [""], "nor does a backup of the vault tell it"
    await intake.ask("BreakGlass", breaking(case_id=hers.case_id), colleague)
    assert sorted(await reasons()) == ["", WHY]
    await erase()
    assert await reasons() == ["", ""]


async def test_glass_stays_whole_for_everybody_else(intake: Intake) -> None:
    plain, hers = await opened(intake, OUTREACH), await opened(intake, OUTREACH, hiding=True)
    theirs = await opened(intake, OFFICER, hiding=True)
    chief = Principal("chief", AGENCIES["police"], frozenset({"case_manager", "advocate"}))
    absent = ("missing", "not-found")
    for request, who, expected in (
        (breaking(case_id=hers.case_id), MANAGER, absent),
        (breaking(case_id=hers.case_id), ADVOCATE, absent),
        (breaking(arrival_code=hers.tonight.hub.arrival_code), MANAGER, absent),
        (breaking(case_id=theirs.case_id), OFFICER, absent),
        (breaking(case_id=theirs.case_id), chief, absent),
        (breaking(case_id=new_id()), COLLEAGUE, absent),
        (breaking(case_id=plain.case_id), COLLEAGUE, ("refused", "not-confidential")),
        (breaking(case_id=hers.case_id, reason="because"), COLLEAGUE, ("invalid", "reason-missing")),
        (breaking(), COLLEAGUE, ("invalid", "case-missing")),
        (breaking(case_id=hers.case_id), SUPERVISOR, ("denied", "role-not-allowed")),
    ):
        assert await refused(intake, "BreakGlass", request, who) == expected
    assert await intake.count("break_glass") == 0
    for method in ("ListBreakGlass", "AckBreakGlass"):
        request = getattr(desk, f"{method}Request")()
        assert await refused(intake, method, request, COLLEAGUE) == ("denied", "role-not-allowed")


async def test_strange_words_are_answered(intake: Intake) -> None:
    """Whatever a token or a code holds, it is a refusal and no fault."""
    strange = ["\0", "a\0b", "\ud7ff", "[" * 5_000, "💥" * 300]
    strange += [
        pages.token(*parts)
        for parts in (
            ("0001-01-01T00:00:00+14:00", new_id()), ("9999-12-31T23:59:59-14:00", new_id()), ("\0", "\0"), ("\0",),
            ("2026-11-24T12:00:00", new_id()), ("x" * 5_000,),
        )
    ]  # fmt: skip
    for text in strange:
        for method, request, who in (
            ("ListCases", desk.ListCasesRequest(page_token=text), COLLEAGUE),
            ("ListWorkers", desk.ListWorkersRequest(page_token=text), COLLEAGUE),
            ("ListBreakGlass", desk.ListBreakGlassRequest(page_token=text), SUPERVISOR),
            ("BreakGlass", breaking(arrival_code=text), COLLEAGUE),
            ("BreakGlass", breaking(case_id=text), COLLEAGUE),
            ("AckBreakGlass", desk.AckBreakGlassRequest(glass_id=text), SUPERVISOR),
        ):
            kind, _ = await refused(intake, method, request, who)
            assert kind in ("invalid", "missing"), (method, text)


async def test_the_reason_lies_in_the_database_sealed(intake: Intake) -> None:
    hers = await opened(intake, OUTREACH, hiding=True)
    marker = f"zq{uuid.uuid4().hex} asked for it"
    await intake.ask("BreakGlass", breaking(case_id=hers.case_id, reason=marker), COLLEAGUE)
    tables = await intake.database.pool.fetch(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables "
        "WHERE table_schema IN ('public', 'keystore') AND table_type = 'BASE TABLE'"
    )
    for table in tables:
        for text in (marker, marker.encode().hex()):
            found = await intake.database.pool.fetchval(
                f"SELECT count(*) FROM {table['name']} AS row WHERE row::text LIKE '%' || $1 || '%'", text
            )
            assert found == 0, table["name"]
