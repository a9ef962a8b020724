"""From the internal topics alone nobody joins the allocations of a household better than by chance.

Many households get goods of two kinds on the running network. Somebody then reads every internal topic (keys,
headers, times, places in the log, fields) and tries to find out which two allocations belong together.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics_said
from aid.logistics.v1 import logistics_pb2 as logistics
from aid.matching.v1 import events_pb2 as matching_said
from aiokafka import ConsumerRecord
from google.protobuf.message import Message

from deploy.kafka.topics import read as read_topics
from deploy.local import clock
from deploy.local.story.scenery import WAREHOUSE
from tests.support.linkage import Batch, Outcome, Seen, Trace, attacks, fare
from tests.support.stores import records
from tests.support.story import Played

pytestmark = pytest.mark.timeout(400)

ITEMS = ("baby-bottle", "crib-sheet")
HOUSEHOLDS, ROUNDS = 40, 2
QUANTITIES = (3, 6, 9)
AREA = "lakeside"
INTERNAL = [topic.name for topic in read_topics() if topic.classification == "internal"]
SECRET_HEADERS = {"traceparent", "ce_correlationid", "ce_causationid"}


@dataclass(frozen=True, slots=True)
class Given:
    """The households of each round, each by its two allocations, and what the topics hold of every allocation."""

    rounds: tuple[tuple[tuple[str, str], ...], ...]
    seen: Mapping[str, tuple[Seen, ...]]
    everything: tuple[ConsumerRecord[bytes, bytes], ...]

    def batches(self) -> list[Batch]:
        """As somebody sees them who knows which allocations were announced at about the same time: a round
        is what hides a household. That is shown by the wall time of the records and cannot be hidden."""
        return [_batch(pairs, self.seen) for pairs in self.rounds]


def _batch(pairs: Sequence[tuple[str, str]], seen: Mapping[str, tuple[Seen, ...]]) -> Batch:
    partners = random.Random(3).sample(range(len(pairs)), len(pairs))
    theirs = dict(zip(partners, (other for _, other in pairs), strict=True))
    return Batch(
        tuple(Trace(one, seen[one]) for one, _ in pairs),
        tuple(Trace(theirs[n], seen[theirs[n]]) for n in range(len(pairs))),
        tuple(partners),
    )


@pytest.fixture(scope="module")
async def given(played: Played) -> AsyncIterator[Given]:
    dice = random.Random(17)
    rounds = []
    for item in ITEMS:
        count = logistics.CountStockRequest(
            warehouse_id=WAREHOUSE, item_id=item, screened=HOUSEHOLDS * ROUNDS * max(QUANTITIES)
        )
        await played.stage.doors.rpc(
            "warehouse", "logistics", "CountStock", count, logistics.CountStockResponse
        )
    await clock.drained(played.stack.state, played.stack.record)
    for _ in range(ROUNDS):
        cases = [await open_case(played, dice) for _ in range(HOUSEHOLDS)]
        await played.stage.advance(timedelta(minutes=15))
        rounds.append(await allocations(played, cases))
        await carry(played, rounds[-1])
        await played.stage.advance(timedelta(hours=1))
    kept = [record async for record in records(played.stack.bootstrap, INTERNAL)]
    yield Given(tuple(rounds), by_allocation(kept), tuple(kept))
    await clock.drained(played.stack.state, played.stack.record)


async def open_case(played: Played, dice: random.Random) -> str:
    """One household that wants some of each; how many of the one says nothing of how many of the other."""
    needs = [
        intake.NeedInput(kind=common.NEED_KIND_GOODS, item_id=item, quantity=dice.choice(QUANTITIES))
        for item in ITEMS
    ]
    household = intake.Household(persons=[intake.Person(age_band=intake.AGE_BAND_ADULT)], area=AREA)
    request = intake.OpenCaseRequest(case_id=str(uuid.uuid4()), household=household, needs=needs)
    await played.stage.doors.rpc("case_manager", "intake", "OpenCase", request, intake.OpenCaseResponse)
    return request.case_id


async def allocations(played: Played, cases: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The truth, as only matching knows it: the two allocations of each household."""
    connection = await played.stack.record.cluster("matching", played.stack.state).superuser("matching")
    try:
        rows = await connection.fetch(
            "SELECT case_id::text, item_id, allocation_id::text, state FROM allocation WHERE case_id::text = ANY($1)",
            list(cases),
        )
    finally:
        await connection.close()
    assert {row["state"] for row in rows} == {"reserved"}
    found = {(row["case_id"], row["item_id"]): row["allocation_id"] for row in rows}
    assert len(rows) == len(found) == 2 * len(cases)
    return tuple((found[case, ITEMS[0]], found[case, ITEMS[1]]) for case in cases)


