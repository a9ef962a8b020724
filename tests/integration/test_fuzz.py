"""Whatever comes through a door of intake is answered: never by a fault, never by a case written in half.

`AID_FUZZ_EXAMPLES=50 pytest tests/integration/test_fuzz.py -s` tries more than the suite does, and prints which
answers were given how often.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import households_pb2 as households

from services.chassis.call import Principal
from services.chassis.health import Readiness
from services.chassis.http import HttpServer
from services.chassis.http_calls import HttpSettings
from services.chassis.identity import Identity
from services.chassis.metrics import Metrics
from services.chassis.openapi import document
from services.chassis.rpc_server import RpcServer, RpcSettings
from services.intake.domain.access import REGION
from services.intake.domain.ids import CaseId
from tests.support import fuzz
from tests.support.doors import Issuer
from tests.support.intake import (
    ADVOCATE,
    OPERATOR,
    OUTREACH,
    Intake,
    goods,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

EXAMPLES = int(os.environ.get("AID_FUZZ_EXAMPLES", "4"))
EVERYBODY = (
    "outreach",
    "case_manager",
    "advocate",
    "operator",
    "hub",
    "service",
    "supervisor",
    "auditor",
    "vsp",
)


@dataclass
class Doors:
    intake: Intake
    http: HttpServer
    rpc: RpcServer
    issuer: Issuer
    known: dict[str, list[str]]

    def token(self, who: Principal) -> str:
        """Long enough for all that is thrown."""
        return self.issuer.token(who.subject, *who.roles, agency=who.agency, lasts_s=900)


@pytest.fixture
async def doors(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Doors]:
    issuer = Issuer(tmp_path)
    async with opened_intake(stack, tmp_path) as intake:
        identity, services = Identity(issuer.settings), intake.application.services
        http = HttpServer(HttpSettings(), services, identity, Metrics(), Readiness())
        rpc = RpcServer(RpcSettings(), services, identity, Metrics())
        await http.start()
        await rpc.start()
        yield Doors(intake, http, rpc, issuer, await _something(intake))
        await rpc.drain()
        await http.drain()


async def _something(intake: Intake) -> dict[str, list[str]]:
    """Cases with persons and needs, one of them in hiding; their ids by the name of a parameter."""
    known: dict[str, list[str]] = {"case_id": [], "need_id": [], "person_id": []}
    text = consents.ConsentText(
        version="share-1", language="en", purpose=consents.CONSENT_PURPOSE_SHARE_WITH_PROVIDER, body="Words."
    )
    await intake.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)
    for who in (OUTREACH, OUTREACH, ADVOCATE):
        request = open_request(lodging(), goods())
        request.household.fleeing = who is ADVOCATE
        opened = await intake.ask("OpenCase", request, who)
        seen = await intake.ask("GetHousehold", households.GetHouseholdRequest(case_id=opened.case_id), who)
        known["case_id"].append(opened.case_id)
        known["need_id"] += opened.need_ids
        known["person_id"] += [each.person_id for each in seen.household.persons]
    return known


@pytest.mark.timeout(600)
async def test_no_input_makes_a_door_fail_or_leaves_half_a_case(doors: Doors) -> None:
    answers, began = fuzz.Answers(), time.monotonic()
    services = doors.intake.application.services
    described = document("Intake", services)
    known = [each for ids in doors.known.values() for each in ids]
    worker = replace(OUTREACH, roles=frozenset({"outreach", "case_manager", "advocate"}))
    for who in (worker, Principal("everybody", OUTREACH.agency, frozenset(EVERYBODY))):
        bearer = f"Bearer {doors.token(who)}"
        await asyncio.to_thread(
            fuzz.http, f"http://127.0.0.1:{doors.http.port}", described, {"authorization": bearer},
            doors.known, answers, EXAMPLES,
        )  # fmt: skip
        await asyncio.to_thread(
            fuzz.rpc, f"127.0.0.1:{doors.rpc.port}", services, [("authorization", bearer)], known, answers,
            EXAMPLES,
        )  # fmt: skip
    print(f"\n{answers.table()}\n{answers.counted.total()} calls in {time.monotonic() - began:.0f} s")
    assert answers.faults() == []
    methods = {f"{each.name}/{method}" for each in services for method in each.rules}
    assert answers.operations("grpc") == methods
    assert await halves(doors.intake) == []


async def halves(intake: Intake) -> Sequence[str]:
    """What a case that was written in half would look like, from any side."""
    found = []
    async with intake.application.works.within(REGION)() as work:
        for name, query in _HALVES.items():
            found += [f"{name}: {row[0]}" for row in await work.connection.fetch(query)]
        cases = await work.connection.fetch(
            "SELECT case_id FROM case_file JOIN household USING (household_id) WHERE erased_at IS NULL"
        )
        for row in cases:
            case = await work.cases.find(CaseId(row["case_id"]), OUTREACH.subject)  # type: ignore[arg-type]
            assert case is not None
            facts = case.facts
            if len(await work.vault.persons(case)) != facts.adults + facts.children + facts.infants:
                found.append(f"persons are not the facts': {case.case_id}")
    return found


_HALVES = {
    "a household without persons": """
        SELECT household_id FROM household WHERE erased_at IS NULL
        AND NOT EXISTS (SELECT FROM person WHERE person.household_id = household.household_id)""",
    "a household without a case": """
        SELECT household_id FROM household
        WHERE NOT EXISTS (SELECT FROM case_file WHERE case_file.household_id = household.household_id)""",
    "a person without a key": """
        SELECT person_id FROM person
        WHERE NOT EXISTS (SELECT FROM keystore.subject_key WHERE subject_id = person_id)""",
    "a case that was never announced": """
        SELECT case_id FROM case_file WHERE NOT EXISTS (
            SELECT FROM outbox WHERE key = case_id::text AND headers ->> 'ce_type' LIKE '%.CaseOpened')""",
    "a need that was never announced": """
        SELECT need_id FROM need WHERE (
            SELECT count(*) FROM outbox WHERE key = case_id::text AND headers ->> 'ce_type' LIKE '%.NeedReported')
        < (SELECT count(*) FROM need AS all_of_it WHERE all_of_it.case_id = need.case_id)""",
    "a stream with a gap": """
        SELECT key FROM outbox GROUP BY topic, key HAVING max(sequence) <> count(*) OR min(sequence) <> 1""",
    "a confidential case without a code": """
        SELECT case_id FROM case_file JOIN household USING (household_id)
        WHERE confidential AND closed_at IS NULL AND arrival_code IS NULL""",
}
