"""The attacks on the internal topics are real: each kind of carelessness in a log is found by one of them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.linkage import Batch, Seen, Trace, attacks, fare, suspicious

SIZE = 40
Spoil = Callable[[list[tuple[Trace, Trace]], random.Random], list[tuple[Trace, Trace]]]


def trace(dice: random.Random, item: str) -> Trace:
    """An allocation as it should look: random ids, a random place, times that tell the hour only."""
    identity = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    headers = {"ce_id": str(uuid.UUID(int=dice.getrandbits(128), version=4)).encode(), "ce_time": b"10:00"}
    quantity = str(dice.choice((40, 80, 120)))
    seen = Seen(
        dice.randrange(4),
        0,
        1_000_000,
        headers,
        {"allocation_id": identity, "item_id": item, "quantity": quantity},
    )
    return Trace(identity, (seen,))


def logged(
    pairs: list[tuple[Trace, Trace]], order: list[Trace], gap_ms: int = 0
) -> list[tuple[Trace, Trace]]:
    """The pairs with every record at the offset and time at which this order writes it."""
    ends, placed = [0, 0, 0, 0], dict[str, Trace]()
    for n, each in enumerate(order):
        [seen] = each.records
        at = replace(seen, offset=ends[seen.partition], timestamp=seen.timestamp + n * gap_ms)
        placed[each.allocation_id] = replace(each, records=(at,))
        ends[seen.partition] += 1
    return [(placed[one.allocation_id], placed[other.allocation_id]) for one, other in pairs]


def shuffled(pairs: list[tuple[Trace, Trace]], dice: random.Random) -> list[tuple[Trace, Trace]]:
    order = [each for pair in pairs for each in pair]
    dice.shuffle(order)
    return logged(pairs, order)


def batch(spoil: Spoil, seed: int) -> Batch:
    dice = random.Random(seed)
    pairs = spoil([(trace(dice, "one"), trace(dice, "other")) for _ in range(SIZE)], dice)
    partners = dice.sample(range(SIZE), SIZE)
    theirs = [pairs[0][1]] * SIZE
    for n, (_, other) in enumerate(pairs):
        theirs[partners[n]] = other
    return Batch(tuple(one for one, _ in pairs), tuple(theirs), tuple(partners))


def household_after_household(
    pairs: list[tuple[Trace, Trace]], dice: random.Random
) -> list[tuple[Trace, Trace]]:
    return logged(pairs, [each for pair in pairs for each in pair], gap_ms=1)


def item_after_item(pairs: list[tuple[Trace, Trace]], dice: random.Random) -> list[tuple[Trace, Trace]]:
    return logged(pairs, [one for one, _ in pairs] + [other for _, other in pairs], gap_ms=1)


def forth_and_back(pairs: list[tuple[Trace, Trace]], dice: random.Random) -> list[tuple[Trace, Trace]]:
    return logged(pairs, [one for one, _ in pairs] + [other for _, other in reversed(pairs)], gap_ms=1)


def changed(both: Callable[[Seen, str], Seen]) -> Spoil:
    """What the two of a household have in common: `both` puts a word of the household into a record."""

    def spoil(pairs: list[tuple[Trace, Trace]], dice: random.Random) -> list[tuple[Trace, Trace]]:
        spoilt = []
        for pair in shuffled(pairs, dice):
            word = str(uuid.UUID(int=dice.getrandbits(128)))
            one, other = (replace(each, records=(both(each.records[0], word),)) for each in pair)
            spoilt.append((one, other))
        return spoilt

    return spoil


def header(seen: Seen, name: str, value: str) -> Seen:
    return replace(seen, headers={**seen.headers, name: value.encode()})


CARELESS: dict[str, Spoil] = {
    "household after household": household_after_household,
    "item after item, households in one order": item_after_item,
    "the second item backwards": forth_and_back,
    "one trace": changed(lambda seen, word: header(seen, "traceparent", f"00-{word}-01")),
    "one correlation": changed(lambda seen, word: header(seen, "ce_correlationid", word)),
    "one time to the microsecond": changed(lambda seen, word: header(seen, "ce_time", f"10:00:{word}")),
    "ids that begin alike": changed(
        lambda seen, word: header(seen, "ce_id", word[:8] + seen.headers["ce_id"].decode()[8:])
    ),
    "ids that follow each other": changed(
        lambda seen, word: header(
            seen, "ce_id", str(uuid.UUID(int=uuid.UUID(word).int + (seen.fields["item_id"] == "other")))
        )
    ),
    "the same moment": changed(lambda seen, word: replace(seen, timestamp=int(word[:6], 16))),
    "a quantity of the household's own": changed(
        lambda seen, word: replace(seen, fields={**seen.fields, "quantity": str(int(word[:6], 16))})
    ),
}


@pytest.mark.parametrize("carelessness", CARELESS)
def test_each_carelessness_is_found(carelessness: str) -> None:
    batches = [batch(CARELESS[carelessness], seed) for seed in (1, 2)]
    outcomes = {name: fare(attack, batches) for name, attack in attacks(batches).items()}
    best = max(outcomes, key=lambda name: outcomes[name].hits)
    assert outcomes[best].better_than_chance, f"the best was {best!r}: {outcomes[best]}"
    assert outcomes[best].rate > 0.8


def test_a_log_that_tells_nothing_is_not_accused() -> None:
    batches = [batch(shuffled, seed) for seed in (3, 4)]
    for name, attack in attacks(batches).items():
        assert not fare(attack, batches).better_than_chance, name


def test_chance_is_what_it_is_said_to_be() -> None:
    """One pair of each batch on average, and the suspicious number far beyond what chance ever finds."""
    batches = [batch(shuffled, seed) for seed in range(5, 9)]
    outcomes = [fare(attack, batches) for attack in attacks(batches).values()]
    for outcome in outcomes:
        assert 2.5 < outcome.by_chance < 5.5
        assert outcome.most_by_chance < outcome.suspicious
    assert suspicious(4) < 0.2 * 4 * SIZE
