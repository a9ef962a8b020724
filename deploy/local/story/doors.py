"""The public doors of a running network, knocked on as one of its users."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import httpx
from google.protobuf.message import Message

from services.chassis.status import from_wire

SERVICE_OF = {
    "intake": "aid.intake.v1.IntakeService",
    "matching": "aid.matching.v1.MatchingService",
    "logistics": "aid.logistics.v1.LogisticsService",
}
PATIENCE = 20.0  # seconds for one call

R = TypeVar("R", bound=Message)
Headers = tuple[tuple[str, str], ...]


class DoorClosedError(Exception):
    """A call was refused: `code` is the HTTP status or gRPC code, `reason` the stable slug."""

    def __init__(self, code: str, reason: str, detail: str) -> None:
        super().__init__(f"{code} {reason}: {detail}")
        self.code, self.reason = code, reason


@dataclass(slots=True)
class Doors:
    """gRPC and HTTP addresses of the three services, and a token for whoever knocks."""

    rpc_targets: Mapping[str, str]
    http_bases: Mapping[str, str]
    token: Callable[[str], str]
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    _client: httpx.AsyncClient | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, rpc_targets: Mapping[str, str], http_bases: Mapping[str, str], token: Callable[[str], str]
    ) -> AsyncIterator[Doors]:
        """Doors that are shut behind the caller."""
        async with httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_connections=32)) as client:
            doors = cls(rpc_targets, http_bases, token)
            doors._client = client
            try:
                yield doors
            finally:
                for channel in doors._channels.values():
                    await channel.close(None)

    async def http(
        self,
        user: str | None,
        service: str,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """One HTTP/JSON call; `user` None knocks without a token, as the public does."""
        if self._client is None:
            raise RuntimeError("the doors are not open")
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} if verb != "GET" else {}
        if user is not None:
            headers["Authorization"] = f"Bearer {self.token(user)}"
        response = await self._client.request(
            verb, self.http_bases[service] + path, json=body if verb != "GET" else None, headers=headers
        )
        answer: dict[str, Any] = response.json()
        if response.is_error:
            raise DoorClosedError(
                str(response.status_code), answer.get("reason", ""), answer.get("detail", "")
            )
        return answer

    async def rpc(
        self,
        user: str | None,
        service: str,
        method: str,
        request: Message,
        response: type[R],
        key: str | None = None,
    ) -> R:
        """One gRPC call."""
        call = self._channel(service).unary_unary(
            f"/{SERVICE_OF[service]}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            answer: R = await call(request, timeout=PATIENCE, metadata=self._metadata(user, key))
        except grpc.aio.AioRpcError as error:
            raise closed(error) from error
        return answer

    async def stream(
        self, user: str | None, service: str, method: str, request: Message, response: type[R]
    ) -> AsyncGenerator[R, None]:
        """A server stream, open until the caller leaves it."""
        call = self._channel(service).unary_stream(
            f"/{SERVICE_OF[service]}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )(request, metadata=self._metadata(user, None))
        try:
            async for answer in call:
                yield answer
        finally:
            call.cancel()

    def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            self._channels[service] = grpc.aio.insecure_channel(self.rpc_targets[service])
        return self._channels[service]

    def _metadata(self, user: str | None, key: str | None) -> Headers:
        metadata: Headers = (("idempotency-key", key or str(uuid.uuid4())),)
        if user is not None:
            metadata += (("authorization", f"Bearer {self.token(user)}"),)
        return metadata


def closed(error: grpc.aio.AioRpcError) -> DoorClosedError:
    """What a refused gRPC call says, with its stable reason."""
    told = from_wire(error)
    return DoorClosedError(error.code().name, told.reason, told.message)
