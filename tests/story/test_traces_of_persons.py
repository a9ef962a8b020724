"""No name, date, contact, note or hand-off point of anybody is anywhere but sealed in intake's vault.

Households with a word of their own in every personal field go through the public doors as far as doors go:
opened, refused, found a place, referred, given goods, closed, imported. Then everything that the network has
kept or shows is searched for these words.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.logistics.v1 import logistics_pb2 as logistics
from aid.matching.v1 import matching_pb2 as matching
from aiokafka import AIOKafkaProducer
from google.protobuf.json_format import MessageToDict

from deploy.kafka.topics import read as read_topics
from deploy.local import clock
from deploy.local.ports import HOST
from deploy.local.story.doors import DoorClosedError
from deploy.local.story.scenery import WAREHOUSE
from deploy.local.story.stage import until
from tests.support.changed_household import change_everything
from tests.support.stores import Kept, Needles, everything
from tests.support.story import Played

pytestmark = pytest.mark.timeout(400)

AREA = "hillside"
ITEM = "infant-formula"
TEXTS = 5  # given name, family name, alias, note, contact
ALPHABET = "ghjkmnpqrstvwxyz"  # no digit of hex: a word is never met by accident within one


def word() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(16))


@dataclass
class Marked:
    """One household, each of whose personal fields holds a word or a date that is nowhere else in the world."""

    name: str
    today: date
    born: tuple[date, date]
    due_in: int
    token: str = field(default_factory=word)

    def household(self, **changes: Any) -> intake.Household:
        due = (self.today + timedelta(days=self.due_in)).isoformat()
        persons = [
            intake.Person(
                given_name=f"{self.token} given name {number}", family_name=f"{self.token} family name {number}",
                aliases=[f"{self.token} alias {number}"], note=f"{self.token} note {number}",
                contact=f"{self.token} contact {number}",
                birth_date=born.isoformat(), due_date=due if number == 0 else "", relationship=1 + number,
            )
            for number, born in enumerate(self.born)
        ]  # fmt: skip
        told = {
            "persons": persons, "unsheltered": True, "area": AREA,
            "handoff_point": f"{self.token} point", "handoff_slot": f"{self.token} slot", **changes,
        }  # fmt: skip
        return intake.Household(**told)

    def words(self) -> dict[str, str]:
        """What must not be found, by a name that may be printed."""
        dates = [*self.born, self.today + timedelta(days=self.due_in)]
        told = {f"text of the {self.name} household": self.token}
        for number, day in enumerate(dates):
            told[f"date {number} of the {self.name} household"] = day.isoformat()
        return told

    def seen_in(self, shown: str) -> int:
        return shown.count(self.token) + sum(shown.count(day.isoformat()) for day in self.born)


@dataclass
class Driven:
    """The households, and what every refusal said."""

    played: Played
    open: Marked
    hidden: Marked
    imported: Marked
    refused: Marked
    changed: Marked
    answers: list[bytes] = field(default_factory=list)

    def words(self) -> dict[str, str]:
        every = (self.open, self.hidden, self.imported, self.refused, self.changed)
        return {name: told for one in every for name, told in one.words().items()}


@pytest.fixture(scope="module")
async def driven(played: Played) -> AsyncIterator[Driven]:
    today = played.stage.today()
    driven = Driven(
        played,
        open=Marked("open", today, (date(1911, 2, 7), date(2017, 10, 29)), 173),
        hidden=Marked("hidden", today, (date(1913, 12, 21), date(2014, 7, 31)), 181),
        imported=Marked("imported", today, (date(1915, 4, 19), date(2013, 8, 27)), 191),
        refused=Marked("refused", today, (date(1917, 6, 23), date(2012, 9, 28)), 193),
        changed=Marked("changed", today, (date(1919, 3, 5), date(2011, 5, 26)), 197),
    )
    await scenery(played)
    await refusals(driven)
    await an_open_household(driven)
    await a_hidden_household(driven)
    await an_imported_household(driven)
    await a_changed_household(driven)
    yield driven
    await clock.drained(played.stack.state, played.stack.record)


async def scenery(played: Played) -> None:
    """Places and goods for these households alone, in an area that the story does not know."""
    everyone = matching.Rules(children=True, without_children=True, wheelchair=True, pets=True)
    for user, name, confidential in (("provider", "Hill House", False), ("hub", "Quiet Hill", True)):
        offer = matching.Offer(
            offer_id=str(uuid.uuid4()), kind=common.NEED_KIND_LODGING, name=name, contact="+1 555 0102",
            area=AREA, unit=matching.UNIT_ROOM, capacity=3, rules=everyone, confidential=confidential,
        )  # fmt: skip
        put = matching.PutOfferRequest(offer=offer)
        await played.stage.doors.rpc(user, "matching", "PutOffer", put, matching.PutOfferResponse)
    count = logistics.CountStockRequest(warehouse_id=WAREHOUSE, item_id=ITEM, screened=50)
    await played.stage.doors.rpc("warehouse", "logistics", "CountStock", count, logistics.CountStockResponse)


def needs() -> list[intake.NeedInput]:
    return [
        intake.NeedInput(kind=common.NEED_KIND_LODGING, nights=2, urgency=common.URGENCY_TONIGHT),
        intake.NeedInput(kind=common.NEED_KIND_GOODS, item_id=ITEM, quantity=5, urgency=common.URGENCY_SOON),
    ]


async def refusals(driven: Driven) -> None:
    """Whatever is wrong with an entry, the answer names the field and never what stood in it."""
    stage, marked = driven.played.stage, driven.refused
    fine = MessageToDict(intake.OpenCaseRequest(household=marked.household(), needs=needs()))
    token = marked.token
    wrong: list[tuple[str, str, Any]] = [
        ("POST", "/v1/cases", {**fine, token: 1}),
        ("POST", "/v1/cases", {**fine, "needs": [{"kind": token}]}),
        ("POST", "/v1/cases", {**fine, "caseId": token}),
        ("POST", "/v1/cases", {**fine, "household": {**fine["household"], "area": token * 9}}),
        ("POST", "/v1/cases", {**fine, "household": {**fine["household"], "area": f"{token}\0"}}),
        ("POST", "/v1/cases", {**fine, "occurredAt": token}),
        ("GET", f"/v1/cases/{token}", None),
        ("GET", f"/v1/{token}?{token}={token}", None),
    ]
    for change in ({"birthDate": f"{token}"}, {"birthDate": "1811-06-23"}, {"dueDate": "2099-06-23"},
                   {"note": token * 300}, {"givenName": [token]}, {"relationship": token}):  # fmt: skip
        person = {**fine["household"]["persons"][0], **change}
        wrong.append(("POST", "/v1/cases", {**fine, "household": {**fine["household"], "persons": [person]}}))
    headers = {"Authorization": f"Bearer {stage.doors.token('case_manager')}", "Idempotency-Key": "refusals"}
    async with httpx.AsyncClient(base_url=stage.doors.http_bases["intake"], trust_env=False) as client:
        for verb, path, body in wrong:
            answer = await client.request(verb, path, json=body, headers=headers)
            assert answer.is_error, (answer.status_code, path)
            driven.answers.append(answer.content)
        broken = json.dumps(fine)[:-1].encode()
        answer = await client.post("/v1/cases", content=broken, headers=headers)
        assert answer.is_client_error
        driven.answers.append(answer.content)
    await conflicting_keys(driven)


async def conflicting_keys(driven: Driven) -> None:
    """Two entries under one key: the second is refused, and neither is quoted."""
    doors, marked = driven.played.stage.doors, driven.refused
    key = str(uuid.uuid4())
    first = intake.OpenCaseRequest(household=marked.household(area=""), needs=needs()[1:])
    second = intake.OpenCaseRequest(household=marked.household(area="", pets=True), needs=needs()[1:])
    await doors.rpc("case_manager", "intake", "OpenCase", first, intake.OpenCaseResponse, key)
    with pytest.raises(DoorClosedError) as caught:
        await doors.rpc("case_manager", "intake", "OpenCase", second, intake.OpenCaseResponse, key)
    assert caught.value.reason == "idempotency-key-reused"
    driven.answers.append(str(caught.value).encode())


async def an_open_household(driven: Driven) -> None:
    """Through HTTP: a place tonight, both yes, arrival, goods to the library, the case closed."""
    stage, doors = driven.played.stage, driven.played.stage.doors
    request = intake.OpenCaseRequest(household=driven.open.household(), needs=needs(), find_tonight=True)
    opened = await doors.http("case_manager", "intake", "POST", "/v1/cases", MessageToDict(request))
    case_id, referral = opened["caseId"], opened["tonight"]["held"]["referralId"]
    shown = json.dumps(await doors.http("case_manager", "intake", "GET", f"/v1/cases/{case_id}"))
    assert driven.open.seen_in(shown) == 2 * TEXTS + 2, "what was planted is what the agency reads"
    path = f"/v1/cases/{case_id}/referrals/{referral}:answer"
    await doors.http("case_manager", "intake", "POST", path, {"accepted": True})
    yes = matching.AnswerAsProviderRequest(referral_id=referral, accepted=True)
    await doors.rpc("provider", "matching", "AnswerAsProvider", yes, matching.AnswerAsProviderResponse)
    arrive = matching.CheckInRequest(referral_id=referral)
    await doors.rpc("provider", "matching", "CheckIn", arrive, matching.CheckInResponse)
    point = await goods_arrive(driven)
    assert point == f"{driven.open.token} point", "the carrier was told, and nobody kept it"
    await until(lambda: met(driven, "case_manager", case_id), "the open household's needs shown as met")
    await doors.http("case_manager", "intake", "POST", f"/v1/cases/{case_id}:close", {})
    await clock.drained(driven.played.stack.state, driven.played.stack.record)
    assert stage.today() >= driven.open.today


async def a_hidden_household(driven: Driven) -> None:
    """Through gRPC: the hub answers, the hub finds the place, an advocate reads the case."""
    stage, doors = driven.played.stage, driven.played.stage.doors
    household = driven.hidden.household(survivor=True, fleeing=True)
    request = intake.OpenCaseRequest(household=household, needs=needs(), find_tonight=True)
    opened = await doors.rpc("officer", "intake", "OpenCase", request, intake.OpenCaseResponse)
    code = opened.tonight.hub.arrival_code

    async def on_the_desk() -> matching.HubDeskEntry | None:
        asked = matching.ListHubDeskRequest()
        desk = await doors.rpc("hub", "matching", "ListHubDesk", asked, matching.ListHubDeskResponse)
        theirs = [entry for entry in desk.entries if entry.arrival_code == code]
        return theirs[0] if theirs and theirs[0].referral.referral_id else None

    referral = (await until(on_the_desk, "the hold on the hub's desk")).referral.referral_id
    yes = matching.AnswerAsProviderRequest(referral_id=referral, accepted=True)
    await doors.rpc("hub", "matching", "AnswerAsProvider", yes, matching.AnswerAsProviderResponse)
    hers = intake.AnswerReferralRequest(referral_id=referral, accepted=True, arrival_code=code)
    await doors.rpc("hub", "intake", "AnswerReferral", hers, intake.AnswerReferralResponse)
    arrive = matching.CheckInRequest(referral_id=referral)
    await doors.rpc("hub", "matching", "CheckIn", arrive, matching.CheckInResponse)
    assign = intake.AssignWorkerRequest(arrival_code=code, worker=stage.subject_of("advocate"))
    await doors.rpc("hub", "intake", "AssignWorker", assign, intake.AssignWorkerResponse)
    assert driven.hidden.token not in await goods_arrive(driven), "the hub is where her goods are met"
    await until(lambda: met(driven, "advocate", opened.case_id), "the hidden household's needs shown as met")
    shown = await doors.http("advocate", "intake", "GET", f"/v1/cases/{opened.case_id}")
    assert driven.hidden.seen_in(json.dumps(shown)) == 2 * TEXTS + 2


async def an_imported_household(driven: Driven) -> None:
    """From an export, with the names that the other system has for its persons."""
    marked, today = driven.imported, driven.imported.today.isoformat()
    household = intake.ImportedHousehold(
        source_key=f"household-{uuid.uuid4()}", agency_source_key="organisation", opened_on=today,
        household=marked.household(), needs=needs(),
        person_source_keys=[f"{marked.token} person 0", f"{marked.token} person 1"],
    )  # fmt: skip
    request = intake.ImportHouseholdsRequest(
        source_id=f"source-{uuid.uuid4()}", as_of=today, households=[household],
        agencies=[intake.ImportedAgency(source_key="organisation", name="Old Mill Shelter")],
    )  # fmt: skip
    for outcome in ("created", "unchanged"):
        answer = await driven.played.stage.doors.rpc(
            "operator", "intake", "ImportHouseholds", request, intake.ImportHouseholdsResponse
        )
        assert [one.outcome for one in answer.results] == [outcome]
    await clock.drained(driven.played.stack.state, driven.played.stack.record)


async def a_changed_household(driven: Driven) -> None:
    """Whatever is said of a household after its case was opened."""
    marked, doors = driven.changed, driven.played.stage.doors
    told = await change_everything(doors, marked.token, marked.today, marked.household(), marked.born)
    driven.answers += [answer.encode() for answer in told.answers]
    await clock.drained(driven.played.stack.state, driven.played.stack.record)


async def goods_arrive(driven: Driven) -> str:
    """A round of goods, and each bag of it carried to where the carrier is told; the last point."""
    stage, doors = driven.played.stage, driven.played.stage.doors
    await stage.advance(timedelta(minutes=15))

    async def reserved() -> list[str]:
        asked = logistics.ListBagsRequest(warehouse_id=WAREHOUSE, state="reserved")
        listed = await doors.rpc("warehouse", "logistics", "ListBags", asked, logistics.ListBagsResponse)
        return [bag.bag_code for bag in listed.bags if bag.area == AREA]

    point = ""
    for bag in await until(reserved, "a bag to carry"):
        carrier = stage.subject_of("carrier")
        out = logistics.DispatchBagRequest(bag_code=bag, carrier=carrier)
        await doors.rpc("warehouse", "logistics", "DispatchBag", out, logistics.DispatchBagResponse)
        where = logistics.GetHandoffRequest(bag_code=bag)
        told = await doors.rpc("carrier", "logistics", "GetHandoff", where, logistics.GetHandoffResponse)
        given = logistics.ConfirmHandoverRequest(bag_code=bag)
        await doors.rpc("carrier", "logistics", "ConfirmHandover", given, logistics.ConfirmHandoverResponse)
        point = told.point
    await stage.advance(timedelta(hours=1))  # handovers are told together
    return point


async def met(driven: Driven, user: str, case_id: str) -> bool:
    """What was asked for when the case was opened; what comes after a stay of two nights is looked for already."""
    view = await driven.played.stage.doors.http(user, "intake", "GET", f"/v1/cases/{case_id}")
    return all(need["state"] == "met" for need in view["case"]["needs"][: len(needs())])


@dataclass
class Searched:
    """One search through everything: what was looked through, by kind, and where each word was found."""

    seen: dict[str, set[str]] = field(default_factory=dict)
    found: dict[str, set[str]] = field(default_factory=dict)
    empty_metrics: list[str] = field(default_factory=list)


PLANTED = "the planted word"


@pytest.fixture(scope="module")
async def searched(driven: Driven) -> Searched:
    """With a word planted in a key, a header and a value of a topic, in a text and a bytes column of each
    cluster, in each log, and in a label of Prometheus: it is found there if anything would be."""
    stack, planted = driven.played.stack, word()
    await plant_in_topic(stack.bootstrap, await stack.topic("planted", partitions=1), planted)
    for log in stack.state.log.glob("*.log"):
        plant_in_log(log, planted)
    searched, needles = Searched(), Needles({**driven.words(), PLANTED: planted})
    async with planted_rows(driven, planted), planted_label(driven, planted):
        async for kept in everything(stack):
            searched.seen.setdefault(kept.kind, set()).add(kept.where)
            for name in needles.found(kept):
                searched.found.setdefault(name, set()).add(f"{kept.kind} {kept.where}")
            if kept.kind == "metrics" and b"# HELP" not in kept.content:
                searched.empty_metrics.append(kept.where)
    return searched


def test_no_personal_word_is_kept_or_shown_anywhere(searched: Searched) -> None:
    """Not even in intake's own cluster, nor in its files: there everything personal is sealed."""
    assert {name: where for name, where in searched.found.items() if name != PLANTED} == {}


