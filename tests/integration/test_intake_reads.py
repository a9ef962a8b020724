"""The log of reads, person by person: complete wherever they are now, and counting nothing but what it shows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aid.intake.v1 import agencies_pb2 as desk
from aid.intake.v1 import consents_pb2 as messages
from aid.intake.v1 import households_pb2 as households
from aid.intake.v1 import stays_pb2 as stays

from services.chassis.call import Principal
from services.intake.domain.refusal import Refusal
from tests.integration.test_intake_glass import PERSONS
from tests.integration.test_intake_signers import edits, members
from tests.support.clocks import day, moves_in, opened_case
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    MANAGER,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def reads(
    intake: Intake, case_id: str, person_id: str = "", who: Principal = OUTREACH
) -> list[messages.Read]:
    request = messages.ListReadsRequest(case_id=case_id, person_id=person_id)
    return list((await intake.ask("ListReads", request, who)).reads)


async def test_a_person_s_reads_go_along_with_them(intake: Intake) -> None:
    opened = await intake.ask(
        "OpenCase", open_request(lodging(), household=household(persons=PERSONS)), OUTREACH
    )
    mara, dad, _ = await members(intake, opened.case_id)
    await intake.case(opened.case_id, COLLEAGUE)
    parted = await edits(intake, "SplitHousehold", opened.case_id, person_ids=[mara])
    by_colleague = [each for each in await reads(intake, parted.case_id, mara) if each.reader == "colleague"]
    assert [(each.person_id, each.why) for each in by_colleague] == [(mara, "GetCase")]
    assert {each.person_id for each in await reads(intake, opened.case_id, dad)} == {dad}
    assert await reads(intake, parted.case_id, dad) == []
    assert await reads(intake, opened.case_id, mara) == [], "she is not there any more"
    before = await reads(intake, opened.case_id)
    assert mara not in {each.person_id for each in before}
    await edits(intake, "ChangeHousehold", parted.case_id, change=households.HouseholdChange(fleeing=True))
    after = [each for each in await reads(intake, opened.case_id) if each not in before]
    assert [each.person_id for each in after if each.person_id == mara] == []
    assert [each for each in await reads(intake, opened.case_id) if each in before] == before


async def test_who_was_removed_is_still_told_of_where_they_were_read(intake: Intake) -> None:
    opened = await intake.ask(
        "OpenCase", open_request(lodging(), household=household(persons=PERSONS)), OUTREACH
    )
    _, dad, _ = await members(intake, opened.case_id)
    await edits(intake, "RemovePerson", opened.case_id, person_id=dad)
    assert dad in {each.person_id for each in await reads(intake, opened.case_id, dad)}


async def test_what_concerned_all_of_them_concerned_each(intake: Intake) -> None:
    request = open_request(lodging(), household=household(fleeing=True))
    hers = await intake.ask("OpenCase", request, ADVOCATE)
    insider = Principal("insider", ADVOCATE.agency, frozenset({"advocate"}))
    breaks = desk.BreakGlassRequest(case_id=hers.case_id, reason="an emergency at the door")
    await intake.ask("BreakGlass", breaks, insider)
    asked = households.GetHouseholdRequest(case_id=hers.case_id)
    seen = (await intake.ask("GetHousehold", asked, ADVOCATE)).household
    mother = seen.persons[0].person_id
    of_her = await reads(intake, hers.case_id, mother, ADVOCATE)
    assert {(each.reader, each.why, each.person_id) for each in of_her} == {
        ("insider", "BreakGlass", ""),
        ("advocate", "GetHousehold", mother),
    }


async def test_no_number_that_is_shown_counts_what_is_not(intake: Intake) -> None:
    """One who looks at their own case alone learns nothing of how much happens elsewhere."""
    mine = await opened_case(intake, lodging(3), who=MANAGER)
    hers = await opened_case(intake, lodging(3), who=ADVOCATE, fleeing=True)
    for nights, first in ((3, 0), (5, 4)):
        await moves_in(intake, hers.case_id, nights, first=first)
        await intake.case(hers.case_id, ADVOCATE)
        await moves_in(intake, mine.case_id, nights, first=first)
        await intake.case(mine.case_id, MANAGER)
    listed = (await intake.ask("ListStays", stays.ListStaysRequest(case_id=mine.case_id), MANAGER)).stays
    assert [each.stay_id for each in listed] == [1, 2]
    ids = [each.read_id for each in await reads(intake, mine.case_id, who=MANAGER)]
    assert len(set(ids)) == len(ids) > 3
    assert not [each for each in ids if each.isdigit()]
    counted = {
        str(row["access_id"]) for row in await intake.database.pool.fetch("SELECT access_id FROM access_log")
    }
    assert counted.isdisjoint(ids)


async def test_a_stay_is_extended_by_its_number(intake: Intake) -> None:
    hers = await opened_case(intake, lodging(3), who=ADVOCATE, fleeing=True)
    await moves_in(intake, hers.case_id, 3)
    mine = await opened_case(intake, lodging(3), who=MANAGER)
    await moves_in(intake, mine.case_id, 3)
    longer = stays.ExtendStayRequest(case_id=mine.case_id, stay_id=1, last_night=day(9))
    assert (await intake.ask("ExtendStay", longer, MANAGER)).last_night == day(9)
    longer.stay_id = 2
    with pytest.raises(Refusal) as refused:
        await intake.ask("ExtendStay", longer, MANAGER)
    assert refused.value.reason == "not-found"
