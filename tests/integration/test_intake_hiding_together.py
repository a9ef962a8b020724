"""Cases that are said to be with one household hide together: the one that stayed would lead to the other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search

from services.chassis.call import Principal
from services.intake.domain.refusal import Refusal
from tests.integration.test_intake_search import cases, merge, opened, person
from tests.support.intake import COLLEAGUE, OPERATOR, OUTREACH, Intake, opened_intake
from tests.support.stack import RunningStack

# Of the agency whose cases these are.
ADVOCATE = Principal("its-advocate", OUTREACH.agency, frozenset({"advocate"}))
NAME = "Zorabel Quill"
ONE = person("Zorabel", "Quill", "1990-01-01")


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as running:
        yield running


async def begin_to_hide(intake: Intake, case_id: str, who: Principal) -> None:
    seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), who)
    change = households.ChangeHouseholdRequest(
        case_id=case_id,
        expected_revision=seen.household.revision,
        change=households.HouseholdChange(fleeing=True),
    )
    await intake.ask("ChangeHousehold", change, who)


async def merges(intake: Intake, case_id: str, who: Principal) -> list[str]:
    request = search.ListMergesRequest(case_id=case_id)
    return [each.merge_id for each in (await intake.ask("ListMerges", request, who)).merges]


@pytest.mark.parametrize("which", [0, 1])
async def test_whichever_begins_to_hide_all_of_them_do(intake: Intake, which: int) -> None:
    kept, part, other_part = [await opened(intake, ONE) for _ in range(3)]
    await merge(intake, kept, part)
    await merge(intake, kept, other_part)
    await begin_to_hide(intake, (kept, part)[which], OUTREACH)
    assert await cases(intake, NAME, who=COLLEAGUE) == []
    for case_id in (kept, part, other_part):
        for who in (OUTREACH, COLLEAGUE):
            with pytest.raises(Refusal):
                await merges(intake, case_id, who)
        last = [each for each in await intake.announced(case_id) if isinstance(each, events.CaseSnapshot)][-1]
        assert last.facts.confidential
        assert last.arrival_code


async def test_whoever_stays_with_one_stays_with_all(intake: Intake) -> None:
    kept, part = await opened(intake, ONE), await opened(intake, ONE)
    merge_id = await merge(intake, kept, part)
    await begin_to_hide(intake, part, ADVOCATE)
    assert await merges(intake, kept, ADVOCATE) == [merge_id]
    assert (await intake.case(kept, ADVOCATE)).persons


async def revision(intake: Intake, case_id: str) -> int:
    seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), ADVOCATE)
    return int(seen.household.revision)


async def lift(intake: Intake, case_id: str, *together: str, **revisions: int) -> None:
    request = households.LiftConfidentialityRequest(
        case_id=case_id, expected_revision=await revision(intake, case_id)
    )
    for each in together:
        expected = revisions.get("seen") or await revision(intake, each)
        request.together.add(case_id=each, expected_revision=expected)
    await intake.ask("LiftConfidentiality", request, ADVOCATE)


async def names_of(intake: Intake, *case_ids: str) -> list[str]:
    """By which name matching knows their one place, as it was told last."""
    told = [
        [each.facts.one_place.key for each in await intake.announced(case_id) if hasattr(each, "facts")]
        for case_id in case_ids
    ]
    return [each[-1] for each in told]


@pytest.mark.parametrize("first", [0, 1])
async def test_they_hide_no_more_together_and_go_by_one_name_again(intake: Intake, first: int) -> None:
    kept, part = both = await opened(intake, ONE), await opened(intake, ONE)
    await merge(intake, kept, part)
    await begin_to_hide(intake, part, ADVOCATE)
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=both[1 - first]), ADVOCATE)
    with pytest.raises(Refusal) as alone:
        await lift(intake, both[first])
    assert alone.value.reason == "merged-cases-hide"
    assert not {kept, part} & set(str(alone.value.details))
    assert await cases(intake, NAME, who=COLLEAGUE) == []
    await lift(intake, both[first], both[1 - first])
    assert await cases(intake, NAME, who=COLLEAGUE) == [kept, kept]
    assert len(await merges(intake, part, COLLEAGUE)) == 1


async def test_what_is_said_in_the_other_case_meanwhile_is_not_passed_over(intake: Intake) -> None:
    kept, part, stranger = [await opened(intake, ONE) for _ in range(3)]
    await merge(intake, kept, part)
    await begin_to_hide(intake, part, ADVOCATE)
    await begin_to_hide(intake, stranger, ADVOCATE)
    seen = await revision(intake, part)
    change = households.HouseholdChange(wheelchair=True)
    await intake.ask(
        "ChangeHousehold",
        households.ChangeHouseholdRequest(case_id=part, expected_revision=seen, change=change),
        ADVOCATE,
    )
    for others, revisions, reason in (
        ((part,), {"seen": seen}, "household-changed"),
        ((stranger,), {}, "merged-cases-hide"),
        ((part, stranger), {}, "merged-cases-hide"),
        ((part, part), {}, "merged-cases-hide"),
    ):
        with pytest.raises(Refusal) as refused:
            await lift(intake, kept, *others, **revisions)
        assert refused.value.reason == reason
    assert await cases(intake, NAME, who=COLLEAGUE) == []


async def test_once_the_merge_is_taken_back_each_is_lifted_by_itself(intake: Intake) -> None:
    kept, part = await opened(intake, ONE), await opened(intake, ONE)
    merge_id = await merge(intake, kept, part)
    await begin_to_hide(intake, part, ADVOCATE)
    await intake.ask("UndoMerge", search.UndoMergeRequest(merge_id=merge_id), ADVOCATE)
    await lift(intake, part)
    assert await cases(intake, NAME, who=COLLEAGUE) == [part]


async def test_lifted_together_they_get_one_place(intake: Intake) -> None:
    """Also by names of which the machine does not see that they are one person's."""
    kept, part, other_part = [
        await opened(intake, person(given, "Quill", "1990-01-01")) for given in ("Zorabel", "Bela", "Zora")
    ]
    await merge(intake, kept, part)
    await merge(intake, kept, other_part)
    await begin_to_hide(intake, kept, ADVOCATE)
    assert set(await names_of(intake, kept, part, other_part)) == {""}
    await lift(intake, part, kept, other_part)
    [name] = set(await names_of(intake, kept, part, other_part))
    assert name


