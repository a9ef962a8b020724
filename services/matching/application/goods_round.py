"""Share out the known free stock among the needs that wait for it, and say what the region is short of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from secrets import SystemRandom

from services.chassis.ids import random_id
from services.matching.application.ports import MatchingWork
from services.matching.application.views import Allocation
from services.matching.domain.events import (
    AllocationProposed,
    AllocationWithdrawn,
    NeedAllocated,
    NeedUnmatched,
    ShortfallChanged,
)
from services.matching.domain.goods import Share, WantedGoods, divide, shortfalls
from services.matching.domain.household import iso_week
from services.matching.domain.ids import AllocationId, CaseId
from services.matching.domain.needs import Reason, Unmatched


async def goods_round(work: MatchingWork) -> None:
    """All that waits is looked at together, on a fixed tick: who watches learns of no single need."""
    wanted = await work.needs.wanted_goods()
    done = divide(wanted, await work.goods.shelves(), await work.goods.asked())
    hidden = {each.case_id for each in wanted if each.hidden}
    _tell_logistics(work, _propose(work, done.shares, hidden), await work.goods.tell_withdrawn())
    _tell_short(work, wanted, done.short)
    await _tell_region(work, done.short)


def _propose(work: MatchingWork, shares: Sequence[Share], hidden: Collection[CaseId]) -> list[Allocation]:
    week = iso_week(work.today)
    allocations = [
        Allocation(
            allocation_id=AllocationId(random_id()),
            need_id=share.need_id,
            case_id=share.case_id,
            item_id=share.item_id,
            quantity=share.quantity,
            area=share.area,
            week=week,
            state="proposed",
            size=share.size,
        )
        for share in shares
    ]
    work.goods.propose(allocations, work.now)
    for share, made in zip(shares, allocations, strict=True):
        allocated = NeedAllocated(share.case_id, share.need_id, made.allocation_id, made.quantity)
        work.say(allocated, hidden=share.case_id in hidden)
    return allocations


def _tell_logistics(
    work: MatchingWork, proposed: Sequence[Allocation], withdrawn: Sequence[AllocationId]
) -> None:
    """What is announced next to each other must not tell who belongs together."""
    told: list[AllocationProposed | AllocationWithdrawn] = [
        *(
            AllocationProposed(
                each.allocation_id, each.item_id, each.quantity, each.area, each.week, each.size
            )
            for each in proposed
        ),
        *map(AllocationWithdrawn, withdrawn),
    ]
    SystemRandom().shuffle(told)
    for event in told:
        work.say(event)


def _tell_short(
    work: MatchingWork, wanted: Sequence[WantedGoods], short: Sequence[tuple[WantedGoods, int]]
) -> None:
    """Say that stock does not cover a need when that is news; once it is covered it may be news again."""
    still_short = {each.need_id for each, _ in short}
    told = Unmatched(Reason.NO_STOCK)
    for each in wanted:
        if each.need_id in still_short and not each.told_short:
            work.needs.tell(each.need_id, told)
            work.say(NeedUnmatched(each.case_id, each.need_id, told), hidden=each.hidden)
        elif each.need_id not in still_short and each.told_short:
            work.needs.tell(each.need_id, None)


async def _tell_region(work: MatchingWork, short: Sequence[tuple[WantedGoods, int]]) -> None:
    pack_sizes = await work.goods.pack_sizes()
    missing = shortfalls(short, pack_sizes, work.terms.households_behind_a_line)
    said = await work.goods.shortfalls()
    for area, item_id in sorted({*missing, *said}):
        packs = missing.get((area, item_id), 0)
        before, revision = said.get((area, item_id), (0, 0))
        if packs != before:
            work.goods.tell_shortfall(area, item_id, packs, revision + 1)
            work.say(ShortfallChanged(area, item_id, packs, revision + 1))
