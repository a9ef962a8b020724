"""One household that two agencies entered goes by one random name, and nobody is told that it was entered twice."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search

from services.chassis.call import Principal
from tests.integration.test_intake_search import merge
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    MANAGER,
    OFFICER,
    OUTREACH,
    Intake,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


def person(given: str, family: str, born: str = "", relationship: int = 1) -> messages.Person:
    return messages.Person(given_name=given, family_name=family, birth_date=born, relationship=relationship)


async def opened(intake: Intake, *persons: messages.Person, who: Principal = OUTREACH, **more: Any) -> str:
    request = open_request(lodging(), household=messages.Household(persons=persons, **more))
    return str((await intake.ask("OpenCase", request, who)).case_id)


async def told(intake: Intake, case_id: str) -> list[tuple[str, int]]:
    """The names that the case's events told, in order; an event that said nothing of it is left out."""
    facts = [event.facts for event in await intake.announced(case_id) if hasattr(event, "facts")]
    return [(each.one_place.key, each.one_place.revision) for each in facts if each.HasField("one_place")]


async def key(intake: Intake, case_id: str) -> str:
    return (await told(intake, case_id))[-1][0]


async def test_two_agencies_who_enter_one_household_tell_one_name_and_others_another(intake: Intake) -> None:
    mother, child = person("Mara", "Quill", "1998-05-02"), person("Ivo", "Quill", "2025-03-01", 2)
    first = await opened(intake, mother, child)
    second = await opened(intake, person("Quill", "MÁRA", "1998-05-02"), who=MANAGER)
    third = await opened(intake, mother, who=OFFICER)
    other = await opened(intake, person("Mara", "Quill", "1998-05-03"), who=MANAGER)
    nameless = [await opened(intake, person("Mara", ""), who=who) for who in (OUTREACH, MANAGER)]
    keys = [await key(intake, each) for each in (first, second, third, other, *nameless)]
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 4 and all(uuid.UUID(each).version == 4 for each in keys)
    assert await told(intake, first) == [(keys[0], 1)] * 2


async def test_another_head_of_the_same_adults_is_the_same_household(intake: Intake) -> None:
    one, two = ("Jonas", "Abend", "1980-01-01"), ("Nadia", "Abend", "1982-02-02")
    first = await opened(intake, person(*one), person(*two, 3))
    second = await opened(intake, person(*two), person(*one, 3), who=MANAGER)
    alone = await opened(intake, person("Nadia", "Abend", "1982-02-03"), person(*one, 3), who=MANAGER)
    assert await key(intake, first) == await key(intake, second) != await key(intake, alone)


async def test_who_hides_has_no_name_and_leaves_none_behind(intake: Intake) -> None:
    hidden = await opened(intake, person("Petra", "Sommer", "1975-06-06"), who=ADVOCATE, fleeing=True)
    assert await told(intake, hidden) == []
    assert await intake.count("keystore.one_place_anchor") == await tokens(intake)
    case_id = await opened(intake, person("Petra", "Sommer", "1975-06-06"))
    first = await key(intake, case_id)
    before = await tokens(intake)
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    await intake.ask(
        "ChangeHousehold",
        households.ChangeHouseholdRequest(
            case_id=case_id,
            expected_revision=view.household.revision,
            change=households.HouseholdChange(fleeing=True),
        ),
        OUTREACH,
    )
    assert (await told(intake, case_id))[-1] == ("", 2)
    assert await tokens(intake) == before - 1 == await intake.count("keystore.one_place_anchor")
    elsewhere = await opened(intake, person("Petra", "Sommer", "1975-06-06"), who=MANAGER)
    assert await key(intake, elsewhere) not in ("", first)


async def tokens(intake: Intake) -> int:
    return int(
        await intake.database.pool.fetchval("SELECT count(DISTINCT token) FROM keystore.household_token")
    )


