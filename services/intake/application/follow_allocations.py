"""Follow what logistics says of allocations, which it knows by random ids only."""

from services.intake.application.follow_referrals import meet_when_handed_over
from services.intake.application.ports import IntakeWork
from services.intake.domain.ids import AllocationId


async def allocation_told(work: IntakeWork, allocation_id: AllocationId, state: str, bag_code: str) -> None:
    """Record it; which case it is for may be known already, or come later from matching."""
    part = await work.allocations.told(allocation_id, state, bag_code)
    if part.case_id is None or part.need_id is None:
        return
    if part.handed_over:
        await meet_when_handed_over(work, part.case_id, part.need_id)
    work.changed(part.case_id)
