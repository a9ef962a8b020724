"""The plan of the kills: the same for the same seed, spread over all parts and over the clients' work."""

from __future__ import annotations

import random
from collections import Counter

from tests.support.chaos.murder import VICTIMS, Kill, Plan, during, works
from tests.support.history import History


def test_a_seed_gives_the_same_victims_at_the_same_moments() -> None:
    plans = [Plan.drawn(random.Random(seed), 2_000) for seed in (7, 7, 8)]
    assert plans[0] == plans[1] != plans[2]


def test_everybody_dies_and_the_work_is_not_over_before() -> None:
    plan = Plan.drawn(random.Random(1), 2_000)
    assert Counter(part for _, part, _ in plan.kills) == Counter(VICTIMS)
    assert len(VICTIMS) >= 10
    assert all(0 < moment < 2_000 for moment, _, _ in plan.kills)


def test_a_kill_after_the_last_command_is_none_of_the_work() -> None:
    kills = [Kill("intake", 1.0, 5), Kill("kafka", 2.0, 9), Kill("intake", 3.0, 10)]
    assert during(kills, 10) == kills[:2]


def test_a_part_is_at_work_when_enough_of_its_commands_were_answered_since() -> None:
    history = History()
    for _ in range(8):
        entry = history.begin(
            client="a", service="intake", use_case="OpenCase", principal="a", key="k", request={}
        )
        entry.acknowledge({})
    parts = ("intake", "postgres-intake", "kafka", "matching", "postgres-matching")
    assert [works(history, part, entry.began - 1) for part in parts] == [True, True, True, False, False]
    assert not any(works(history, part, entry.ended) for part in parts)
