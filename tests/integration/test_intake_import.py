"""Households of an export: each whole or not at all, the same again changes nothing, news change just that."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import events_pb2 as matching

from services.intake.domain.access import REGION
from services.intake.domain.refusal import Refusal
from tests.support.intake import OPERATOR, OUTREACH, Intake, goods, lodging, new_id, opened_intake
from tests.support.stack import RunningStack

AGENCY = messages.ImportedAgency(source_key="organisation:1", name="Harbor House")


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


def row(key: str, *needs: messages.NeedInput, **changes: Any) -> messages.ImportedHousehold:
    fields: dict[str, Any] = {
        "household": messages.Household(
            persons=[
                messages.Person(given_name="Una", birth_date="1990-02-03", relationship=1),
                messages.Person(given_name="Pim", birth_date="2019-02-03", relationship=2),
            ]
        ),
        "person_source_keys": ["person:1", "person:2"],
        "opened_on": "2026-01-05",
        "agency_source_key": AGENCY.source_key,
    }
    return messages.ImportedHousehold(source_key=key, needs=needs, **{**fields, **changes})


async def imported(
    intake: Intake, source: str, *rows: messages.ImportedHousehold, as_of: str = "2026-11-01"
) -> list[messages.ImportedHouseholdResult]:
    request = messages.ImportHouseholdsRequest(
        source_id=source, as_of=as_of, agencies=[AGENCY], households=rows
    )
    answer = await intake.ask("ImportHouseholds", request, OPERATOR)
    return list(answer.results)


def fresh() -> str:
    return f"source-{uuid.uuid4()}"


async def test_the_same_again_changes_nothing(intake: Intake) -> None:
    source = fresh()
    rows = [row("h1", lodging(7)), row("h2", closed=True)]
    first = await imported(intake, source, *rows)
    tables = ("case_file", "household", "person", "need", "outbox", "agency", "keystore.subject_key")
    before = [await intake.count(table) for table in tables]
    again = await imported(intake, source, *rows)
    assert [result.outcome for result in first] == ["created", "created"]
    assert [result.outcome for result in again] == ["unchanged", "unchanged"]
    assert [result.case_id for result in again] == [result.case_id for result in first]
    assert list(again[0].need_ids) == list(first[0].need_ids)
    assert [await intake.count(table) for table in tables] == before
    said = [type(event).__name__ for event in await intake.announced(first[1].case_id)]
    assert said == ["CaseOpened", "CaseClosed"]


async def test_a_household_that_cannot_be_is_refused_alone(intake: Intake) -> None:
    source = fresh()
    rows = [
        row("h1"),
        row("h2", lodging(900)),
        row("h3", agency_source_key="organisation:unknown"),
        row("h4", household=messages.Household()),
        row("h5", opened_on="yesterday"),
        row("h6", person_source_keys=["person:1", "person:1"]),
        row("h7"),
    ]
    results = await imported(intake, source, *rows)
    assert [(result.outcome, result.reason) for result in results] == [
        ("created", ""),
        ("refused", "nights-out-of-range"),
        ("refused", "agency-not-in-export"),
        ("refused", "person-keys-mismatch"),
        ("refused", "date-malformed"),
        ("refused", "person-twice"),
        ("created", ""),
    ]
    count = await intake.database.pool.fetchval("SELECT count(*) FROM imported WHERE source_id = $1", source)
    assert count == 2


async def test_a_changed_household_says_its_new_facts_and_keeps_its_persons(intake: Intake) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1"))
    persons = await person_ids(intake, created.case_id)
    newborn = messages.Person(given_name="Neo", birth_date="2026-10-30", relationship=2)
    grown = row("h1")
    grown.household.persons.append(newborn)
    grown.person_source_keys.append("person:3")
    [changed] = await imported(intake, source, grown)
    assert (changed.outcome, changed.case_id) == ("changed", created.case_id)
    *_, last = await intake.announced(created.case_id)
    assert isinstance(last, events.HouseholdChanged)
    assert (last.facts.adults, last.facts.children, last.facts.infants) == (1, 1, 1)
    assert last.facts.revision == 2
    now = await person_ids(intake, created.case_id)
    assert now[:2] == persons
    assert len(now) == 3


async def test_who_left_the_household_is_forgotten_with_the_key(intake: Intake) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1"))
    _, gone = await person_ids(intake, created.case_id)
    smaller = row("h1", person_source_keys=["person:1"])
    del smaller.household.persons[1]
    await imported(intake, source, smaller)
    assert gone not in await person_ids(intake, created.case_id)
    left = await intake.database.pool.fetchval(
        "SELECT count(*) FROM keystore.subject_key WHERE subject_id = $1", gone
    )
    assert left == 0


async def test_another_name_alone_is_kept_and_not_announced(intake: Intake) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1"))
    renamed = row("h1")
    renamed.household.persons[0].given_name = "Uma"
    [changed] = await imported(intake, source, renamed)
    assert changed.outcome == "changed"
    assert len(await intake.announced(created.case_id)) == 1


async def test_needs_follow_the_export_and_what_agencies_added_stays(intake: Intake) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1", lodging(7)))
    agency = await intake.database.pool.fetchval(
        "SELECT agency_id::text FROM case_file WHERE case_id = $1::text::uuid", created.case_id
    )
    worker = type(OUTREACH)("harbor", agency, frozenset({"case_manager"}))
    await intake.ask("ReportNeed", messages.ReportNeedRequest(case_id=created.case_id, need=goods()), worker)
    [later] = await imported(intake, source, row("h1", lodging(7)), as_of="2026-11-20")
    assert later.outcome == "unchanged"
    [gone] = await imported(intake, source, row("h1"))
    assert gone.outcome == "changed"
    assert [need.state for need in (await intake.case(created.case_id, worker)).needs] == [
        "withdrawn",
        "reported",
    ]
    [back] = await imported(intake, source, row("h1", lodging(7)))
    assert back.need_ids[0] == created.need_ids[0]
    assert [need.state for need in (await intake.case(created.case_id, worker)).needs] == [
        "withdrawn",
        "reported",
        "reported",
    ]


async def test_a_need_that_was_taken_back_here_is_not_reported_anew_by_the_next_export(
    intake: Intake,
) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1", lodging(7)))
    agency = await intake.database.pool.fetchval(
        "SELECT agency_id::text FROM case_file WHERE case_id = $1::text::uuid", created.case_id
    )
    worker = type(OUTREACH)("harbor-too", agency, frozenset({"case_manager"}))
    withdrawal = messages.WithdrawNeedRequest(case_id=created.case_id, need_id=created.need_ids[0])
    await intake.ask("WithdrawNeed", withdrawal, worker)
    [later] = await imported(intake, source, row("h1", lodging(7)), as_of="2026-11-20")
    assert later.outcome == "unchanged"
    assert len((await intake.case(created.case_id, worker)).needs) == 1


async def test_a_survivor_stays_confidential_when_the_export_forgets_it(intake: Intake) -> None:
    source = fresh()
    hidden = row("h1", lodging(7))
    hidden.household.survivor = True
    [created] = await imported(intake, source, hidden)
    await imported(intake, source, row("h1", lodging(7)))
    opened, reported = (await intake.announced(created.case_id))[:2]
    assert isinstance(opened, events.CaseOpened)
    assert opened.facts.confidential
    assert isinstance(reported, events.NeedReported)
    assert len(reported.arrival_code) == 8
    case_id = uuid.UUID(created.case_id)
    facts = "SELECT confidential FROM case_file JOIN household USING (household_id) WHERE case_id = $1"
    assert await intake.database.pool.fetchval(facts, case_id)


async def test_a_household_that_becomes_confidential_gets_a_code(intake: Intake) -> None:
    source = fresh()
    [created] = await imported(intake, source, row("h1", lodging(7)))
    hidden = row("h1", lodging(7), goods("soap", 2))
    hidden.household.fleeing = True
    await imported(intake, source, hidden)
    *_, changed, reported, whole = await intake.announced(created.case_id)
    assert isinstance(changed, events.HouseholdChanged)
    assert isinstance(reported, events.NeedReported)
    assert isinstance(whole, events.CaseSnapshot)
    assert reported.facts.confidential
    assert len(reported.arrival_code) == 8
    assert whole.arrival_code == reported.arrival_code
    assert [need.need_id for need in whole.open_needs] == [created.need_ids[0], reported.need.need_id]


async def test_a_household_that_comes_back_begins_a_new_case(intake: Intake) -> None:
    source = fresh()
    [first] = await imported(intake, source, row("h1", closed=True))
    [back] = await imported(intake, source, row("h1", lodging(7)))
    assert back.outcome == "created"
    assert back.case_id != first.case_id
    [ended] = await imported(intake, source, row("h1", closed=True))
    assert (ended.outcome, ended.case_id) == ("changed", back.case_id)
    said = [type(event).__name__ for event in await intake.announced(back.case_id)]
    assert said == ["CaseOpened", "NeedReported", "CaseClosed"]


async def test_two_imports_at_the_same_time_take_over_each_household_once(intake: Intake) -> None:
    source = fresh()
    rows = [row(f"h{n}", lodging(7)) for n in range(12)]
    answers = await asyncio.gather(*(imported(intake, source, *rows) for _ in range(3)))
    assert {tuple(result.case_id for result in results) for results in answers} == {
        tuple(result.case_id for result in answers[0])
    }
    outcomes = sorted(result.outcome for results in answers for result in results)
    assert outcomes == ["created"] * 12 + ["unchanged"] * 24


async def test_outcomes_come_in_pages_that_cut_no_household(intake: Intake) -> None:
    source = fresh()
    needs = [goods(f"item-{n}", 1) for n in range(30)]
    for begin in range(0, 40, 20):
        await imported(intake, source, *(row(f"h{n:02}", *needs) for n in range(begin, begin + 20)))
    results = await imported(intake, source, row("h00", *needs))
    await intake.hear(
        matching.NeedUnmatched(
            case_id=results[0].case_id, need_id=results[0].need_ids[0],
            reason=common.UNMATCHED_REASON_NO_STOCK,
        )
    )  # fmt: skip
    found: list[messages.ImportOutcome] = []
    sizes = []
    while True:
        after = found[-1].source_key if found else ""
        request = messages.GetImportOutcomesRequest(source_id=source, after=after)
        page = (await intake.ask("GetImportOutcomes", request, OPERATOR)).outcomes
        if not page:
            break
        sizes.append(len(page))
        found.extend(page)
    assert sizes == [990, 210]
    assert (found[0].state, found[0].reason) == ("unmatched", common.UNMATCHED_REASON_NO_STOCK)
    assert {each.state for each in found[1:]} == {"reported"}
    assert len({each.need_id for each in found}) == 1200


async def test_exits_become_outcomes_and_a_later_export_replaces_them(intake: Intake) -> None:
    source = fresh()
    left = messages.ImportedExit(entered_on="2026-01-05", exited_on="2026-03-01", destination=116, persons=2)
    referred = messages.ImportedReferral(on_date="2026-02-01", event=13, result=1, result_on="2026-02-09")
    told = {"living_situation": 116, "living_situation_on": "2026-02-20"}
    [created] = await imported(
        intake, source, row("h1", closed=True, exits=[left], referrals=[referred], **told)
    )
    assert await history(intake, created.case_id) == (
        [("2026-01-05", "2026-03-01", 116, 2)], [("2026-02-01", 13, 1, "2026-02-09")], [("2026-02-20", 116)]
    )  # fmt: skip
    left.destination = 422
    [again] = await imported(intake, source, row("h1", closed=True, exits=[left], **told))
    assert again.case_id == created.case_id
    assert await history(intake, created.case_id) == (
        [("2026-01-05", "2026-03-01", 422, 2)], [], [("2026-02-20", 116)]
    )  # fmt: skip
    left.destination = 16
    [refused] = await imported(intake, fresh(), row("h1", closed=True, exits=[left]))
    assert (refused.outcome, refused.reason) == ("refused", "living-situation-unknown")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exits": [("2026-02-01", "2026-01-01", 116, 1)]}, "exit-impossible"),
        ({"exits": [("2026-01-01", "2026-02-01", 116, 0)]}, "exit-impossible"),
        ({"exits": [("2026-01-01", "2026-02-01", 116, 70_000)]}, "exit-impossible"),
        (
            {"exits": [("2026-01-01", "2026-02-01", 116, 1), ("2026-01-05", "2026-02-01", 116, 1)]},
            "exit-twice",
        ),
        ({"exits": [("2026-01-01", "yesterday", 116, 1)]}, "date-malformed"),
        ({"referrals": [("2026-01-01", 99, 0, "")]}, "event-unknown"),
        ({"referrals": [("2026-01-01", 1, 4, "")]}, "event-unknown"),
        ({"living_situation": 16, "living_situation_on": "2026-01-01"}, "living-situation-unknown"),
        ({"living_situation": 116, "living_situation_on": ""}, "date-malformed"),
    ],
)
async def test_a_past_that_cannot_be_is_refused_alone(
    intake: Intake, changes: dict[str, Any], reason: str
) -> None:
    made = dict(changes)
    if "exits" in made:
        names = ("entered_on", "exited_on", "destination", "persons")
        made["exits"] = [
            messages.ImportedExit(**dict(zip(names, each, strict=True))) for each in made["exits"]
        ]
    if "referrals" in made:
        names = ("on_date", "event", "result", "result_on")
        made["referrals"] = [
            messages.ImportedReferral(**dict(zip(names, each, strict=True))) for each in made["referrals"]
        ]
    results = await imported(intake, fresh(), row("h1"), row("h2", **made), row("h3"))
    assert [(each.outcome, each.reason) for each in results] == [
        ("created", ""), ("refused", reason), ("created", "")
    ]  # fmt: skip


async def test_what_cannot_be_written_together_is_written_alone(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("services.intake.entrypoints.imports.take_over_together", fails)
    results = await imported(intake, fresh(), row("h1"), row("h2", household=messages.Household()), row("h3"))
    assert [each.outcome for each in results] == ["created", "refused", "created"]


async def history(intake: Intake, case_id: str) -> tuple[list[tuple[Any, ...]], ...]:
    """Outcomes, what coordinated entry did, and where the household was found."""
    queries = (
        "SELECT entered_on::text, exited_on::text, destination, persons FROM outcome",
        "SELECT on_date::text, event, result, result_on::text FROM coordinated_entry",
        "SELECT on_date::text, code FROM living_situation",
    )
    async with intake.application.works.within(REGION)() as work:
        found = [
            await work.peek(f"{query} WHERE case_id = $1 ORDER BY 1", uuid.UUID(case_id)) for query in queries
        ]
    return tuple([tuple(each) for each in rows] for rows in found)


async def test_who_hides_is_in_no_figure_of_an_import(intake: Intake) -> None:
    counter = intake.metrics.import_households_total.labels("created")
    before = counter._value.get()
    hiding = row("h2")
    hiding.household.fleeing = True
    await imported(intake, fresh(), row("h1"), hiding)
    assert counter._value.get() == before + 1


async def test_an_import_is_an_operators(intake: Intake) -> None:
    with pytest.raises(Exception, match="role-not-allowed"):
        await intake.ask("ImportHouseholds", messages.ImportHouseholdsRequest(), OUTREACH)
    for request, reason in (
        (messages.ImportHouseholdsRequest(as_of="2026-11-01"), "source-missing"),
        (messages.ImportHouseholdsRequest(source_id="s", as_of="soon"), "date-malformed"),
        (
            messages.ImportHouseholdsRequest(
                source_id="s", as_of="2026-11-01", households=[row(new_id())] * 201
            ),
            "too-many-households",
        ),
    ):
        with pytest.raises(Refusal) as refused:
            await intake.ask("ImportHouseholds", request, OPERATOR)
        assert refused.value.reason == reason


async def person_ids(intake: Intake, case_id: str) -> list[uuid.UUID]:
    rows = await intake.database.pool.fetch(
        "SELECT person_id FROM person JOIN case_file USING (household_id) "
        "WHERE case_id = $1::text::uuid ORDER BY position",
        case_id,
    )
    return [row["person_id"] for row in rows]
