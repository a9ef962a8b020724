"""The commands of an operator on a running network: back up, renew keys, put back; and who was erased stays erased."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.json_format import MessageToDict

from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from deploy.local.ports import HOST
from deploy.local.story.doors import Doors
from deploy.local.story.stage import until
from tests.support.stack import RunningStack, running, temporary_state

pytestmark = pytest.mark.timeout(400)

USER = "case_manager"
SHELTER = "0a0e0003-0000-4000-8000-000000000003"


@dataclass
class Network:
    stack: RunningStack
    doors: Doors

    async def command(self, *arguments: str) -> str:
        """What `python -m deploy.local` says; it must succeed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.local", *arguments, cwd=PROJECT,
            env={**os.environ, "AID_STATE": str(self.stack.state.folder), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
        return said.decode()

    async def names(self, case_id: str) -> list[str]:
        view = await self.doors.http(USER, "intake", "GET", f"/v1/cases/{case_id}/household")
        return [each["person"]["givenName"] for each in view["household"]["persons"]]

    async def serves(self) -> bool:
        """Whether intake takes calls again."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"{self.doors.http_bases['intake']}/readyz")
        except httpx.TransportError:
            return False
        return answer.is_success


@pytest.fixture(scope="module")
async def network() -> AsyncIterator[Network]:
    with temporary_state() as folder, running(folder) as stack:
        targets = {name: f"{HOST}:{doors.rpc}" for name, doors in stack.record.services.items() if doors.rpc}
        bases = {name: f"http://{HOST}:{doors.http}" for name, doors in stack.record.services.items()}
        async with Doors.open(targets, bases, Issuer(stack.state).token) as doors:
            yield Network(stack, doors)


async def opened_case(network: Network, *names: str) -> str:
    agency = {"agencyId": SHELTER, "name": "Harbor House Shelter", "type": "AGENCY_TYPE_SHELTER"}
    await network.doors.http("operator", "intake", "POST", "/v1/agencies", agency)
    persons = [intake.Person(given_name=name, age_band=intake.AGE_BAND_ADULT) for name in names]
    request = intake.OpenCaseRequest(household=intake.Household(persons=persons))
    opened = await network.doors.http(USER, "intake", "POST", "/v1/cases", MessageToDict(request))
    return str(opened["caseId"])


async def erase_last(network: Network, case_id: str) -> None:
    path = f"/v1/cases/{case_id}/household"
    view = (await network.doors.http(USER, "intake", "GET", path))["household"]
    erased = view["persons"][-1]["personId"]
    told = {"expectedRevision": view["revision"]}
    await network.doors.http(USER, "intake", "POST", f"{path}/persons/{erased}:erase", told)


async def test_who_was_erased_stays_erased_through_new_keys_and_a_restore(network: Network) -> None:
    case_id = await opened_case(network, "Ada", "Bo")
    folder = (await network.command("backup")).rpartition("the backup is in ")[2].strip()
    await erase_last(network, case_id)
    await network.command("new-kek")
    assert "older lines are needed no more" in await network.command("run", "intake", "rotate-keys", "kek")
    assert await network.names(case_id) == ["Ada"]
    said = await network.command("restore", folder)
    assert "1 households had come back with somebody who was erased" in said
    await until(network.serves, "intake to serve again", 60)
    assert await network.names(case_id) == ["Ada"]
    later = await opened_case(network, "Cy")
    assert await network.names(later) == ["Cy"]

    async def agreed() -> bool:
        return "0 differences" in await network.command("audit")

    await until(agreed, "both sides of every topic to agree", 60)
    for service in ("intake", "matching", "logistics"):
        assert "0 parked" in await network.command("run", service, "parked")
