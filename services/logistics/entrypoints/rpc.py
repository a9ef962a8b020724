"""The service of logistics, for both doors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from aid.logistics.v1 import logistics_pb2 as pb
from google.protobuf.message import Message

from services.chassis.call import Call
from services.chassis.idempotency import Command, once
from services.chassis.metrics import Metrics
from services.chassis.work import WorkFactory
from services.logistics.application.admissions import Admissions
from services.logistics.application.bags import confirm_handover, dispatch_bag, get_handoff
from services.logistics.application.catalogue import put_item, put_warehouse
from services.logistics.application.count_stock import count_stock
from services.logistics.application.parcels import pack_box, send_box
from services.logistics.application.ports import Handoffs, Reads, Work
from services.logistics.application.receive_box import receive_box
from services.logistics.application.watch_shipments import Bell, watch_shipments
from services.logistics.domain.catalogue import Warehouse
from services.logistics.domain.ids import Area, BagCode, ItemId, Label, LineId, Packs, Pieces, WarehouseId
from services.logistics.domain.pledges import Ask, hashed
from services.logistics.domain.refusal import Refusal, not_found
from services.logistics.entrypoints import speech
from services.logistics.settings import AppealSettings

R = TypeVar("R", bound=Message)
Act = Callable[[Work], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class LogisticsRpc:
    """Every method of the contract: request in, use case, answer out. The rules have let the caller in."""

    works: WorkFactory[Work]
    reads: Reads
    admissions: Admissions
    handoffs: Handoffs
    bell: Bell
    metrics: Metrics
    settings: AppealSettings
    told_every: timedelta

    async def PutItem(self, request: pb.PutItemRequest, call: Call) -> pb.PutItemResponse:
        async def act(work: Work) -> pb.PutItemResponse:
            await put_item(work, speech.item(request.item))
            return pb.PutItemResponse()

        return await self._once(request, call, act, pb.PutItemResponse)

    async def ListItems(self, request: pb.ListItemsRequest, call: Call) -> pb.ListItemsResponse:
        return pb.ListItemsResponse(items=map(speech.item_message, await self.reads.items()))

    async def PutWarehouse(self, request: pb.PutWarehouseRequest, call: Call) -> pb.PutWarehouseResponse:
        async def act(work: Work) -> pb.PutWarehouseResponse:
            warehouse_id = WarehouseId(speech.uuid(request.warehouse_id, "warehouse-id"))
            await put_warehouse(
                work,
                Warehouse(warehouse_id, request.name, Area(request.area), request.address, request.agency_id),
            )
            return pb.PutWarehouseResponse()

        return await self._once(request, call, act, pb.PutWarehouseResponse)

    async def GetAppeal(self, request: pb.GetAppealRequest, call: Call) -> pb.GetAppealResponse:
        lines, ticked_at = await self.reads.appeal(Area(request.area))
        listed = [speech.line_message(line, item) for line, item in lines]
        return pb.GetAppealResponse(lines=listed, as_of=speech.moment(ticked_at))

    async def Pledge(self, request: pb.PledgeRequest, call: Call) -> pb.PledgeResponse:
        """Idempotent by the pledge's own row: the answer holds a secret, which no stored answer may."""
        line_id = LineId(speech.uuid(request.line_id, "line-id"))
        ask = Ask(line_id, Packs(request.packs), call.principal.subject, call.idempotency_key)
        try:
            admitted = await self.admissions.pledge(ask)
        except Refusal as refusal:
            self.metrics.pledges_refused_total.labels(refusal.reason).inc()
            raise
        self.metrics.pledges_admitted_total.inc()
        return speech.admitted_message(admitted)

    async def GetPledge(self, request: pb.GetPledgeRequest, call: Call) -> pb.GetPledgeResponse:
        view = await self.reads.pledge(hashed(request.secret))
        if view is None:
            raise not_found()
        return speech.pledge_message(view)

    async def PackBox(self, request: pb.PackBoxRequest, call: Call) -> pb.PackBoxResponse:
        async def act(work: Work) -> pb.PackBoxResponse:
            label, address = await pack_box(work, request.secret, Pieces(request.quantity))
            return pb.PackBoxResponse(label=label, address=address)

        return await self._once(request, call, act, pb.PackBoxResponse, _holder(request.secret))

    async def SendBox(self, request: pb.SendBoxRequest, call: Call) -> pb.SendBoxResponse:
        async def act(work: Work) -> pb.SendBoxResponse:
            await send_box(work, request.secret, self.settings.arrive_within)
            return pb.SendBoxResponse()

        return await self._once(request, call, act, pb.SendBoxResponse, _holder(request.secret))

    async def ReceiveBox(self, request: pb.ReceiveBoxRequest, call: Call) -> pb.ReceiveBoxResponse:
        async def act(work: Work) -> pb.ReceiveBoxResponse:
            count = speech.count(request)
            outcome = await receive_box(work, Label(request.label), count, call.principal.agency)
            work.after_commit(self.metrics.boxes_received_total.labels(outcome).inc)
            return pb.ReceiveBoxResponse(outcome=outcome)

        return await self._once(request, call, act, pb.ReceiveBoxResponse)

    async def ListStock(self, request: pb.ListStockRequest, call: Call) -> pb.ListStockResponse:
        warehouse_id = await self._own(request.warehouse_id, call)
        shelves = await self.reads.shelves(warehouse_id)
        return pb.ListStockResponse(stock=map(speech.shelf_message, shelves))

    async def CountStock(self, request: pb.CountStockRequest, call: Call) -> pb.CountStockResponse:
        async def act(work: Work) -> pb.CountStockResponse:
            warehouse_id = WarehouseId(speech.uuid(request.warehouse_id, "warehouse-id"))
            screened = Pieces(request.screened)
            await count_stock(work, warehouse_id, ItemId(request.item_id), screened, call.principal.agency)
            return pb.CountStockResponse()

        return await self._once(request, call, act, pb.CountStockResponse)

    async def ListBags(self, request: pb.ListBagsRequest, call: Call) -> pb.ListBagsResponse:
        """A crew sees the bags of its warehouse, a carrier those that it carries."""
        states = speech.bag_states(request.state)
        if call.principal.has("warehouse"):
            warehouse_id = await self._own(request.warehouse_id, call)
            bags = await self.reads.bags(warehouse_id, None, states)
        else:
            bags = await self.reads.bags(None, call.principal.subject, states)
        return pb.ListBagsResponse(bags=map(speech.bag_message, bags))

    async def DispatchBag(self, request: pb.DispatchBagRequest, call: Call) -> pb.DispatchBagResponse:
        async def act(work: Work) -> pb.DispatchBagResponse:
            await dispatch_bag(work, BagCode(request.bag_code), request.carrier, call.principal.agency)
            return pb.DispatchBagResponse()

        return await self._once(request, call, act, pb.DispatchBagResponse)

    async def GetHandoff(self, request: pb.GetHandoffRequest, call: Call) -> pb.GetHandoffResponse:
        patience_s = call.remaining().total_seconds()
        bag_code = BagCode(request.bag_code)
        point, slot = await get_handoff(
            self.reads, self.handoffs, bag_code, call.principal.subject, patience_s
        )
        return pb.GetHandoffResponse(point=point, slot=slot)

    async def ConfirmHandover(
        self, request: pb.ConfirmHandoverRequest, call: Call
    ) -> pb.ConfirmHandoverResponse:
        async def act(work: Work) -> pb.ConfirmHandoverResponse:
            carrier = call.principal.subject
            await confirm_handover(work, BagCode(request.bag_code), carrier, self.told_every)
            work.after_commit(self.metrics.handovers_total.inc)
            return pb.ConfirmHandoverResponse()

        return await self._once(request, call, act, pb.ConfirmHandoverResponse)

    async def WatchShipments(
        self, request: pb.WatchShipmentsRequest, call: Call
    ) -> AsyncGenerator[pb.WatchShipmentsResponse]:
        warehouse_id = WarehouseId(speech.uuid(request.warehouse_id, "warehouse-id"))
        watched = watch_shipments(
            self.reads, self.bell, warehouse_id, call.principal.agency, request.resume_token
        )
        async with aclosing(watched) as entries:
            async for entry in entries:
                yield speech.entry_message(warehouse_id, entry)

    async def _once(
        self, request: Message, call: Call, act: Act[R], response: type[R], principal: str = ""
    ) -> R:
        """Act once for this key of this principal, and give the same answer ever after."""
        command = Command.of(call, request, principal=principal)

        async def acted(work: Work) -> bytes:
            return (await act(work)).SerializeToString(deterministic=True)

        return response.FromString(await once(self.works, command, acted, self.metrics))

    async def _own(self, warehouse_id: str, call: Call) -> WarehouseId:
        """A warehouse of the caller's agency; any other is as if absent."""
        wanted = WarehouseId(speech.uuid(warehouse_id, "warehouse-id"))
        known = await self.reads.journal(wanted)
        if known is None or known.agency != call.principal.agency:
            raise not_found()
        return wanted


def _holder(secret: str) -> str:
    """Whose keys they are when nobody is logged in: of whoever holds the secret, not of the whole public."""
    return f"pledge {hashed(secret).hex()}"
