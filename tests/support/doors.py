"""A tiny service behind both doors, its contract compiled when the tests start, and an issuer of tokens."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from services.chassis import errors
from services.chassis.call import Call, Route, Service, allow, anyone
from services.chassis.identity import IdentitySettings

ISSUER, AUDIENCE = "doors-issuer", "doors-audience"
SERVICE = "doors.v1.DoorsService"

PROTO = """
syntax = "proto3";
package doors.v1;
import "google/protobuf/timestamp.proto";

// A service that only tests know.
service DoorsService {
  // Says again what it was told.
  rpc Echo(EchoRequest) returns (EchoResponse) { option idempotency_level = IDEMPOTENT; }
  // Looks something up.
  rpc Look(LookRequest) returns (LookResponse) { option idempotency_level = NO_SIDE_EFFECTS; }
  // Counts, and then waits.
  rpc Follow(FollowRequest) returns (stream FollowResponse) { option idempotency_level = NO_SIDE_EFFECTS; }
  // Fails in the way it is asked to.
  rpc Fail(FailRequest) returns (FailResponse);
  // Nobody wrote a rule for it.
  rpc Forget(ForgetRequest) returns (ForgetResponse);
}

// How loud.
enum Volume {
  // Not said.
  VOLUME_UNSPECIFIED = 0;
  // Quietly.
  VOLUME_LOW = 1;
}

// Something inside something.
message Inner { string word = 1; repeated Inner inners = 2; }

// What to say again.
message EchoRequest {
  // Which place it is said at.
  string place_id = 1;
  // The words.
  string words = 2;
  // How often.
  int64 times = 3;
  // How loud.
  Volume volume = 4;
  Inner inner = 5;
  google.protobuf.Timestamp at = 6;
  map<string, string> labels = 7;
  oneof either { string left = 8; string right = 9; }
}
message EchoResponse {
  string words = 1; string subject = 2; string key = 3; string traceparent = 4; int64 times = 5;
  string place_id = 6; double seconds_left = 7; repeated string none = 8;
}
message LookRequest {
  string place_id = 1;
  // Only the free ones.
  bool free = 2;
  repeated string tags = 3; int32 limit = 4; Volume volume = 5; Inner inner = 6;
}
message LookResponse { string place_id = 1; bool free = 2; repeated string tags = 3; int32 limit = 4;
  Volume volume = 5; Inner inner = 6; }
message FollowRequest { int32 count = 1; string then = 2; }
message FollowResponse { int32 number = 1; }
message FailRequest { string how = 1; }
message FailResponse {}
message ForgetRequest {}
message ForgetResponse {}
"""


def compile_contract(folder: Path) -> ModuleType:
    """Generate the module and beside it the descriptor set with the comments, as the project's build does."""
    source = folder / "src" / "doors" / "v1"
    source.mkdir(parents=True)
    (source / "doors.proto").write_text(PROTO)
    out = folder / "gen"
    out.mkdir()
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            f"-I{folder / 'src'}",
            f"--python_out={out}",
            f"--descriptor_set_out={out / 'descriptors.binpb'}",
            *("--include_source_info", "--include_imports", "doors/v1/doors.proto"),
        ],
        check=True,
    )
    sys.path.insert(0, str(out))
    return importlib.import_module("doors.v1.doors_pb2")


def contract(folders: pytest.TempPathFactory) -> ModuleType:
    """The module, compiled once a process: protobuf registers a file's names once and for all."""
    known = sys.modules.get("doors.v1.doors_pb2")
    return known or compile_contract(folders.mktemp("contract"))


@dataclass
class Issuer:
    """Signs tokens with a key whose public half lies in a JWKS file."""

    folder: Path
    key_id: str = "one"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self) -> None:
        self.publish()

    @property
    def file(self) -> Path:
        return self.folder / "jwks.json"

    @property
    def settings(self) -> IdentitySettings:
        return IdentitySettings(jwks_file=self.file, issuer=ISSUER, audience=AUDIENCE, leeway_s=0)

    def publish(self) -> None:
        public = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        replaced = self.file.with_suffix(".new")
        replaced.write_text(
            json.dumps({"keys": [{**public, "kid": self.key_id, "alg": "EdDSA", "use": "sig"}]})
        )
        replaced.replace(self.file)

    def token(self, subject: str = "ana", *roles: str, lasts_s: float = 60, **claims: Any) -> str:
        content: dict[str, object] = {
            "sub": subject,
            "agency": "agency-1",
            "roles": list(roles),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": time.time() + lasts_s,
        }
        content.update(claims)
        return jwt.encode(content, self.key, algorithm="EdDSA", headers={"kid": self.key_id})


class DomainRefusalError(Exception):
    """As a domain raises it: it knows nothing of the chassis."""

    kind = "refused"
    reason = "place-taken"


class Doors:
    """The implementation. `waiting` and `left` show when a stream waits and when it was let go."""

    def __init__(self, contract: Any) -> None:
        self._contract = contract
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self.go_on = asyncio.Event()

    async def Echo(self, request: Any, call: Call) -> Any:
        return self._contract.EchoResponse(
            words=request.words,
            subject=call.principal.subject,
            key=call.idempotency_key,
            traceparent=call.traceparent,
            times=request.times,
            place_id=request.place_id,
            seconds_left=call.remaining().total_seconds(),
        )

    async def Look(self, request: Any, call: Call) -> Any:
        return self._contract.LookResponse(
            place_id=request.place_id,
            free=request.free,
            tags=request.tags,
            limit=request.limit,
            volume=request.volume,
            inner=request.inner,
        )

    async def Follow(self, request: Any, call: Call) -> AsyncIterator[Any]:
        try:
            for number in range(request.count):
                yield self._contract.FollowResponse(number=number)
            match request.then:
                case "wait":
                    self.waiting.set()
                    await asyncio.Event().wait()
                case "missing":
                    raise errors.missing("no-such-place", "There is no such place.")
                case "crash":
                    raise RuntimeError("MARKER secret words")
        finally:
            self.left.set()

    async def Fail(self, request: Any, call: Call) -> Any:
        match request.how:
            case "domain":
                raise DomainRefusalError("The place was taken.")
            case "details":
                raise errors.conflict("sequence-behind", "Somebody was faster.", expected="3", found="4")
            case "crash":
                raise RuntimeError("MARKER secret words")
            case "wait":
                self.waiting.set()
                await self.go_on.wait()
        return self._contract.FailResponse()

    async def Forget(self, request: Any, call: Call) -> Any:
        return self._contract.ForgetResponse()


def service(implementation: Doors) -> Service:
    return Service(
        name=SERVICE,
        implementation=implementation,
        rules={
            "Echo": allow("outreach", "service"),
            "Look": anyone(),
            "Follow": allow("outreach"),
            "Fail": allow("outreach"),
        },
        routes=[
            Route("POST", "/v1/places/{place_id}:echo", "Echo"),
            Route("GET", "/v1/places/{place_id}", "Look"),
            Route("GET", "/v1/words/{inner.word}/places", "Look"),
            Route("GET", "/v1/numbers", "Follow"),
            Route("POST", "/v1/failures", "Fail"),
            Route("POST", "/v1/forgotten", "Forget"),
        ],
    )