async def test_who_is_called_otherwise_now_is_found_to_be_the_same(intake: Intake) -> None:
    first = await opened(intake, person("Ludmila", "Brandt", "1991-09-09"))
    second = await opened(intake, person("Ludmilla", "Brandt", "1991-09-09"), who=MANAGER)
    assert await key(intake, first) != await key(intake, second)
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=second), MANAGER)
    await intake.ask(
        "ChangePerson",
        households.ChangePersonRequest(
            case_id=second,
            expected_revision=view.household.revision,
            person_id=view.household.persons[0].person_id,
            change=households.PersonChange(given_name="Ludmila"),
        ),
        MANAGER,
    )
    assert (await told(intake, second))[-1] == (await key(intake, first), 2)


async def test_who_is_erased_leaves_no_token(intake: Intake) -> None:
    case_id = await opened(intake, person("Crispin", "Vale", "1966-10-10"))
    before = await intake.count("keystore.one_place_anchor")
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), COLLEAGUE)
    await intake.ask(
        "ErasePerson",
        households.ErasePersonRequest(
            case_id=case_id,
            expected_revision=view.household.revision,
            person_id=view.household.persons[0].person_id,
        ),
        COLLEAGUE,
    )
    assert await intake.count("keystore.one_place_anchor") == before - 1
    household_id = await intake.database.pool.fetchval(
        "SELECT household_id FROM case_file WHERE case_id = $1", uuid.UUID(case_id)
    )
    for table in ("one_place", "household_token"):
        assert not await intake.database.pool.fetchval(
            f"SELECT count(*) FROM keystore.{table} WHERE household_id = $1", household_id
        )


async def test_entries_of_one_moment_get_one_name(intake: Intake) -> None:
    mother = person("Aurelia", "Lindqvist", "1988-08-08")
    entries = (opened(intake, mother, who=who) for who in (OUTREACH, MANAGER, OFFICER) * 3)
    opened_cases = await asyncio.gather(*entries)
    assert len({await key(intake, each) for each in opened_cases}) == 1


async def test_merged_cases_go_by_one_name_and_by_two_again_when_it_is_undone(intake: Intake) -> None:
    kept, merged = [await opened(intake, person("Ottavio", family)) for family in ("Ricci", "Rici")]
    own = await key(intake, merged)
    versions = [
        await intake.database.pool.fetchval(
            "SELECT version FROM case_file WHERE case_id = $1", uuid.UUID(each)
        )
        for each in (kept, merged)
    ]
    request = search.MergeCasesRequest(
        case_id=kept,
        expected_version=versions[0],
        merged_case_id=merged,
        expected_merged_version=versions[1],
    )
    merge_id = (await intake.ask("MergeCases", request, OUTREACH)).merge_id
    assert (await told(intake, merged))[-1] == (await key(intake, kept), 2)
    await intake.ask("UndoMerge", search.UndoMergeRequest(merge_id=merge_id), OUTREACH)
    assert (await told(intake, merged))[-1] == (own, 3)
    assert isinstance((await intake.announced(merged))[-1], events.HouseholdChanged)


async def test_a_merged_case_goes_by_the_name_that_the_kept_one_has_now(intake: Intake) -> None:
    kept, merged = [await opened(intake, person("Zenobia", name, "1990-01-01")) for name in ("Orm", "Orme")]
    versions = [
        await intake.database.pool.fetchval(
            "SELECT version FROM case_file WHERE case_id = $1", uuid.UUID(each)
        )
        for each in (kept, merged)
    ]
    request = search.MergeCasesRequest(
        case_id=kept, expected_version=versions[0], merged_case_id=merged, expected_merged_version=versions[1]
    )
    await intake.ask("MergeCases", request, OUTREACH)
    before = await key(intake, kept)
    view = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=kept), OUTREACH)
    change = households.ChangePersonRequest(
        case_id=kept,
        expected_revision=view.household.revision,
        person_id=view.household.persons[0].person_id,
        change=households.PersonChange(given_name="Isabel"),
    )
    await intake.ask("ChangePerson", change, OUTREACH)
    assert before != await key(intake, kept) == await key(intake, merged)


