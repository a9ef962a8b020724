"""PlaceRequestService: what a victim service provider asks the hub for."""

from collections.abc import Collection

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import places_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.place_requests import (
    RequestPlace,
    check_place,
    request_place,
    withdraw_place,
)
from services.intake.application.ports import Hub, IntakeWork
from services.intake.domain.access import CASEWORK
from services.intake.domain.ids import ArrivalCode
from services.intake.domain.place_requests import PlaceWanted
from services.intake.domain.refusal import invalid
from services.intake.entrypoints import requests
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.PlaceRequestService"
RULES = {
    "RequestPlace": allow(*CASEWORK),
    "CheckPlace": allow(*CASEWORK),
    "WithdrawPlace": allow(*CASEWORK),
}
# The secret stands in no address, so even a look is a POST.
ROUTES = (
    Route("POST", "/v1/places", "RequestPlace"),
    Route("POST", "/v1/places:check", "CheckPlace"),
    Route("POST", "/v1/places:withdraw", "WithdrawPlace"),
)


class PlaceRpc:
    """Nothing here goes through the memory of commands: it would join a worker to a request."""

    def __init__(self, door: Door, hub: Hub, areas: Collection[str]) -> None:
        self._door = door
        self._hub = hub
        self._areas = areas

    async def RequestPlace(
        self, request: messages.RequestPlaceRequest, call: Call
    ) -> messages.RequestPlaceResponse:
        sent = self._door.command(request, call)
        command = RequestPlace(asker(call), sent.key, sent.fingerprint, self._wanted(request))

        async def act(work: IntakeWork) -> tuple[str, ArrivalCode]:
            return await request_place(work, command)

        token, code = await self._door.within(call).run(act)
        return messages.RequestPlaceResponse(token=token, hub=self._contact(code))

    async def CheckPlace(
        self, request: messages.CheckPlaceRequest, call: Call
    ) -> messages.CheckPlaceResponse:
        async def act(work: IntakeWork) -> ArrivalCode:
            return await check_place(work, asker(call), request.token)

        code = await self._door.within(call).run(act)
        return messages.CheckPlaceResponse(hub=self._contact(code))

    async def WithdrawPlace(
        self, request: messages.WithdrawPlaceRequest, call: Call
    ) -> messages.WithdrawPlaceResponse:
        self._door.command(request, call)

        async def act(work: IntakeWork) -> None:
            await withdraw_place(work, asker(call), request.token)

        await self._door.within(call).run(act)
        return messages.WithdrawPlaceResponse()

    def _wanted(self, request: messages.RequestPlaceRequest) -> PlaceWanted:
        area = request.area.strip()
        if self._areas and area and area not in self._areas:
            raise invalid("area-unknown", "The region has no such area.", field="area")
        return PlaceWanted(
            adults=request.adults,
            children=request.children,
            infants=request.infants,
            nights=request.nights,
            from_date=requests.optional_date(request.from_date, "from_date"),
            wheelchair=request.wheelchair,
            pets=request.pets,
            area=area,
        )

    def _contact(self, code: ArrivalCode) -> common.HubContact:
        contact = self._hub.contact(code)
        return common.HubContact(
            phone=contact.phone, arrival_code=contact.arrival_code, meeting_point=contact.meeting_point
        )
