"""Ask for more nights in the place where a household lives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from services.chassis.call import Call
from services.intake.application.extend_place import extend_place
from services.intake.application.follow_stays import case_of, change_stay
from services.intake.application.ports import IntakeWork, Matching, Works
from services.intake.domain.access import Sight, must_act, sight
from services.intake.domain.agencies import Asker
from services.intake.domain.cases import Case
from services.intake.domain.ids import ArrivalCode, CaseId, ReferralId
from services.intake.domain.refusal import denied, invalid, not_found, refused
from services.intake.domain.stays import Stay


class Repeating(Works, Protocol):
    """Works that are run again when another transaction was in the way."""

    async def run(self, act: Callable[[IntakeWork], Awaitable[None]]) -> None: ...


@dataclass(frozen=True, slots=True)
class ExtendStay:
    """Told by a worker of the case, or by the hub for whoever said the arrival code. No stay: the one that
    lasts; else its number within the case. `referral_id` names the stay of a place request."""

    asker: Asker
    case_id: CaseId | None
    arrival_code: ArrivalCode | None
    stay: int | None
    referral_id: ReferralId | None
    last_night: date


async def extend_stay(works: Repeating, matching: Matching, command: ExtendStay, call: Call) -> date:
    """The last night as it is then.

    The place is matching's, so matching is asked, outside of any transaction, and answers the same command the
    same way however often it comes: after a timeout nothing is known, and asking again finds out. A stay known
    from an import has no end there, and its last night is what is said here.
    """
    async with works() as work:
        request_id = await _place_request(work, command)
    if request_id is not None:
        return await extend_place(works, matching, request_id, command.referral_id, command.last_night, call)
    async with works() as work:
        stay = await _stay(work, command)
    if stay.last_night == command.last_night:
        return command.last_night
    last_night = command.last_night
    if stay.referral_id is not None:
        last_night = await matching.extend_stay(stay.case_id, stay.referral_id, last_night, call)

    async def remember(work: IntakeWork) -> None:
        await _remember(work, command, stay, last_night)

    await works.run(remember)
    return last_night


async def _remember(work: IntakeWork, command: ExtendStay, stay: Stay, last_night: date) -> None:
    """Matching's own event says the same, and may have come first."""
    await _case(work, command)
    case = await case_of(work, stay.case_id)
    for now in await work.stays.of_case(case.case_id):
        if now.stay_id == stay.stay_id and not (now.last_night and now.last_night >= last_night):
            await change_stay(work, case, now, now.from_date, last_night)


async def _place_request(work: IntakeWork, command: ExtendStay) -> CaseId | None:
    """Nobody's case: its code is the hub's to say, like any other."""
    if command.arrival_code is None or "hub" not in command.asker.roles:
        return None
    return await work.places.by_code(command.arrival_code)


async def _stay(work: IntakeWork, command: ExtendStay) -> Stay:
    case = await _case(work, command)
    case.must_be_open()
    for stay in reversed(await work.stays.of_case(case.case_id)):
        if command.stay == stay.number or (command.stay is None and not stay.ended):
            if stay.last_night != command.last_night or stay.ended:
                stay.to_extend(command.last_night, work.today)
            return stay
    raise not_found() if command.stay is not None else refused("no-stay", "The household has no place.")


async def _case(work: IntakeWork, command: ExtendStay) -> Case:
    """For a household in hiding the hub alone asks: whether its place is free is nobody else's to know."""
    if command.arrival_code is not None:
        if "hub" not in command.asker.roles:
            raise denied("hub-only", "Only the hub names a case by arrival code.")
        by_code = await work.cases.find_by_code(command.arrival_code, command.asker.worker)
        if by_code is None:
            raise not_found()
        return by_code
    if command.case_id is None:
        raise invalid("case-missing", "A stay is of a case.", field="case_id")
    found = await work.cases.approach(command.case_id, command.asker)
    case = must_act(found.case, found.viewer)
    if sight(case, found.viewer) is not Sight.FULL:
        raise refused("police-write-mostly", "Where a household lives is not told to police.")
    if case.confidential:
        raise refused("with-the-hub", "The hub arranges the place of this household; call the hub.")
    return case
