"""However the events of both topics are interleaved, repeated and cut by crashes, the counts come out the same."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.matching.picture_model import (
    HOUR,
    NOTHING,
    STATES,
    CaseMemory,
    Cell,
    Fact,
    Hour,
    HouseholdHidden,
    NeedKnown,
    NeedReached,
    Source,
    State,
    Tally,
    Told,
    region,
    shown,
    window,
)

needs = st.sampled_from(["n1", "n2", "n3"])
hours = st.integers(0, 5).map(lambda h: Hour(h * HOUR))
known = st.builds(
    NeedKnown, needs, st.sampled_from(["north", ""]), st.sampled_from(["food", "goods"]), st.booleans()
)
reached = st.builds(NeedReached, needs, st.sampled_from([State.PLACED, State.UNMET]), st.booleans())
hidden = st.just(HouseholdHidden())
cases_facts = st.lists(st.one_of(known, known, known, hidden), max_size=2)
referrals_facts = st.lists(reached, max_size=2)


def _stream(source: Source, told: Sequence[tuple[Hour, Sequence[Fact]]]) -> list[Told]:
    return [Told(source, 1, number, hour, tuple(facts)) for number, (hour, facts) in enumerate(told, 1)]


streams = st.tuples(
    st.lists(st.tuples(hours, cases_facts), max_size=5),
    st.lists(st.tuples(hours, referrals_facts), max_size=5),
).map(lambda both: (_stream(Source.CASES, both[0]), _stream(Source.REFERRALS, both[1])))


# One step: which topic delivers next, from how far back it begins again, and whether the process died before it.
steps = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 3), st.booleans()), max_size=12)


@given(streams, steps)
def test_interleaving_repetition_and_crashes_change_nothing(
    both: tuple[list[Told], list[Told]], delivered: list[tuple[int, int, bool]]
) -> None:
    plain = CaseMemory()
    for event in [*both[0], *both[1]]:
        plain = plain.after(event)
    memory, tally, reached = CaseMemory(), Tally(), [0, 0]
    everything_once_more = [(which, 0, False) for which in (0, 1) for _ in both[which]]
    for which, back, died in [*delivered, (0, 9, True), (1, 9, True), *everything_once_more]:
        reached[which] = max(0, reached[which] - back)
        if died:
            memory = CaseMemory.load(memory.dump())
            tally = Tally()
            tally.move(0, CaseMemory(), memory)
        if reached[which] < len(both[which]):
            before = memory
            memory = before.after(both[which][reached[which]])
            tally.move(0, before, memory)
            reached[which] += 1
    assert memory.counts() == plain.counts()
    assert {cell for _, cell in tally.cells()} >= plain.counts().keys()
    assert all(tally.of(0, cell) == plain.counts().get(cell, NOTHING) for _, cell in tally.cells())


@given(streams)
def test_a_need_counts_at_most_once_in_each_state(both: tuple[list[Told], list[Told]]) -> None:
    memory = CaseMemory()
    for event in [*both[0], *both[1]]:
        memory = memory.after(event)
    total = [sum(column) for column in zip(*memory.counts().values(), strict=True)] or [0, 0, 0]
    assert all(count <= len(memory.needs) for count in total)


cells = st.dictionaries(
    st.builds(
        Cell, st.sampled_from("abcd"), st.just("food"), st.integers(40, 101).map(lambda h: Hour(h * HOUR))
    ),
    st.tuples(*[st.integers(0, 25)] * 3),
)


@given(cells)
def test_the_total_less_what_is_shown_never_tells_a_small_count(
    found: dict[Cell, tuple[int, int, int]],
) -> None:
    until = Hour(100 * HOUR)
    totals = region(found, until)
    inside = {cell: counts for cell, counts in found.items() if cell.hour in window(until)}
    for place, state in enumerate(STATES):
        open_part = sum(counts[place] for counts in inside.values() if counts[place] >= 10)
        hidden_part = sum(counts[place] for counts in inside.values() if counts[place] < 10)
        if inside:
            allowed = {shown(open_part)} if hidden_part < 10 else {shown(open_part + hidden_part)}
            assert totals["food", state] in allowed
        else:
            assert not totals
