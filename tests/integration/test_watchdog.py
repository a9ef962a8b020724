"""What runs and does nothing is told from what is only slow, at rest, or coming up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploy.local.identity import Issuer
from deploy.local.paths import State
from deploy.local.ports import HOST
from deploy.local.service import Doors, Program, Service, Surroundings
from deploy.local.watchdog import given_up
from services.chassis.health import Liveness, Progress, Readiness
from services.chassis.http import HttpServer
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import Identity, IdentitySettings
from services.chassis.metrics import Metrics

EVERY, IN_A_ROW = 0.5, 3


def part(folder: Path, port: int) -> Service:
    """A service, as the supervisor knows it, whose HTTP door is at that port."""
    state = State(folder)
    state.create()
    issuer = Issuer(state)
    issuer.publish(("x",))
    return Service(Program("x", "x"), Surroundings(state, "", {}, {"x": Doors(0, port)}, issuer, False))


@asynccontextmanager
async def door(folder: Path, liveness: Liveness) -> AsyncIterator[Service]:
    """The service's own HTTP door."""
    jwks = part(folder, 0).around.issuer.jwks_file
    identity = Identity(IdentitySettings(jwks_file=jwks, issuer="i", audience="a"))
    server = HttpServer(HttpSettings(), [], identity, Metrics(), Readiness(), liveness=liveness)
    await server.start()
    try:
        yield part(folder, server.port)
    finally:
        await server.drain()


async def verdict(service: Service, within_s: float) -> str:
    """What the watchdog says within that time; empty when it has nothing to say."""
    try:
        async with asyncio.timeout(within_s):
            return await given_up(service, EVERY, IN_A_ROW)
    except TimeoutError:
        return ""


async def test_a_loop_with_work_that_does_not_move_is_given_up(tmp_path: Path) -> None:
    now = 0.0
    liveness = Liveness()
    relay = liveness.watch(Progress("relay", patience_s=30, monotonic=lambda: now))
    async with door(tmp_path, liveness) as service:
        assert await verdict(service, 2.5) == "", "it is at rest"
        relay.busy()
        now = 31.0
        complaint = '/livez answers 503: {"status":"failing","stuck":["relay"]}, 3 times in a row'
        assert await verdict(service, 10) == complaint


async def test_a_door_that_takes_calls_and_answers_none_is_given_up(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as silent:
        service = part(tmp_path, silent.getsockname()[1])
        assert await verdict(service, 10) == "no answer, 3 times in a row"
    assert await verdict(service, 10) == "no answer, 3 times in a row", "nobody listens at all"


async def test_one_good_answer_makes_up_for_the_bad_ones(tmp_path: Path) -> None:
    answers = iter(["bad", "bad", "", "bad", "bad", "", "bad", "worse", "worst"])
    asked = []

    class Moody(Service):
        async def complaint(self) -> str:
            asked.append(next(answers))
            return asked[-1]

    service = part(tmp_path, 0)
    assert (
        await given_up(Moody(service.program, service.around), 0.001, IN_A_ROW) == "worst, 3 times in a row"
    )
    assert len(asked) == 9
