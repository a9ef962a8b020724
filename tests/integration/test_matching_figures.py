"""Whoever may read the figures learns nothing of a household in hiding, not even that there is one."""

from __future__ import annotations

from datetime import timedelta

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake

from services.chassis.call import Principal
from services.chassis.ids import uuid7
from services.matching.adapters.gauges import Gauges
from services.matching.settings import HubSettings, MatchingTerms
from tests.support.matching import (
    HUB,
    REFERRALS,
    SHELTER,
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

ROUND = timedelta(minutes=15)
# What the domain counts; how many events and calls there were is counted elsewhere, by topic and method.
OF_THE_DOMAIN = ("holds_", "occupancies_", "referrals_", "needs_", "allocations_", "find_tonight_", "cases_")


async def test_two_worlds_one_of_which_has_households_in_hiding_show_the_same_figures(
    stack: RunningStack,
) -> None:
    without = await figures(stack, hiding=False)
    assert without == await figures(stack, hiding=True)
    for counted in (
        *("holds_open 1.0", "holds_made_total 6.0", "holds_expired_total 1.0", "occupancies_open 1.0"),
        *('referrals_total{outcome="accepted"} 1.0', 'referrals_total{outcome="declined"} 1.0'),
        *('referrals_total{outcome="rejected"} 1.0', 'referrals_total{outcome="withdrawn"} 1.0'),
        *('needs_unmatched_total{reason="all-full"} 1.0', 'needs_unmatched_total{reason="no-stock"} 1.0'),
        'allocations_total{outcome="proposed"} 1.0',
    ):
        assert counted in without


async def figures(stack: RunningStack, *, hiding: bool) -> list[str]:
    """The figures of a world in which everything happens to households, in one also to some in hiding."""
    async with matching(stack) as world:
        await world.advance(timedelta(0))
        await world.offer(2, who=HUB, name="Safe house", confidential=True)
        await world.offer(2)
        await world.hear(stock(str(uuid7()), "soap", 20), stock(str(uuid7()), "socks", 0))
        closing = []
        if hiding:
            closing.append(await everything_happens(world, facts(confidential=True), HUB))
        closing.append(await everything_happens(world, facts(), SHELTER))
        await world.advance(timedelta(hours=2))
        await world.hear(*(intake.CaseClosed(case_id=case_id) for case_id in closing))
        await world.advance(ROUND)
        calendar = MatchingTerms().terms(HubSettings()).calendar
        await Gauges(world.database, world.clock, calendar, world.metrics).count()
        lines = world.metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith(OF_THE_DOMAIN) and "_created" not in line]


async def everything_happens(world: World, of: common.Facts, who: Principal) -> str:
    """Households of one person: one moves in, one says no, one is told no, one goes away, one never answers, and
    one finds no place until the hold of that one ends. The case of one that wants goods, which is to be closed.
    """
    arrives, declines, rejected, leaves, silent, late, wants = cases(6 + 1)
    place = await proposed(world, arrives, of)
    await world.client(arrives, place, True)
    await world.provider(place, True, who)
    await world.check_in(place, who)
    await world.client(declines, await proposed(world, declines, of), False)
    await world.provider(await proposed(world, rejected, of), False, who)
    await proposed(world, leaves, of)
    await world.hear(*(intake.CaseClosed(case_id=each) for each in (declines, rejected, leaves)))
    await proposed(world, silent, of)
    await world.hear(reported(late, lodging(), of, "HKRW4477"))
    await world.hear(reported(wants, goods("soap", 2), of), reported(wants, goods("socks", 2), of))
    return wants


async def proposed(world: World, case_id: str, of: common.Facts) -> str:
    """Report a need for tonight; the referral that is proposed at once."""
    await world.hear(reported(case_id, lodging(), of, "HKRW4477"))
    [proposal] = await world.said(REFERRALS, case_id)
    return str(proposal.referral_id)
