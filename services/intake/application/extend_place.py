"""Ask for more nights in a place that a victim service provider asked for, still without knowing for whom."""

from datetime import date, datetime

from services.chassis import discretion, errors
from services.chassis.call import Call
from services.chassis.errors import Kind
from services.chassis.ids import random_id
from services.intake.application.places_ports import PLACE_OVER
from services.intake.application.ports import IntakeWork, Matching, Works
from services.intake.domain.ids import CaseId, ReferralId
from services.intake.domain.place_requests import remembered_for
from services.intake.domain.refusal import invalid, not_found

# After these nothing was granted. Of a conflict that is not known: the same command may be under way.
_REFUSALS = frozenset({Kind.INVALID, Kind.DENIED, Kind.MISSING, Kind.REFUSED})


async def extend_place(
    works: Works,
    matching: Matching,
    request_id: CaseId,
    referral_id: ReferralId | None,
    until: date,
    call: Call,
) -> date:
    """The last night as it is then.

    It is remembered for so long before matching is asked: a grant whose answer was lost must not be forgotten while
    they live there. After a refusal it is remembered for as long as before. Nothing else is kept of it.
    """
    discretion.hush()
    if referral_id is None:
        raise invalid(
            "referral-missing", "No stay is known of a place request: name its referral.", field="referral_id"
        )
    async with works() as work:
        asking, before = await _remember(work, request_id, until)
    try:
        return await matching.extend_stay(request_id, referral_id, until, call)
    except Exception as error:
        answered = errors.of(error)
        if answered is not None and answered.kind in _REFUSALS:
            async with works() as work:
                work.places.remember_less(request_id, before, asking)
        raise


async def _remember(work: IntakeWork, request_id: CaseId, until: date) -> tuple[bytes, datetime]:
    """By what this asking is known, and until when the request was remembered before. Armed anew even if that is late
    enough: then an earlier asking which is refused meanwhile does not take away what this one is granted."""
    known = await work.places.remembered_until(request_id)
    if known is None:
        raise not_found()
    asking = random_id().bytes
    longer = remembered_for(until, known, work.today, work.zone)
    await work.arm(PLACE_OVER, str(request_id), longer, asking)
    return asking, known