def test_no_refusal_repeats_what_it_was_told(driven: Driven) -> None:
    needles = Needles(driven.words())
    told = {name for answer in driven.answers for name in needles.found(Kept("answer", "", answer))}
    assert told == set()
    assert len(driven.answers) == 20


def test_what_is_planted_in_each_kind_of_store_is_found(searched: Searched, driven: Driven) -> None:
    found, stack = searched.found[PLANTED], driven.played.stack
    records = [where for where in found if where.startswith("topic test.planted.")]
    assert {where.rpartition("@")[2] for where in records} == {"0", "1", "2"}
    assert any(where.startswith("file kafka/data/test.planted.") for where in found)
    for service in ("intake", "matching", "logistics"):
        for table in ("planted_text", "planted_bytes"):
            for form in ("text", "binary"):
                assert f"table {service}/{service}.public.{table} as {form}" in found
        assert any(where.startswith(f"file postgres/{service}/pg_wal/") for where in found)
    for log in stack.state.log.glob("*.log"):
        assert f"log log/{log.name}" in found
    assert "prometheus service" in found or stack.record.prometheus is None


def test_everything_was_looked_through(searched: Searched) -> None:
    """Every process, every topic (the broker's and Faust's own too), the tables of every cluster, every log."""
    seen = searched.seen
    assert seen["metrics"] == {"intake", "matching", "logistics", "picture"}
    assert searched.empty_metrics == []
    topics = {where.rpartition("-")[0] for where in seen["topic"]}
    declared = {topic.name for topic in read_topics()}
    assert declared <= topics | {"aid.matching.picture.v1"}
    assert "__consumer_offsets" in topics
    assert any("changelog" in topic for topic in topics)
    for service in ("intake", "matching", "logistics"):
        assert f"{service}/{service}.public.idempotency as text" in seen["table"]
    assert "intake/intake.keystore.subject_key as binary" in seen["table"]
    processes = ("intake", "matching", "logistics", "picture", "kafka", "postgres-intake")
    assert seen["log"] >= {f"log/{name}.log" for name in processes}