async def seen(intake: Intake, case_id: str) -> Any:
    request = households.GetHouseholdRequest(case_id=case_id)
    return (await intake.ask("GetHousehold", request, OUTREACH)).household


@pytest.mark.parametrize("gone", [0, 1])
async def test_adults_who_part_are_not_led_to_each_other_by_another_entry(intake: Intake, gone: int) -> None:
    """Whoever left, and though another agency has the two together still."""
    one, two = ("Jonas", f"Abend {gone}", "1980-01-01"), ("Nadia", f"Abend {gone}", "1982-02-02")
    first = await opened(intake, person(*one), person(*two, 3))
    together = [
        await opened(intake, person(*two), person(*one, 3), who=MANAGER),
        await opened(intake, person(*one), person(*two, 3), who=MANAGER),
    ]
    assert len({await key(intake, each) for each in (first, *together)}) == 1
    view = await seen(intake, first)
    await intake.ask(
        "RemovePerson",
        households.RemovePersonRequest(
            case_id=first, expected_revision=view.revision, person_id=view.persons[gone].person_id
        ),
        OUTREACH,
    )
    alone = await key(intake, first)
    assert alone not in {"", *[await key(intake, each) for each in together]}
    view = await seen(intake, first)
    change = households.HouseholdChange(wheelchair=True)
    await intake.ask(
        "ChangeHousehold",
        households.ChangeHouseholdRequest(case_id=first, expected_revision=view.revision, change=change),
        OUTREACH,
    )
    assert await key(intake, first) == alone, "what changes later leads nowhere either"


@pytest.mark.parametrize("gone", [0, 1])
async def test_a_household_that_is_split_becomes_two_with_a_name_each(intake: Intake, gone: int) -> None:
    one, two = ("Jonas", f"Morgen {gone}", "1980-01-01"), ("Nadia", f"Morgen {gone}", "1982-02-02")
    first = await opened(intake, person(*one), person(*two, 3))
    together = await opened(intake, person(*two), person(*one, 3), who=MANAGER)
    view = await seen(intake, first)
    split = households.SplitHouseholdRequest(
        case_id=first, expected_revision=view.revision, person_ids=[view.persons[gone].person_id]
    )
    other = (await intake.ask("SplitHousehold", split, OUTREACH)).case_id
    assert len({await key(intake, each) for each in (first, other, together)}) == 3


async def test_a_merge_that_is_taken_back_leads_nobody_to_those_they_parted_from(intake: Intake) -> None:
    one, two = ("Jonas", "Mondschein", "1980-01-01"), ("Nadia", "Mondschein", "1982-02-02")
    first = await opened(intake, person(*one), person(*two, 3))
    together = await opened(intake, person(*one), person(*two, 3), who=MANAGER)
    view = await seen(intake, first)
    split = households.SplitHouseholdRequest(
        case_id=first, expected_revision=view.revision, person_ids=[view.persons[1].person_id]
    )
    other = (await intake.ask("SplitHousehold", split, OUTREACH)).case_id
    third = await opened(intake, person("Jonas", "Mondschien", "1980-01-01"))
    merge_id = await merge(intake, third, first)
    assert await key(intake, first) == await key(intake, third)
    await intake.ask("UndoMerge", search.UndoMergeRequest(merge_id=merge_id), OUTREACH)
    assert len({await key(intake, each) for each in (first, other, together, third)}) == 4


async def test_a_child_that_leaves_changes_no_name(intake: Intake) -> None:
    one, child = person("Jonas", "Mittag", "1980-01-01"), person("Ivo", "Mittag", "2020-03-01", 2)
    first = await opened(intake, one, child)
    together = await opened(intake, one, child, who=MANAGER)
    view = await seen(intake, first)
    await intake.ask(
        "RemovePerson",
        households.RemovePersonRequest(
            case_id=first, expected_revision=view.revision, person_id=view.persons[1].person_id
        ),
        OUTREACH,
    )
    assert await key(intake, first) == await key(intake, together)
