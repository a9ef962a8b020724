"""AgencyService: a worker's own desk, and confidential cases in an emergency."""

from datetime import timedelta

from aid.intake.v1 import agencies_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.agencies_ports import Notice
from services.intake.application.break_glass import (
    BreakGlass,
    ack_break_glass,
    break_glass,
    list_break_glass,
)
from services.intake.application.desk import CaseLine, list_cases, list_workers, own_agency
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import CASEWORK
from services.intake.domain.ids import CaseId, GlassId
from services.intake.entrypoints import pages, requests, words
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.AgencyService"
RULES = {
    "GetAgency": allow(*CASEWORK, "provider", "hub", "supervisor"),
    "ListWorkers": allow(*CASEWORK, "hub", "supervisor"),
    "ListCases": allow(*CASEWORK),
    "BreakGlass": allow(*CASEWORK),
    "ListBreakGlass": allow("supervisor"),
    "AckBreakGlass": allow("supervisor"),
}
ROUTES = (
    Route("GET", "/v1/agency", "GetAgency"),
    Route("GET", "/v1/agency/workers", "ListWorkers"),
    Route("GET", "/v1/cases", "ListCases"),
    Route("POST", "/v1/cases/{case_id}:break-glass", "BreakGlass"),
    # A code is not for an address.
    Route("POST", "/v1/break-glass", "BreakGlass"),
    Route("GET", "/v1/break-glass", "ListBreakGlass"),
    Route("POST", "/v1/break-glass/{glass_id}:ack", "AckBreakGlass"),
)


class AgencyRpc:
    def __init__(self, door: Door, break_glass_lasts: timedelta) -> None:
        self._door = door
        self._break_glass_lasts = break_glass_lasts

    async def GetAgency(self, request: messages.GetAgencyRequest, call: Call) -> messages.GetAgencyResponse:
        agency = await self._door.within(call).run(lambda work: own_agency(work, asker(call)))
        return messages.GetAgencyResponse(
            agency_id=str(agency.agency_id), name=agency.name, type=words.AGENCY_TYPE[agency.type]
        )

    async def ListWorkers(
        self, request: messages.ListWorkersRequest, call: Call
    ) -> messages.ListWorkersResponse:
        size, after = pages.page_size(request.page_size), pages.name_in(request.page_token)
        found = await self._door.within(call).run(
            lambda work: list_workers(work, asker(call), after, size + 1)
        )
        page, last = pages.cut(found, size)
        return messages.ListWorkersResponse(
            workers=[
                messages.Worker(worker=each.worker, registered_at=words.timestamp(each.registered_at))
                for each in page
            ],
            next_page_token="" if last is None else pages.token(last.worker),
        )

    async def ListCases(self, request: messages.ListCasesRequest, call: Call) -> messages.ListCasesResponse:
        size, after = pages.page_size(request.page_size), pages.mark_in(request.page_token)
        found = await self._door.within(call).run(lambda work: list_cases(work, asker(call), after, size + 1))
        page, last = pages.cut(found, size)
        return messages.ListCasesResponse(
            cases=[_line(each) for each in page],
            next_page_token="" if last is None else pages.mark_token(last.opened_at, last.case_id),
        )

    async def BreakGlass(
        self, request: messages.BreakGlassRequest, call: Call
    ) -> messages.BreakGlassResponse:
        case_id = requests.optional_uuid(request.case_id, "case_id")
        command = BreakGlass(
            asker=asker(call),
            case_id=None if case_id is None else CaseId(case_id),
            arrival_code=requests.code_in(request.arrival_code),
            reason=request.reason,
        )

        async def act(work: IntakeWork) -> messages.BreakGlassResponse:
            glass = await break_glass(work, command, self._break_glass_lasts)
            return messages.BreakGlassResponse(case_id=str(glass.case_id), until=words.timestamp(glass.until))

        return await self._door.once(request, call, messages.BreakGlassResponse, act)

    async def ListBreakGlass(
        self, request: messages.ListBreakGlassRequest, call: Call
    ) -> messages.ListBreakGlassResponse:
        size, after = pages.page_size(request.page_size), pages.mark_in(request.page_token)
        found = await self._door.within(call).run(
            lambda work: list_break_glass(work, asker(call), after, size)
        )
        # Not one more than fits: each that is found is logged as read.
        last = found[-1] if len(found) == size else None
        return messages.ListBreakGlassResponse(
            broken=[_broken(each) for each in found],
            next_page_token=""
            if last is None
            else pages.mark_token(last.glass.opened_at, last.glass.glass_id),
        )

    async def AckBreakGlass(
        self, request: messages.AckBreakGlassRequest, call: Call
    ) -> messages.AckBreakGlassResponse:
        glass_id = GlassId(requests.uuid_in(request.glass_id, "glass_id"))

        async def act(work: IntakeWork) -> messages.AckBreakGlassResponse:
            await ack_break_glass(work, asker(call), glass_id)
            return messages.AckBreakGlassResponse()

        return await self._door.once(request, call, messages.AckBreakGlassResponse, act)


def _line(line: CaseLine) -> messages.CaseLine:
    return messages.CaseLine(
        case_id=str(line.case_id),
        status=line.status,
        opened_at=words.timestamp(line.opened_at),
        confidential=line.confidential,
        head_count=line.head_count,
        area=line.area,
    )


def _broken(notice: Notice) -> messages.BrokenGlass:
    glass = notice.glass
    return messages.BrokenGlass(
        glass_id=str(glass.glass_id),
        agency_id=str(glass.agency_id),
        agency=notice.agency,
        worker=glass.worker,
        opened_at=words.timestamp(glass.opened_at),
        until=words.timestamp(glass.until),
        reason=glass.reason,
    )
