"""What intake does when a promise falls due.

Two ways to promise something:

- to a household: `work.clocks.arm(case.case_id, case.agency_id, kind, about, due_at)`, with the kind in `rings()`.
  These are kept one at a time, in the order of their times, with the case locked. Preferred whenever there is a
  case: whatever else is promised to the household then happens before or after it, as the times say.
- to anything else: `await work.arm(kind, subject, due_at, payload)`, with the kind in `deadlines()`.

Either is kept once, also when the process dies over it or was away when it fell due.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from services.chassis import idempotency
from services.chassis.timers import Deadline, Due, forget_answers
from services.intake.application.break_glass import GLASS_CLOSES, glass_closes
from services.intake.application.clocks_ports import Ring
from services.intake.application.derive_needs import NORMS, norms_ring
from services.intake.application.end_consent import CONSENT_ENDS, consent_ends
from services.intake.application.follow_up import follow_up_rings
from services.intake.application.household_clock import CASE_CLOCK, keep_promise
from services.intake.application.keep_stays import stay_ending_rings, stay_over_rings
from services.intake.application.look_again import ask_again_rings, look_again_rings
from services.intake.application.place_requests import place_over
from services.intake.application.places_ports import PLACE_OVER
from services.intake.application.ports import IntakeWork
from services.intake.application.publish_report import REPORT, publishing
from services.intake.application.renew_consent import CONSENT_ENDS_SOON, consent_ends_soon_rings
from services.intake.domain.clocks import ASK_AGAIN, FOLLOW_UP, LOOK_AGAIN, STAY_ENDING, STAY_OVER
from services.intake.domain.entries import ENTRY_KEYS, OLDEST_ENTRY
from services.intake.domain.ids import CaseId


def rings() -> Mapping[str, Ring]:
    """What is promised to a household, by kind of reminder: `ring(work, case, reminder)`."""
    return {
        STAY_ENDING: stay_ending_rings,
        STAY_OVER: stay_over_rings,
        LOOK_AGAIN: look_again_rings,
        ASK_AGAIN: ask_again_rings,
        FOLLOW_UP: follow_up_rings,
        CONSENT_ENDS: consent_ends,
        CONSENT_ENDS_SOON: consent_ends_soon_rings,
        NORMS: norms_ring,
        GLASS_CLOSES: glass_closes,
    }


def deadlines(areas: Sequence[str] = ()) -> Mapping[str, Deadline[IntakeWork]]:
    """By kind of timer. `areas` are the region's, for its reports."""
    return {
        # Told again for as long as it is accepted, an entry is applied once.
        idempotency.PURGE: forget_answers({ENTRY_KEYS: OLDEST_ENTRY + timedelta(days=1)}),
        CASE_CLOCK: case_clock(rings()),
        PLACE_OVER: _place_over,
        REPORT: publishing(areas),
    }


def case_clock(by_kind: Mapping[str, Ring]) -> Deadline[IntakeWork]:
    """All promises to one household, behind the one timer that it has."""

    async def keep(due: Due, work: IntakeWork) -> None:
        await keep_promise(work, CaseId(UUID(due.subject)), by_kind)

    return keep


async def _place_over(due: Due, work: IntakeWork) -> None:
    await place_over(work, CaseId(UUID(due.subject)))