async def test_an_export_that_says_so_hides_all_of_them(intake: Intake) -> None:
    async def export(as_of: str, **said: bool) -> list[str]:
        rows = [
            messages.ImportedHousehold(
                source_key=key, agency_source_key="org", opened_on="2026-11-01", person_source_keys=[f"p-{key}"],
                household=messages.Household(persons=[ONE], fleeing=said.get(key, False)),
            )
            for key in ("one", "two")
        ]  # fmt: skip
        request = messages.ImportHouseholdsRequest(
            source_id="system", as_of=as_of, households=rows,
            agencies=[messages.ImportedAgency(source_key="org", name="Old Mill")],
        )  # fmt: skip
        return [each.case_id for each in (await intake.ask("ImportHouseholds", request, OPERATOR)).results]

    one, two = await export("2026-11-24")
    agency = await intake.database.pool.fetchval("SELECT agency_id FROM case_file LIMIT 1")
    worker = Principal("mill", str(agency), frozenset({"case_manager"}))
    await merge(intake, one, two, who=worker)
    assert await cases(intake, NAME, who=worker) == [one, one]
    await export("2026-11-25", two=True)
    assert await cases(intake, NAME, who=worker) == []
    assert await export("2026-11-26", two=True) == [one, two]
    assert await cases(intake, NAME, who=worker) == []
