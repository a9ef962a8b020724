"""What a round of goods announces does not tell who belongs together; in the order of its work it would."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from aid.matching.v1 import events_pb2 as said

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


async def announced(world: World) -> Batch:
    """One round for many households that each want one of two items; the batch as it stands in the outbox."""
    depot = str(random_id())
    await world.hear(*(stock(depot, item, 10 * HOUSEHOLDS) for item in ITEMS))
    for case_id in cases(HOUSEHOLDS):
        await world.hear(*(reported(case_id, goods(item, 3), facts()) for item in ITEMS))
    await world.advance(A_ROUND)
    rows = await world.database.pool.fetch(
        """
        SELECT outbox.id, headers, payload, item_id, case_id
        FROM outbox JOIN allocation ON allocation_id::text = key WHERE topic = $1 ORDER BY outbox.id
        """,
        ALLOCATIONS,
    )
    assert len(rows) == 2 * HOUSEHOLDS
    seen: dict[str, dict[str, Trace]] = {item: {} for item in ITEMS}
    for row in rows:
        told = said.AllocationProposed.FromString(row["payload"])
        headers = {name: value.encode() for name, value in json.loads(row["headers"]).items()}
        fields = {field.name: str(getattr(told, field.name)) for field in told.DESCRIPTOR.fields}
        record = Seen(0, row["id"], 0, headers, fields)
        seen[row["item_id"]][str(row["case_id"])] = Trace(told.allocation_id, (record,))
    return _batch(seen)


def _batch(seen: dict[str, dict[str, Trace]]) -> Batch:
    ours, theirs = (seen[item] for item in ITEMS)
    order = random.Random(5).sample(sorted(theirs), len(theirs))
    return Batch(tuple(ours.values()), tuple(theirs[case] for case in order), tuple(map(order.index, ours)))


async def outcomes(stack: RunningStack) -> dict[str, Outcome]:
    async with matching(stack) as world:
        batch = await announced(world)
    return {name: fare(attack, [batch]) for name, attack in attacks([batch]).items()}


async def test_what_is_announced_together_tells_nobody_who_belongs_together(stack: RunningStack) -> None:
    found = await outcomes(stack)
    assert len(found) > 30
    assert {name: each for name, each in found.items() if each.better_than_chance} == {}


async def test_unshuffled_it_would(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code without its shuffle: who is written next to each other belongs together."""
    monkeypatch.setattr(goods_round, "SystemRandom", NoShuffle)
    found = await outcomes(stack)
    assert found["record 0 next to it in the log"].better_than_chance
    assert found["record 0 same rank in the log"].rate > 0.9