async def plant_in_topic(bootstrap: str, topic: str, planted: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, key=planted.encode(), value=b"")
        await producer.send_and_wait(topic, key=b"", value=b"", headers=[("name", planted.encode())])
        await producer.send_and_wait(topic, key=b"", value=b"\x0a\x10" + planted.encode())


def plant_in_log(log: Path, planted: str) -> None:
    with log.open("a") as lines:
        lines.write(f'{{"event": "{planted}"}}\n')


@contextlib.asynccontextmanager
async def planted_rows(driven: Driven, planted: str) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as opened:
        for service in ("intake", "matching", "logistics"):
            cluster = driven.played.stack.record.cluster(service, driven.played.stack.state)
            connection = await cluster.superuser(service)
            opened.push_async_callback(connection.close)
            for table, kind, value in (
                ("planted_text", "text", planted),
                ("planted_bytes", "bytea", planted.encode()),
            ):
                await connection.execute(f"CREATE TABLE {table} (kept {kind})")
                opened.push_async_callback(connection.execute, f"DROP TABLE {table}")
                await connection.execute(f"INSERT INTO {table} VALUES ($1)", value)
        yield


@contextlib.asynccontextmanager
async def planted_label(driven: Driven, planted: str) -> AsyncIterator[None]:
    """A target that nobody serves: what Prometheus says of it carries its label."""
    stack = driven.played.stack
    if stack.record.prometheus is None:  # a workstation can do without it
        yield
        return
    file = stack.state.folder / "prometheus" / "targets.json"
    targets = json.loads(file.read_bytes())
    values = f"http://{HOST}:{stack.record.prometheus}/api/v1/label/service/values"

    async def known() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            return planted in (await client.get(values)).text

    _rewrite(file, [*targets, {"targets": [f"{HOST}:9"], "labels": {"service": planted}}])
    try:
        await until(known, "Prometheus to know the planted label")
        yield
    finally:
        _rewrite(file, targets)


def _rewrite(file: Path, targets: list[Any]) -> None:
    """Renamed into place, as Prometheus expects of a file that it watches."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(targets))
    fresh.replace(file)
