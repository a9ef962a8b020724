"""Ask for more nights in a place that a victim service provider asked for, still without knowing for whom."""

from datetime import date

from services.chassis import discretion
from services.chassis.call import Call
from services.intake.application.places_ports import PLACE_OVER
from services.intake.application.ports import IntakeWork, Matching, Works
from services.intake.domain.ids import CaseId, ReferralId
from services.intake.domain.place_requests import remembered_for
from services.intake.domain.refusal import invalid, not_found


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
    they live there. What is refused is forgotten all the same when they leave. Nothing else is kept of it.
    """
    discretion.hush()
    if referral_id is None:
        raise invalid(
            "referral-missing", "No stay is known of a place request: name its referral.", field="referral_id"
        )
    async with works() as work:
        await _remember(work, request_id, until)
    return await matching.extend_stay(request_id, referral_id, until, call)


async def _remember(work: IntakeWork, request_id: CaseId, until: date) -> None:
    known = await work.places.remembered_until(request_id)
    if known is None:
        raise not_found()
    longer = remembered_for(until, known, work.today, work.zone)
    if longer > known:
        await work.arm(PLACE_OVER, str(request_id), longer)