async def carry(played: Played, pairs: Sequence[tuple[str, str]]) -> None:
    """As carriers do: at each door both bags of the household, one after the other."""
    connection = await played.stack.record.cluster("logistics", played.stack.state).superuser("logistics")
    try:
        rows = await connection.fetch("SELECT allocation_id::text, bag_code FROM allocation")
    finally:
        await connection.close()
    bags, doors = dict(map(tuple, rows)), played.stage.doors
    for bag in (bags[allocation] for pair in pairs for allocation in pair):
        out = logistics.DispatchBagRequest(bag_code=bag, carrier=played.stage.subject_of("carrier"))
        await doors.rpc("warehouse", "logistics", "DispatchBag", out, logistics.DispatchBagResponse)
        given = logistics.ConfirmHandoverRequest(bag_code=bag)
        await doors.rpc("carrier", "logistics", "ConfirmHandover", given, logistics.ConfirmHandoverResponse)


def by_allocation(kept: Sequence[ConsumerRecord[bytes, bytes]]) -> dict[str, tuple[Seen, ...]]:
    """Every record whose key is an allocation, oldest first."""
    found: dict[str, list[Seen]] = {}
    for record in sorted(kept, key=lambda record: (record.timestamp, record.offset)):
        key, headers = (record.key or b"").decode(), dict(record.headers)
        told = parsed(headers["ce_type"].decode(), record.value or b"")
        fields = {field.name: str(getattr(told, field.name)) for field in told.DESCRIPTOR.fields}
        seen = Seen(record.partition, record.offset, record.timestamp, headers, fields)
        found.setdefault(key, []).append(seen)
    return {key: tuple(seen) for key, seen in found.items()}


def parsed(type_name: str, payload: bytes) -> Message:
    module = matching_said if type_name.startswith("aid.matching.") else logistics_said
    message: Message = getattr(module, type_name.rpartition(".")[2]).FromString(payload)
    return message


def tried(batches: Sequence[Batch]) -> dict[str, Outcome]:
    return {name: fare(attack, batches) for name, attack in attacks(batches).items()}


def test_no_attack_joins_the_allocations_of_a_household_better_than_chance(given: Given) -> None:
    batches = given.batches()
    outcomes = tried(batches)
    assert len(outcomes) > 100, "of a proposal, its reservation and its handover"
    assert {name: each for name, each in outcomes.items() if each.better_than_chance} == {}
    for outcome in outcomes.values():
        assert outcome.most_by_chance < outcome.suspicious < 0.25 * ROUNDS * HOUSEHOLDS


def test_no_internal_record_tells_its_cause_or_its_hour(given: Given) -> None:
    """Nothing to join by: no trace, no correlation, a random id of its own, times of the whole hour."""
    ids = set()
    for record in given.everything:
        headers = dict(record.headers)
        assert not SECRET_HEADERS & headers.keys()
        assert uuid.UUID(headers["ce_id"].decode()).version == 4
        assert headers["ce_time"].endswith(b":00:00+00:00")
        assert headers["ce_recordedtime"].endswith(b":00:00+00:00")
        ids.add(headers["ce_id"])
    assert len(ids) == len(given.everything)


def test_a_key_of_an_internal_topic_is_no_id_of_a_case_or_need(given: Given) -> None:
    """Allocation ids are random and stand on internal topics under no other name."""
    for one, other in (pair for pairs in given.rounds for pair in pairs):
        for allocation in (one, other):
            assert uuid.UUID(allocation).version == 4
            assert [seen.fields["allocation_id"] for seen in given.seen[allocation]] == [allocation] * 3
