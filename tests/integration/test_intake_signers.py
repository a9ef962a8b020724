"""Who signs for a child, when the household parts, is entered twice, or begins to hide."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import consents_pb2 as messages
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import search_pb2 as search

from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.intake.domain.refusal import Refusal
from tests.integration.test_intake_consents import Family, publish_words
from tests.integration.test_intake_glass import PERSONS, signature
from tests.integration.test_intake_search import merge as merged
from tests.integration.test_intake_search import version
from tests.support.intake import (
    COLLEAGUE,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

HELPER = Principal("helper", OUTREACH.agency, frozenset({"advocate"}))


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        await publish_words(opened)
        yield opened


async def three(intake: Intake) -> tuple[str, list[str]]:
    """A case, and its mother, father and child."""
    opened = await intake.ask(
        "OpenCase", open_request(lodging(), household=household(persons=PERSONS)), OUTREACH
    )
    return opened.case_id, await members(intake, opened.case_id)


async def members(intake: Intake, case_id: str) -> list[str]:
    return [each.person_id for each in (await home(intake, case_id)).persons]


async def home(intake: Intake, case_id: str) -> households.HouseholdView:
    answer = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=case_id), OUTREACH)
    view: households.HouseholdView = answer.household
    return view


async def edits(intake: Intake, method: str, case_id: str, **fields: Any) -> Any:
    revision = (await home(intake, case_id)).revision
    request = getattr(households, f"{method}Request")(case_id=case_id, expected_revision=revision, **fields)
    return await intake.ask(method, request, OUTREACH)


async def bars(intake: Intake, case_id: str, person_id: str) -> None:
    request = messages.BarSignerRequest(case_id=case_id, person_id=person_id, barred=True)
    await intake.ask("BarSigner", request, OUTREACH)


async def signing(intake: Intake, case_id: str, signer: str, child: str, who: Principal = OUTREACH) -> str:
    """Empty, or why it is refused."""
    try:
        await intake.ask("RecordConsent", signature(case_id, signer, child), who)
    except (Refusal, AidError) as refused:
        return refused.reason
    return ""


async def test_a_bar_goes_along_when_the_household_parts(intake: Intake) -> None:
    case_id, (mother, father, child) = await three(intake)
    await bars(intake, case_id, father)
    parted = await edits(intake, "SplitHousehold", case_id, person_ids=[father, child])
    assert await signing(intake, parted.case_id, father, child) == "signer-barred"
    assert await signing(intake, case_id, mother, mother) == ""
    lifting = messages.BarSignerRequest(case_id=parted.case_id, person_id=father)
    await intake.ask("BarSigner", lifting, HELPER)
    assert await signing(intake, parted.case_id, father, child) == ""


async def test_who_parts_from_the_barred_one_signs_as_before(intake: Intake) -> None:
    case_id, (mother, father, child) = await three(intake)
    await bars(intake, case_id, father)
    parted = await edits(intake, "SplitHousehold", case_id, person_ids=[father])
    assert await signing(intake, case_id, mother, child) == ""
    assert await signing(intake, parted.case_id, father, father) == ""


async def test_who_was_barred_removed_and_entered_again_finds_an_advocate_there(intake: Intake) -> None:
    case_id, (_, father, child) = await three(intake)
    await bars(intake, case_id, father)
    await edits(intake, "RemovePerson", case_id, person_id=father)
    again = (await edits(intake, "AddPerson", case_id, person=PERSONS[1])).person_id
    assert again != father
    assert await signing(intake, case_id, again, child) == "advocate-needed"
    assert await signing(intake, case_id, again, again) == ""
    assert await signing(intake, case_id, again, child, HELPER) == ""


async def test_a_bar_of_somebody_who_was_removed_is_lifted_by_an_advocate_alone(intake: Intake) -> None:
    case_id, (_, father, child) = await three(intake)
    elsewhere, (_, other, _) = await three(intake)
    await bars(intake, case_id, father)
    await bars(intake, elsewhere, other)
    await edits(intake, "RemovePerson", case_id, person_id=father)
    again = (await edits(intake, "AddPerson", case_id, person=PERSONS[1])).person_id
    lifting = messages.BarSignerRequest(case_id=case_id, person_id=father)
    for request, who, why in (
        (lifting, OUTREACH, "advocate-needed"),
        (messages.BarSignerRequest(case_id=case_id, person_id=other), HELPER, "not-found"),
        (messages.BarSignerRequest(case_id=case_id, person_id=father, barred=True), HELPER, "not-found"),
    ):
        with pytest.raises(Refusal) as refused:
            await intake.ask("BarSigner", request, who)
        assert refused.value.reason == why
    assert await signing(intake, case_id, again, child) == "advocate-needed"
    await intake.ask("BarSigner", lifting, HELPER)
    assert await signing(intake, case_id, again, child) == ""


async def test_a_bar_holds_in_the_other_case_of_the_same_household(intake: Intake) -> None:
    case_id, (_, father, _) = await three(intake)
    other, (_, same_man, child) = await three(intake)
    assert await signing(intake, other, same_man, child) == ""
    assert await signing(intake, other, same_man, child, HELPER) == ""
    await bars(intake, case_id, father)
    merge_id = await merged(intake, case_id, other)
    assert await signing(intake, other, same_man, child) == "advocate-needed"
    assert sorted([each.state for each in await consents(intake, other)]) == ["signer-left", "valid"]
    undo = search.UndoMergeRequest(merge_id=merge_id)
    await intake.ask("UndoMerge", undo, COLLEAGUE)
    assert await signing(intake, other, same_man, child) == ""


async def test_a_bar_that_comes_after_the_merge_ends_what_was_signed_in_the_other_case(
    intake: Intake,
) -> None:
    case_id, (_, father, _) = await three(intake)
    other, (_, same_man, child) = await three(intake)
    await merged(intake, case_id, other)
    assert await signing(intake, other, same_man, child) == ""
    await bars(intake, case_id, father)
    assert [each.state for each in await consents(intake, other)] == ["signer-left"]


async def test_a_bar_holds_in_all_cases_of_the_household_wherever_it_is_said(intake: Intake) -> None:
    kept, part, sibling = [await three(intake) for _ in range(3)]
    for case_id, _ in (part, sibling):
        await merged(intake, kept[0], case_id)
    for case_id, (_, man, child) in (kept, sibling):
        assert await signing(intake, case_id, man, child) == ""
    await bars(intake, part[0], part[1][1])
    for case_id, (_, man, child) in (kept, sibling):
        assert [each.state for each in await consents(intake, case_id)] == ["signer-left"]
        assert await signing(intake, case_id, man, child) == "advocate-needed"


async def test_a_bar_in_a_part_of_the_household_ends_what_was_signed_in_a_case_that_joins_it(
    intake: Intake,
) -> None:
    kept, part, joining = [await three(intake) for _ in range(3)]
    await merged(intake, kept[0], part[0])
    await bars(intake, part[0], part[1][1])
    case_id, (_, man, child) = joining
    assert await signing(intake, case_id, man, child) == ""
    await merged(intake, kept[0], case_id)
    assert [each.state for each in await consents(intake, case_id)] == ["signer-left"]
    assert await signing(intake, case_id, man, child) == "advocate-needed"


async def test_a_bar_changes_the_other_cases_too(intake: Intake) -> None:
    """Who records a signature there meanwhile looks again: nothing stood there that could have ended."""
    kept, part, joining = [await three(intake) for _ in range(3)]
    await merged(intake, kept[0], part[0])
    before = await version(intake, kept[0])
    await bars(intake, part[0], part[1][1])
    assert await version(intake, kept[0]) == before + 1
    before = await version(intake, joining[0])
    await merged(intake, kept[0], joining[0])
    assert await version(intake, joining[0]) == before + 1


async def consents(intake: Intake, case_id: str) -> list[messages.ConsentView]:
    request = messages.ListConsentsRequest(case_id=case_id)
    return list((await intake.ask("ListConsents", request, OUTREACH)).consents)


async def begins_to_flee(family: Family) -> None:
    await edits(
        family.intake, "ChangeHousehold", family.case_id, change=households.HouseholdChange(fleeing=True)
    )
    # Whoever stays with them from here on.
    await family.intake.database.pool.execute(
        "INSERT INTO assignment (case_id, subject, assigned_by, assigned_at) "
        "VALUES ($1::text::uuid, $2, '', now())",
        family.case_id, OUTREACH.subject,
    )  # fmt: skip


async def test_what_was_signed_before_a_household_hides_is_told_to_nobody_after(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    await family.consents()
    assert len((await family.disclosed()).persons) == 2
    await begins_to_flee(family)
    assert not (await family.disclosed()).persons
    assert [each.state for each in await family.listed()] == ["household-hides"]
    # Matching closes the referral: the place is none for people in hiding, and its provider knows their names.
    assert [list(each.closed_referral_ids) for each in await family.said()] == [[], [family.referral_id]]
    reminders = await intake.database.pool.fetchval(
        "SELECT count(*) FROM reminder WHERE kind = 'consent-ends'"
    )
    assert reminders == 0


async def test_what_a_mother_signed_for_herself_alone_ends_too_when_it_tells_names(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    await family.consents(person_ids=[family.mother])
    await begins_to_flee(family)
    assert not (await family.disclosed()).persons


async def test_what_an_advocate_took_goes_on(intake: Intake) -> None:
    family = await Family.met(intake)
    await family.accepted()
    await intake.ask("RecordConsent", family.asked(), HELPER)
    await begins_to_flee(family)
    assert len((await family.disclosed()).persons) == 2


async def test_the_search_goes_on_for_who_begins_to_flee(intake: Intake) -> None:
    """And questions to the mother herself; a child is asked after by nobody."""
    family = await Family.met(intake)
    for_search = {"purpose": messages.CONSENT_PURPOSE_SEARCH, "text_version": "search-1", "referral_id": ""}
    await family.consents(**for_search)
    later = {"purpose": messages.CONSENT_PURPOSE_FOLLOW_UP, "text_version": "follow-1", "referral_id": ""}
    await family.consents(**later, person_ids=[family.mother])
    await family.consents(**later)
    await begins_to_flee(family)
    states = {(each.purpose, len(each.person_ids)): each.state for each in await family.listed()}
    assert states == {
        (messages.CONSENT_PURPOSE_SEARCH, 2): "valid",
        (messages.CONSENT_PURPOSE_FOLLOW_UP, 1): "valid",
        (messages.CONSENT_PURPOSE_FOLLOW_UP, 2): "household-hides",
    }
    needs = (await intake.case(family.case_id, OUTREACH)).needs
    assert needs
    assert not [each for each in needs if each.state == "withdrawn"]


async def test_a_case_that_hides_with_another_keeps_no_signature_either(intake: Intake) -> None:
    family, other = await Family.met(intake), await Family.met(intake)
    await other.accepted()
    await other.consents()
    await merged(intake, family.case_id, other.case_id)
    await begins_to_flee(family)
    assert not (await other.disclosed()).persons
