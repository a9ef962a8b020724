"""A warehouse's own software: it follows its journal through every kill, keeping nothing but its token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from aid.logistics.v1 import logistics_pb2 as logistics

from tests.support.chaos.doors import Doors

_METHOD = "/aid.logistics.v1.LogisticsService/WatchShipments"


@dataclass(slots=True)
class Watcher:
    """What one warehouse has seen, and how often its stream was cut."""

    doors: Doors
    headers: Mapping[str, str]
    warehouse_id: str
    token: str = ""
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    cuts: int = 0

    async def watch(self) -> None:
        """Until cancelled."""
        watch = self.doors.channels["logistics"].unary_stream(
            _METHOD,
            request_serializer=logistics.WatchShipmentsRequest.SerializeToString,
            response_deserializer=logistics.WatchShipmentsResponse.FromString,
        )
        while True:
            request = logistics.WatchShipmentsRequest(warehouse_id=self.warehouse_id, resume_token=self.token)
            stream = watch(request, metadata=tuple(self.headers.items()))
            try:
                async for entry in stream:
                    self.token = entry.resume_token
                    self.seen.append((entry.type, entry.payload))
            except grpc.aio.AioRpcError:
                self.cuts += 1
                await asyncio.sleep(0.2)  # not a wait: a client's own backoff
            finally:
                stream.cancel()
