"""What a round of goods announces does not tell who belongs together; in the order of its work it would."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from aid.intake.v1 import events_pb2 as intake
from aid.logistics.v1 import events_pb2 as logistics
from aid.matching.v1 import events_pb2 as said
from google.protobuf.message import Message

from services.chassis.ids import random_id
from services.matching.application import goods_round
from tests.support.linkage import Batch, Outcome, Seen, Trace, attacks, fare
from tests.support.matching import World, cases, facts, goods, matching, reported, stock
from tests.support.stack import RunningStack

ALLOCATIONS = "aid.matching.allocations.v1"
A_ROUND = timedelta(minutes=15)
HOUSEHOLDS = 60
ITEMS = ("baby-bottle", "crib-sheet")


class NoShuffle:
    """Leaves everything in the order of the work."""

    def shuffle(self, order: list[Any]) -> None:
        return


async def served(world: World) -> list[str]:
    """One round for many households that each want one of two items; their cases."""
    depot, opened = str(random_id()), list(cases(HOUSEHOLDS))
    await world.hear(*(stock(depot, item, 10 * HOUSEHOLDS) for item in ITEMS))
    for case_id in opened:
        await world.hear(*(reported(case_id, goods(item, 3), facts()) for item in ITEMS))
    await world.advance(A_ROUND)
    return opened


async def logged(world: World, kind: type[Message], truth: Mapping[str, tuple[str, str]]) -> Batch:
    """The batch as it stands in the outbox. `truth`: case and item of each allocation."""
    rows = await world.database.pool.fetch(
        "SELECT id, key, headers, payload FROM outbox WHERE topic = $1 AND headers->>'ce_type' = $2 ORDER BY id",
        ALLOCATIONS, kind.DESCRIPTOR.full_name,
    )  # fmt: skip
    assert len(rows) == 2 * HOUSEHOLDS
    seen: dict[str, dict[str, Trace]] = {item: {} for item in ITEMS}
    for row in rows:
        told = kind.FromString(row["payload"])
        headers = {name: value.encode() for name, value in json.loads(row["headers"]).items()}
        fields = {field.name: str(getattr(told, field.name)) for field in told.DESCRIPTOR.fields}
        case_id, item = truth[row["key"]]
        seen[item][case_id] = Trace(row["key"], (Seen(0, row["id"], 0, headers, fields),))
    ours, theirs = (seen[item] for item in ITEMS)
    order = random.Random(5).sample(sorted(theirs), len(theirs))
    return Batch(tuple(ours.values()), tuple(theirs[case] for case in order), tuple(map(order.index, ours)))


async def truth_of(world: World) -> dict[str, tuple[str, str]]:
    rows = await world.database.pool.fetch("SELECT allocation_id, case_id, item_id FROM allocation")
    return {str(row["allocation_id"]): (str(row["case_id"]), row["item_id"]) for row in rows}


def tried(batch: Batch) -> dict[str, Outcome]:
    return {name: fare(attack, [batch]) for name, attack in attacks([batch]).items()}


def leaking(found: Mapping[str, Outcome]) -> dict[str, Outcome]:
    return {name: each for name, each in found.items() if each.better_than_chance}


async def test_what_is_announced_together_tells_nobody_who_belongs_together(stack: RunningStack) -> None:
    async with matching(stack) as world:
        await served(world)
        found = tried(await logged(world, said.AllocationProposed, await truth_of(world)))
    assert len(found) > 30
    assert leaking(found) == {}


async def test_unshuffled_it_would(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code without its shuffle: who is written next to each other belongs together."""
    monkeypatch.setattr(goods_round, "SystemRandom", NoShuffle)
    async with matching(stack) as world:
        await served(world)
        found = tried(await logged(world, said.AllocationProposed, await truth_of(world)))
    assert found["record 0 next to it in the log"].better_than_chance
    assert found["record 0 same rank in the log"].rate > 0.9


async def test_nor_does_what_is_taken_back_when_cases_close(stack: RunningStack) -> None:
    async with matching(stack) as world:
        opened = await served(world)
        truth = await truth_of(world)
        await world.hear(
            *(logistics.AllocationReserved(allocation_id=each, bag_code=each[:8]) for each in truth)
        )
        for case_id in opened:
            await world.hear(intake.CaseClosed(case_id=case_id))
        await world.advance(A_ROUND)
        found = tried(await logged(world, said.AllocationWithdrawn, truth))
    assert leaking(found) == {}
