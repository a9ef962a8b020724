"""Let go of a place that was held or taken: its nights are free, and somebody may wait for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from services.matching.application.ports import MatchingWork
from services.matching.application.views import Taken
from services.matching.domain.events import OccupancyEnded
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.referrals import Referral


def let_go(work: MatchingWork, held: Referral, ended: Referral) -> None:
    """End a referral that holds a place. The caller has the places locked and says what happened."""
    work.referrals.save(ended)
    work.places.release([Taken(held.offer_id, held.from_date, held.until, held.units)])
    work.agenda.free(held.offer_id)
    if held.one_place is not None and held.shares is None:
        work.agenda.vacate(held.referral_id, held.from_date, held.until)


def leave(work: MatchingWork, occupancy: Occupancy, until: date) -> None:
    """End an occupancy: the nights from `until` on are free. The caller has the places locked."""
    work.occupancies.save(replace(occupancy, until=until, ended=True))
    if occupancy.until is None:
        work.places.release_standing(occupancy.offer_id, occupancy.from_date, until, occupancy.units)
    elif until < occupancy.until:
        work.places.release([Taken(occupancy.offer_id, until, occupancy.until, occupancy.units)])
    work.agenda.free(occupancy.offer_id)
    if occupancy.referral_id is not None and occupancy.units:
        work.agenda.vacate(occupancy.referral_id, until, occupancy.until or until)
    work.say(OccupancyEnded(occupancy.case_id, occupancy.referral_id, until))
