"""Draw the consequences of what changed or came due: let go, close, then give, by priority."""

from __future__ import annotations

from services.matching.application.check_out import end_left, end_stays
from services.matching.application.close_referrals import close_referrals
from services.matching.application.expire_hold import expire_holds
from services.matching.application.give import give, seeks
from services.matching.application.give_at_once import gave_at_once
from services.matching.application.goods_round import goods_round
from services.matching.application.outgrown import tell_outgrown
from services.matching.application.ports import MatchingWork
from services.matching.application.share_place import follow_leaders, hide
from services.matching.application.unserved import tell_unserved
from services.matching.application.views import StandingNeed
from services.matching.application.withdraw import close_cases, withdraw_goods, withdraw_places
from services.matching.domain.needs import PLACE_KINDS, NeedState


async def settle(work: MatchingWork) -> None:
    """Bring referrals, occupancies and allocations in line with needs, facts, capacity and time.

    Desired state against actual state, so an event that comes twice, late or overtaken changes nothing more.

    Locks are taken in one order everywhere, so that works wait for each other and never in a circle: the
    needs that the work is about, then the places, then other waiting needs, skipping what somebody else has.
    """
    agenda = work.agenda
    if not agenda:
        return
    if not work.contention.lately and await gave_at_once(work):
        agenda.clear()
        return
    await work.needs.lock(agenda.expiring | agenda.closing)
    touched = await work.needs.touched(agenda.needs, agenda.cases)
    await withdraw_goods(work, touched)
    tell_unserved(work, touched)
    places = [each for each in touched if each.need.kind in PLACE_KINDS]
    seeking: list[StandingNeed] = []
    hiding = await work.one_places.hiding(
        [each.need.case_id for each in places if each.waiting.facts.confidential]
    )
    if hiding or _concerns_places(work, places):
        await work.places.lock()
        await hide(work, hiding)
        seeking += await withdraw_places(work, places)
        await expire_holds(work, agenda.expiring)
        await close_referrals(work, agenda.closing)
        await end_stays(work, agenda.ending)
        await end_left(work, agenda.left)
        await follow_leaders(work)
    await close_cases(work, agenda.closed)
    seeking += [each for each in places if seeks(each, work.now)]
    seeking += [each for need_id in agenda.seeking if (each := await work.needs.get(need_id))]
    if agenda.places_round:
        work.one_places.forget_past(work.today)
        seeking += await work.needs.waiting(PLACE_KINDS, work.now)
    await give(work, seeking, agenda.freed)
    if agenda.goods_round:
        await goods_round(work)
    await tell_outgrown(work, (agenda.cases | agenda.housed) - agenda.closed)
    agenda.clear()


def _concerns_places(work: MatchingWork, touched: list[StandingNeed]) -> bool:
    """Whether any place may change hands; if not, nobody has to wait for this work."""
    agenda = work.agenda
    ending = agenda.expiring or agenda.ending or agenda.left or agenda.closing or agenda.led
    due = agenda.freed or agenda.seeking or ending or agenda.places_round
    holding = (NeedState.REFERRED, NeedState.CLOSED)
    return bool(due) or any(each.state in holding or seeks(each, work.now) for each in touched)
