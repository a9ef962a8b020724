"""A place is the household's: both sides said yes; it arrived."""

from __future__ import annotations

from dataclasses import replace

from services.chassis.ids import uuid7
from services.matching.application.ports import MatchingWork
from services.matching.application.timers import ARRIVAL_ENDS, STAY_ENDS
from services.matching.domain.events import OccupancyStarted, ReferralAccepted
from services.matching.domain.ids import OccupancyId
from services.matching.domain.occupancies import Occupancy, last_night
from services.matching.domain.referrals import Referral


async def accept(work: MatchingWork, said: Referral) -> Referral:
    """Hold it through its first night. Both sides said yes."""
    until = work.terms.calendar.arrive_until(said.from_date, work.now)
    accepted = replace(said, expires_at=until)
    work.referrals.save(accepted)
    await work.arm(ARRIVAL_ENDS, str(said.referral_id), until)
    work.say(ReferralAccepted(said.case_id, said.referral_id, said.need_id), hidden=said.hidden)
    return accepted


async def move_in(work: MatchingWork, arrived: Referral) -> None:
    """The nights stay as they are: the units that were held are the units that are taken."""
    occupancy = Occupancy(
        occupancy_id=OccupancyId(uuid7()),
        offer_id=arrived.offer_id,
        case_id=arrived.case_id,
        referral_id=arrived.referral_id,
        units=arrived.units,
        from_date=arrived.from_date,
        until=arrived.until,
    )
    work.referrals.save(arrived)
    work.occupancies.start(occupancy)
    work.needs.place(arrived.need_id)
    work.agenda.housed.add(arrived.case_id)
    ends_at = work.terms.calendar.leave_on(arrived.until)
    await work.arm(STAY_ENDS, str(occupancy.occupancy_id), ends_at)
    last = last_night(arrived.from_date, arrived.nights)
    work.say(OccupancyStarted(arrived.case_id, arrived.referral_id, arrived.need_id, arrived.from_date, last))
