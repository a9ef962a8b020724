"""Whoever may read the figures learns nothing of a household in hiding, not even that there is one."""

from contextlib import aclosing
from pathlib import Path

import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import intake_pb2 as messages
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching

from services.chassis import discretion
from services.chassis.call import Principal
from tests.support.intake import (
    ADVOCATE,
    HUB_DESK,
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

MATCHING = Principal("matching", "", frozenset({"service"}))
# What the domain counts; how many events and calls there were is counted elsewhere, by topic and method.
OF_THE_DOMAIN = ("cases_", "needs_", "find_tonight_", "disclosures_", "stays_", "referrals_", "holds_")


async def test_two_worlds_one_of_which_has_a_household_in_hiding_show_the_same_figures(
    stack: RunningStack, tmp_path: Path
) -> None:
    without = await figures(stack, tmp_path, hiding=False)
    assert without == await figures(stack, tmp_path, hiding=True)
    for counted in (
        *("cases_opened_total 1.0", 'needs_reported_total{kind="lodging"} 1.0'),
        *('needs_reported_total{kind="goods"} 2.0', 'needs_met_total{kind="lodging"} 1.0'),
        *('needs_met_total{kind="goods"} 1.0', 'find_tonight_total{outcome="pending"} 2.0'),
        'disclosures_total{outcome="shown"} 4.0',
    ):
        assert counted in without


@pytest.mark.parametrize("hiding", [False, True])
async def test_telling_a_provider_whom_to_expect_is_not_counted_for_who_hides(
    stack: RunningStack, tmp_path: Path, hiding: bool
) -> None:
    async with opened_intake(stack, tmp_path) as intake:
        request = open_request(lodging(1), household=household(fleeing=hiding))
        opened = await intake.ask("OpenCase", request, ADVOCATE)
        ids = {"case_id": opened.case_id, "referral_id": new_id()}
        await intake.hear(matching.ReferralAccepted(**ids, need_id=opened.need_ids[0]))
        mark = discretion.begin()
        told = consents.DiscloseRequest(**ids, reader="shelter-desk", reader_agency="agency-shelter")
        assert not (await intake.ask("Disclose", told, MATCHING)).persons, "nobody has consented"
        assert mark.hushed == hiding


async def figures(stack: RunningStack, folder: Path, *, hiding: bool) -> list[str]:
    async with opened_intake(stack, folder) as intake:
        if hiding:
            await everything_happens(intake, ADVOCATE, hidden=True)
        await everything_happens(intake, OUTREACH, hidden=False)
        lines = intake.metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith(OF_THE_DOMAIN) and "_created" not in line]


async def everything_happens(intake: Intake, who: Principal, *, hidden: bool) -> None:
    """A household is taken in, looked for, shown, given a bed and its goods; then its case is closed."""
    request = open_request(lodging(1), goods(), household=household(fleeing=hidden), find_tonight=True)
    opened = await intake.ask("OpenCase", request, who)
    assert opened.tonight.HasField("hub") == hidden
    case_id, (bed, things) = opened.case_id, opened.need_ids
    tonight = messages.FindTonightRequest(case_id=case_id, need_id=bed)
    await intake.ask("FindTonight", tonight, who)
    await intake.ask("ReportNeed", messages.ReportNeedRequest(case_id=case_id, need=goods("soap", 1)), who)
    if hidden:
        code = opened.tonight.hub.arrival_code
        assign = messages.AssignWorkerRequest(arrival_code=code, worker=who.subject)
        await intake.ask("AssignWorker", assign, HUB_DESK)
    assert len((await intake.case(case_id, who)).persons) == 2
    async with aclosing(intake.watch(case_id, who)) as views:
        assert len((await anext(views)).case.persons) == 2
    bag = new_id()
    await intake.hear(
        matching.OccupancyStarted(case_id=case_id, need_id=bed, from_date="2026-11-24"),
        matching.NeedAllocated(case_id=case_id, need_id=things, allocation_id=bag, quantity=60),
        logistics.HandoverConfirmed(allocation_id=bag, day="2026-11-25"),
    )
    await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=case_id), who)
