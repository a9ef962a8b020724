"""Ask the hub for one place without saying for whom, and forget that it was asked for."""

from dataclasses import dataclass

from services.chassis import discretion
from services.intake.application.places_ports import PLACE_OVER, PlaceNames
from services.intake.application.ports import IntakeWork
from services.intake.domain.agencies import Asker
from services.intake.domain.events import CaseClosed, CaseErased, CaseOpened, NeedReported
from services.intake.domain.ids import ArrivalCode, CaseId
from services.intake.domain.place_requests import (
    REMEMBERED_BY_MATCHING,
    PlaceRequest,
    PlaceWanted,
    checked_key,
    facts_of,
    forgotten_at,
    last_night,
    lodging_of,
    may_request,
)
from services.intake.domain.refusal import conflict, not_found


@dataclass(frozen=True, slots=True)
class RequestPlace:
    """`key` is the client's own; the general memory of commands, which says who sent them, keeps none of these."""

    asker: Asker
    key: str
    fingerprint: bytes
    wanted: PlaceWanted


async def request_place(work: IntakeWork, command: RequestPlace) -> tuple[str, ArrivalCode]:
    """The secret and the code to say to the hub; the same again for the same command."""
    may_request(await work.agencies.viewer(command.asker))
    discretion.hush()
    checked_key(command.key)
    facts = facts_of(command.wanted)
    names = work.places.names(command.asker.worker, command.key)
    need = lodging_of(command.wanted, names.need_id, work.today)
    known = await work.places.known(names.request_id)
    if known is not None:
        if known.fingerprint not in (None, command.fingerprint):
            raise conflict("idempotency-key-reused", "This key was used for another command.")
        return names.token, known.arrival_code or await _code(work, names)
    code = await _code(work, names)
    request = PlaceRequest(names.request_id, need, facts, code)
    if await work.places.keep(request, names.token, command.fingerprint):
        work.tell(CaseOpened(names.request_id, facts), NeedReported(names.request_id, need, facts, code))
        await work.arm(
            PLACE_OVER, str(names.request_id), forgotten_at(last_night(need, work.today), work.zone)
        )
    return names.token, code


async def check_place(work: IntakeWork, asker: Asker, token: str) -> ArrivalCode:
    """The code again. Whether a place is held, taken or not there is told by nothing in the answer."""
    may_request(await work.agencies.viewer(asker))
    found = await work.places.by_token(token)
    if found is None:
        raise not_found()
    discretion.hush()
    return found[1]


async def withdraw_place(work: IntakeWork, asker: Asker, token: str) -> None:
    may_request(await work.agencies.viewer(asker))
    found = await work.places.by_token(token)
    if found is not None:
        await forget_place(work, found[0])


async def forget_place(work: IntakeWork, request_id: CaseId) -> None:
    """Wanted no more, taken and left, or too late: matching forgets it, and so does intake."""
    discretion.hush()
    if await work.places.forget(request_id):
        work.tell(CaseClosed(request_id), CaseErased(request_id))
        await work.arm(PLACE_OVER, str(request_id), work.now + REMEMBERED_BY_MATCHING)


async def place_over(work: IntakeWork, request_id: CaseId) -> None:
    """Its last night is past; or, when it was forgotten before, matching speaks of it no more."""
    discretion.hush()
    known = await work.places.known(request_id)
    if known is not None and known.fingerprint is None:
        work.places.drop(request_id)
    else:
        await forget_place(work, request_id)


async def _code(work: IntakeWork, names: PlaceNames) -> ArrivalCode:
    return await work.cases.free_arrival_code(names.request_id)
