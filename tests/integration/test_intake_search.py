"""Finding somebody again, suggested duplicates, and merges, asked as the doors ask."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search

from services.chassis.call import Principal
from services.chassis.errors import AidError, of
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    ADVOCATE,
    AGENCIES,
    COLLEAGUE,
    HUB_DESK,
    MANAGER,
    OFFICER,
    OUTREACH,
    Intake,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

_ROWS = (
    "case_file",
    "household",
    "person",
    "need",
    "referral",
    "stay",
    "assignment",
    "allocation",
    "reminder",
)


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


def person(given: str, family: str, born: str = "", **more: Any) -> messages.Person:
    return messages.Person(given_name=given, family_name=family, birth_date=born, relationship=1, **more)


async def opened(intake: Intake, *persons: messages.Person, who: Principal = OUTREACH, **more: Any) -> str:
    request = open_request(lodging(), household=messages.Household(persons=persons, **more))
    answer = await intake.ask("OpenCase", request, who)
    return str(answer.case_id)


async def found(
    intake: Intake, name: str, born: str = "", who: Principal = OUTREACH, **more: Any
) -> list[Any]:
    request = search.FindPersonsRequest(name=name, birth_date=born, **more)
    return list((await intake.ask("FindPersons", request, who)).persons)


async def cases(
    intake: Intake, name: str, born: str = "", who: Principal = OUTREACH, **more: Any
) -> list[str]:
    return [each.case_id for each in await found(intake, name, born, who, **more)]


async def test_somebody_is_found_by_a_misspelt_swapped_or_other_name(intake: Intake) -> None:
    case_id = await opened(intake, person("Zbigniewa", "Tarnowska", "1981-04-09", aliases=["Biggie Sparrow"]))
    for name in (
        "Zbigniewa Tarnowska",
        "zbigneiwa tarnowska",
        "Tarnovska Zbigniewa",
        "Bigie Sparow",
        "TARNOWSKA",
    ):
        assert await cases(intake, name) == [case_id], name
    assert await cases(intake, "Zbigniewa", "1981-09-04") == [case_id]
    [shown] = await found(intake, "Tarnowska Zbigniewa", "1981-04-09", COLLEAGUE)
    assert (shown.given_name, shown.family_name, shown.birth_year) == ("Zbigniewa", "Tarnowska", 1981)
    assert (shown.status, list(shown.aliases), shown.score) == ("open", ["Biggie Sparrow"], 100)
    assert await cases(intake, "Umberto Kowalczyk") == []


async def test_nobody_is_found_by_another_agency_by_police_or_in_hiding(intake: Intake) -> None:
    await opened(intake, person("Ottoline", "Vandermeer"))
    assert await cases(intake, "Ottoline Vandermeer", who=MANAGER) == []
    with pytest.raises(Refusal) as denied:
        await found(intake, "Ottoline Vandermeer", who=OFFICER)
    assert denied.value.reason == "police-write-mostly"
    with pytest.raises(AidError):
        await found(intake, "Ottoline Vandermeer", who=HUB_DESK)
    before = [each.SerializeToString() for each in await found(intake, "Ottoline Vandermeer", widely=True)]
    hidden = await opened(intake, person("Ottoline", "Vandermeer"), who=ADVOCATE, fleeing=True)
    assert await cases(intake, "Ottoline Vandermeer", who=ADVOCATE) == []
    await opened(intake, person("Ottoline", "Vandermeer"), fleeing=True)
    after = [each.SerializeToString() for each in await found(intake, "Ottoline Vandermeer", widely=True)]
    assert before == after and before
    assert hidden


async def test_whoever_begins_to_hide_is_found_no_more_and_whoever_is_renamed_by_the_new_name(
    intake: Intake,
) -> None:
    case_id = await opened(intake, person("Philippa", "Oyelaran"))
    assert await cases(intake, "Philippa Oyelaran") == [case_id]
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    changed = await intake.ask(
        "ChangePerson",
        households.ChangePersonRequest(
            case_id=case_id,
            expected_revision=view.household.revision,
            person_id=view.household.persons[0].person_id,
            change=households.PersonChange(family_name="Drummond"),
        ),
        OUTREACH,
    )
    assert await cases(intake, "Philippa Oyelaran") == []
    assert await cases(intake, "Phillipa Drummond") == [case_id]
    await intake.ask(
        "ChangeHousehold",
        households.ChangeHouseholdRequest(
            case_id=case_id,
            expected_revision=changed.revision,
            change=households.HouseholdChange(fleeing=True),
        ),
        OUTREACH,
    )
    assert await cases(intake, "Phillipa Drummond", widely=True) == []


async def test_whoever_is_erased_is_found_no_more(intake: Intake) -> None:
    case_id = await opened(intake, person("Evangeline", "Quartermain"), person("Cuthbert", "Quartermain"))
    assert await cases(intake, "Cuthbert Quartermain") == [case_id]
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), COLLEAGUE)
    [gone] = [each for each in view.household.persons if each.person.given_name == "Cuthbert"]
    await intake.ask(
        "ErasePerson",
        households.ErasePersonRequest(
            case_id=case_id, expected_revision=view.household.revision, person_id=gone.person_id
        ),
        COLLEAGUE,
    )
    assert await cases(intake, "Cuthbert Quartermain", widely=True) == []
    assert await cases(intake, "Evangeline Quartermain") == [case_id]


async def test_each_person_who_is_shown_is_logged_as_read_and_what_was_asked_is_not(intake: Intake) -> None:
    case_id = await opened(intake, person("Wilhelmina", "Esterhazy", "1969-07-21"))
    shown = await found(intake, "Wilhelmyna Esterhazi", "1969-07-21")
    assert [each.case_id for each in shown] == [case_id]
    rows = await intake.database.pool.fetch(
        "SELECT reader, person_id::text, why FROM access_log WHERE case_id = $1", uuid.UUID(case_id)
    )
    assert [tuple(row) for row in rows] == [("outreach", shown[0].person_id, "FindPersons")]
    assert "wilhelmyna" not in (await dumped(intake)).lower()


async def test_what_is_asked_has_limits_and_a_pace(intake: Intake) -> None:
    for name, reason in (
        ("", "search-too-short"),
        ("x", "search-too-short"),
        ("a" * 201, "text-too-long"),
        ("a b c d e f g h i j", "too-many-words"),
    ):
        with pytest.raises(Refusal) as refused:
            await found(intake, name)
        assert refused.value.reason == reason
        assert not name or name not in str(refused.value)
    eager = Principal("eager", AGENCIES["outreach"], frozenset({"outreach"}))
    for _ in range(60):
        await found(intake, "Nobody Atall", who=eager)
    with pytest.raises(Refusal) as exhausted:
        await found(intake, "Nobody Atall", who=eager)
    shown = of(exhausted.value)
    assert shown is not None and shown.kind == "exhausted"
    await found(intake, "Nobody Atall", who=COLLEAGUE)


async def test_a_hidden_case_is_found_by_its_code_and_only_by_whoever_is_assigned(intake: Intake) -> None:
    case_id = await opened(intake, person("Seraphina", "Blackwood"), who=ADVOCATE, fleeing=True)
    code = await intake.database.pool.fetchval(
        "SELECT arrival_code FROM case_file WHERE case_id = $1", uuid.UUID(case_id)
    )
    spoken = f"{code[:4].lower()} - {code[4:]}"
    answer = await intake.ask("FindByCaseCode", search.FindByCaseCodeRequest(arrival_code=spoken), ADVOCATE)
    assert (answer.case_id, answer.persons[0].family_name) == (case_id, "Blackwood")
    for who in (OUTREACH, MANAGER, OFFICER, Principal("other", ADVOCATE.agency, frozenset({"advocate"}))):
        for asked in (spoken, "AAAAAAAA"):
            with pytest.raises(Refusal) as missing:
                await intake.ask("FindByCaseCode", search.FindByCaseCodeRequest(arrival_code=asked), who)
            assert missing.value.reason == "not-found"


async def duplicates(intake: Intake, case_id: str, who: Principal = OUTREACH) -> Any:
    return await intake.ask("ListDuplicates", search.ListDuplicatesRequest(case_id=case_id), who)


async def test_possible_duplicates_are_suggested_with_a_reason_and_a_score(intake: Intake) -> None:
    first = await opened(
        intake, person("Marguerite", "Fontaine", "1990-11-02"), person("Theo", "Fontaine", "2020-01-30")
    )
    again = await opened(
        intake, person("Fontaine", "Marguerite", "1990-11-02"), person("Teo", "Fontaine", "2020-01-30")
    )
    await opened(intake, person("Marguerite", "Fontaine", "1955-05-17"))
    await opened(intake, person("Marguerite", "Fontaine", "1990-11-02"), who=MANAGER)
    [suggested] = (await duplicates(intake, first)).duplicates
    assert suggested.case_id == again
    assert suggested.score == 100
    assert {(each.other.given_name, each.reason) for each in suggested.likenesses} == {
        ("Fontaine", "same-birth-date-and-names-swapped"),
        ("Teo", "same-birth-date-and-names-alike"),
    }
    logged = await intake.database.pool.fetchval(
        "SELECT count(*) FROM access_log WHERE case_id = $1 AND why = 'ListDuplicates'", uuid.UUID(again)
    )
    assert logged == 2


async def test_a_household_in_hiding_is_never_suggested_and_changes_no_answer(intake: Intake) -> None:
    case_id = await opened(intake, person("Leopoldine", "Hartmann", "1977-03-03"))
    near = await opened(intake, person("Leopoldina", "Hartman", "1977-03-03"))
    before = (await duplicates(intake, case_id)).SerializeToString()
    hidden = await opened(intake, person("Leopoldine", "Hartmann", "1977-03-03"), fleeing=True)
    assert (await duplicates(intake, case_id)).SerializeToString() == before
    assert [each.case_id for each in search.ListDuplicatesResponse.FromString(before).duplicates] == [near]
    with pytest.raises(Refusal) as refused:
        await merge(intake, case_id, hidden)
    assert refused.value.reason == "with-the-hub"


async def merge(intake: Intake, kept: str, merged: str, who: Principal = OUTREACH, **versions: int) -> str:
    request = search.MergeCasesRequest(
        case_id=kept,
        expected_version=versions.get("expected", await version(intake, kept)),
        merged_case_id=merged,
        expected_merged_version=versions.get("merged", await version(intake, merged)),
    )
    return str((await intake.ask("MergeCases", request, who)).merge_id)


async def version(intake: Intake, case_id: str) -> int:
    return int(
        await intake.database.pool.fetchval(
            "SELECT version FROM case_file WHERE case_id = $1", uuid.UUID(case_id)
        )
    )


async def test_a_merge_can_be_undone_and_both_cases_are_as_before(intake: Intake) -> None:
    kept = await opened(intake, person("Ignatius", "Pemberton", "1948-12-24"))
    merged = await opened(intake, person("Ignacio", "Pemberton", "1948-12-24"))
    before = await rows_of(intake, kept, merged)
    merge_id = await merge(intake, kept, merged)
    assert await cases(intake, "Ignacio Pemberton", "1948-12-24", widely=True) == [kept, kept]
    assert not (await duplicates(intake, kept)).duplicates
    with pytest.raises(Refusal) as again:
        await merge(intake, kept, merged)
    assert again.value.reason == "already-merged"
    await intake.ask("UndoMerge", search.UndoMergeRequest(merge_id=merge_id), COLLEAGUE)
    assert await rows_of(intake, kept, merged) == before
    assert set(await cases(intake, "Ignacio Pemberton", "1948-12-24", widely=True)) == {kept, merged}
    with pytest.raises(Refusal) as undone:
        await intake.ask("UndoMerge", search.UndoMergeRequest(merge_id=merge_id), OUTREACH)
    assert undone.value.reason == "merge-undone"
    [told] = (await intake.ask("ListMerges", search.ListMergesRequest(case_id=merged), OUTREACH)).merges
    assert (told.merge_id, told.case_id, told.merged_case_id) == (merge_id, kept, merged)
    assert told.HasField("undone_at")


async def test_a_merge_is_refused_when_a_case_changed_or_is_foreign(intake: Intake) -> None:
    kept = await opened(intake, person("Bartholomew", "Lightfoot"))
    merged = await opened(intake, person("Barth", "Lightfoot"))
    foreign = await opened(intake, person("Barth", "Lightfoot"), who=MANAGER)
    with pytest.raises(Refusal) as changed:
        await merge(intake, kept, merged, expected=7)
    assert changed.value.reason == "case-changed"
    with pytest.raises(Refusal) as absent:
        await merge(intake, kept, foreign)
    assert absent.value.reason == "not-found"
    with pytest.raises(Refusal) as police:
        await merge(intake, kept, merged, who=OFFICER)
    assert police.value.reason == "not-found"
    assert (
        await intake.database.pool.fetchval(
            "SELECT count(*) FROM case_merge WHERE case_id = $1", uuid.UUID(kept)
        )
        == 0
    )


async def rows_of(intake: Intake, *case_ids: str) -> dict[str, list[str]]:
    """Every row that speaks of these cases, as PostgreSQL writes it."""
    ids = [uuid.UUID(each) for each in case_ids]
    found: dict[str, list[str]] = {}
    for table in _ROWS:
        key = "household_id" if table in ("household", "person") else "case_id"
        belongs = (
            "household_id IN (SELECT household_id FROM case_file WHERE case_id = ANY ($1))"
            if key == "household_id"
            else "case_id = ANY ($1)"
        )
        rows = await intake.database.pool.fetch(
            f"SELECT to_jsonb(t)::text AS row FROM {table} AS t WHERE {belongs} ORDER BY 1", ids
        )
        found[table] = [row["row"] for row in rows]
    assert len(found["case_file"]) == len(found["household"]) == 2 and found["person"] and found["need"]
    return found


async def dumped(intake: Intake) -> str:
    """Every row of every table of the service."""
    tables = await intake.database.pool.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'keystore')"
    )
    rows: list[str] = []
    for schema, table in tables:
        for row in await intake.database.pool.fetch(f'SELECT t::text AS row FROM "{schema}"."{table}" AS t'):
            rows.append(row["row"])
    return json.dumps(rows)
