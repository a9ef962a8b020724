"""What matching does when a promise falls due: it goes on the agenda of the transaction that ends the timer.

Many may be due together; their consequences are drawn at once, with locks taken in one order.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from services.chassis import discretion
from services.chassis.timers import Deadline, Due
from services.matching.application.ports import MatchingWork
from services.matching.application.timers import (
    ARRIVAL_ENDS,
    GOODS_ROUND,
    HOLD_ENDS,
    PLACES_ROUND,
    REGION,
    REST_ENDS,
    STAY_ENDS,
)
from services.matching.domain.ids import NeedId, OccupancyId, ReferralId

Work = MatchingWork


def deadlines() -> Mapping[str, Deadline[Work]]:
    """By kind of timer."""
    return {
        HOLD_ENDS: hold_ends,
        ARRIVAL_ENDS: hold_ends,
        STAY_ENDS: stay_ends,
        REST_ENDS: rest_ends,
        GOODS_ROUND: goods_round,
        PLACES_ROUND: places_round,
    }


# The household of these three is known only when their consequences are drawn, and it may be one in hiding: none of
# them is counted here. `holds_expired_total` counts those that may be.


async def hold_ends(due: Due, work: Work) -> None:
    discretion.hush()
    work.agenda.expiring.add(ReferralId(UUID(due.subject)))


async def stay_ends(due: Due, work: Work) -> None:
    discretion.hush()
    work.agenda.ending.add(OccupancyId(UUID(due.subject)))


async def rest_ends(due: Due, work: Work) -> None:
    discretion.hush()
    work.agenda.needs.add(NeedId(UUID(due.subject)))


async def goods_round(due: Due, work: Work) -> None:
    work.agenda.goods_round = True
    await work.arm(GOODS_ROUND, REGION, work.terms.next_goods_round(work.now))


async def places_round(due: Due, work: Work) -> None:
    work.agenda.places_round = True
    await work.arm(PLACES_ROUND, REGION, work.terms.calendar.next_day(work.now))


async def begin_rounds(work: Work) -> None:
    """At the start of the process look at everything: a round may have been missed while it was away."""
    await work.arm(GOODS_ROUND, REGION, work.now)
    await work.arm(PLACES_ROUND, REGION, work.now)
