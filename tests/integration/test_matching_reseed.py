"""Full state of every key, said again: what a consumer that missed everything would learn is what is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as said

from deploy.kafka.topics import FILE as TOPICS
from services.chassis.ids import uuid7
from services.chassis.operate import operate
from services.chassis.topics import Topics
from tests.support.matching import (
    AREA,
    HUB,
    HUB_PHONE,
    REFERRALS,
    World,
    cases,
    facts,
    goods,
    lodging,
    matching,
    reported,
    stock,
)
from tests.support.stack import RunningStack

ALLOCATIONS = "aid.matching.allocations.v1"
SHORTFALLS = "aid.matching.shortfalls.v1"
ROUND = timedelta(minutes=15)


@pytest_asyncio.fixture
async def world(stack: RunningStack) -> AsyncIterator[World]:
    async with matching(stack) as world:
        await world.advance(timedelta(0))
        yield world


async def operated(world: World, *argv: str) -> list[str]:
    """One operator's command; what it said."""
    app = world.app
    spoken: list[str] = []
    code = await operate(
        argv, database=world.database, works=app.works, handlers=app.handlers, snapshots=app.snapshots,
        topics=Topics.load(Path(TOPICS)), say=spoken.append,
    )  # fmt: skip
    assert code == 0
    return spoken


async def snapshots(world: World, topic: str) -> list[tuple[int, bool]]:
    rows = await world.database.pool.fetch(
        "SELECT sequence, headers->>'ce_snapshot' AS marked FROM outbox WHERE topic = $1 ORDER BY id", topic
    )
    return [(row["sequence"], row["marked"] == "true") for row in rows]


async def test_a_case_is_told_whole_with_the_next_sequence(world: World) -> None:
    await world.offer(1)
    await world.offer(1, who=HUB, name="Safe house", confidential=True)
    (case_id,) = cases(1)
    soap = goods("soap", 5)
    food = common.Need(need_id=str(uuid7()), kind=common.NEED_KIND_FOOD, from_date="2026-03-02", nights=1)
    await world.hear(
        stock(str(uuid7()), "soap", 5),
        reported(case_id, lodging(), facts()),
        reported(case_id, food, facts()),
        reported(case_id, soap, facts()),
    )
    await world.advance(ROUND)
    [proposed] = await world.database.pool.fetch("SELECT referral_id FROM referral")
    await world.client(case_id, str(proposed["referral_id"]), True)
    await world.provider(str(proposed["referral_id"]), True)
    await world.check_in(str(proposed["referral_id"]))
    before = len(await world.said(REFERRALS, case_id))
    assert await operated(world, "reseed", "--topic", REFERRALS) == [f"{REFERRALS}: 1 snapshots"]
    *_, (sequence, marked) = await snapshots(world, REFERRALS)
    assert (sequence, marked) == (before + 1, True)
    [*_, state] = await world.said(REFERRALS, case_id)
    assert isinstance(state, said.ReferralsSnapshot)
    [referral], [allocation], [unmatched] = state.referrals, state.allocations, state.unmatched
    assert (referral.state, referral.occupied, referral.proposal.contact) == ("accepted", True, HUB_PHONE)
    assert (allocation.need_id, allocation.quantity) == (soap.need_id, 5)
    assert unmatched.need_id == food.need_id
    assert unmatched.reason == common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE


async def test_a_confidential_place_has_no_name_in_a_snapshot_either(world: World) -> None:
    await world.offer(1, who=HUB, name="Safe house", confidential=True)
    (case_id,) = cases(1)
    await world.hear(reported(case_id, lodging(), facts(confidential=True), "HKRW4477"))
    await operated(world, "reseed", "--topic", REFERRALS, "--key", case_id)
    rows = await world.database.pool.fetch("SELECT payload FROM outbox")
    assert not [row for row in rows if b"Safe house" in row["payload"]]
    [*_, state] = await world.said(REFERRALS, case_id)
    assert state.referrals[0].proposal.contact == HUB_PHONE


async def test_allocations_and_shortfalls_are_told_whole(world: World) -> None:
    kept, gone, *short = cases(5)
    needs = goods("soap", 2), goods("soap", 3)
    await world.hear(
        stock(str(uuid7()), "soap", 5),
        stock(str(uuid7()), "socks", 0),
        reported(kept, needs[0], facts()),
        reported(gone, needs[1], facts()),
        *(reported(each, goods("socks", 7), facts()) for each in short),
    )
    await world.advance(ROUND)
    await world.hear(intake.NeedWithdrawn(case_id=gone, need_id=needs[1].need_id))
    await world.advance(ROUND)
    spoken = await operated(world, "raise-epoch")
    assert f"{ALLOCATIONS}: 2 snapshots" in spoken
    assert f"{SHORTFALLS}: 1 snapshots" in spoken
    states = [each for each in await world.said(ALLOCATIONS) if isinstance(each, said.AllocationSnapshot)]
    assert {(each.proposal.quantity, each.withdrawn) for each in states} == {(2, False), (3, True)}
    first, again = await world.said(SHORTFALLS)
    assert first == again == said.ShortfallChanged(area=AREA, item_id="socks", packs=3, revision=1)
    epochs = await world.database.pool.fetch(
        "SELECT DISTINCT epoch FROM outbox WHERE headers ? 'ce_snapshot'"
    )
    assert len(epochs) == 1
    assert epochs[0]["epoch"] > 1


async def test_a_snapshot_does_not_tell_what_is_taken_back_before_the_round_does(world: World) -> None:
    [case_id], need = cases(1), goods("soap", 3)
    await world.hear(stock(str(uuid7()), "soap", 5), reported(case_id, need, facts()))
    await world.advance(ROUND)
    await world.hear(intake.NeedWithdrawn(case_id=case_id, need_id=need.need_id))
    for withdrawn in (False, True):
        await operated(world, "reseed", "--topic", ALLOCATIONS)
        [*_, state] = await world.said(ALLOCATIONS)
        assert (type(state), state.withdrawn) == (said.AllocationSnapshot, withdrawn)
        await world.advance(ROUND)
