"""Derived needs follow the household: whatever happens to it, in one go or step by step, the same is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.domain.derived_needs import Asked, Difference, difference, need_of_line
from services.intake.domain.household import AgeBand, Person
from services.intake.domain.ids import NeedId, WorkerName
from services.intake.domain.needs import MOST_PIECES, Need, NeedKind
from services.intake.domain.norms import NORMS, Derived, Overrule, Plan, derive

FIRST = date(2026, 11, 24)
NOBODY = NeedId(UUID(int=0))
DAYS = st.integers(-1_500, 60)
PERSONS = st.lists(
    st.one_of(
        st.builds(lambda days: Person(birth_date=FIRST + timedelta(days=days)), DAYS),
        st.builds(lambda days: Person(due_date=FIRST + timedelta(days=days)), st.integers(-60, 120)),
        st.sampled_from([Person(age_band=AgeBand.INFANT), Person(age_band=AgeBand.CHILD), Person()]),
    ),
    min_size=1,
    max_size=5,
)
WORDS = st.builds(
    lambda norm, quantity: Overrule(
        norm, "", quantity, "they said so", WorkerName("w"), datetime(2026, 11, 24, tzinfo=UTC)
    ),
    st.sampled_from(sorted(NORMS)),
    st.sampled_from([0, 3, 100, 2_000]),
)


@dataclass(frozen=True)
class Passes:
    """So many days go by."""

    days: int


@dataclass(frozen=True)
class Becomes:
    """The household is these persons now."""

    persons: tuple[Person, ...]


@dataclass(frozen=True)
class Says:
    """A worker overrules norms so, and takes back what was said before."""

    words: tuple[Overrule, ...]


@dataclass(frozen=True)
class Receives:
    """A bag is handed over: of which of the open needs, and how much of it in percent."""

    which: int
    percent: int


Step = Passes | Becomes | Says | Receives
CHANGES = st.one_of(
    st.builds(Passes, st.integers(-2, 40)),
    st.builds(lambda persons: Becomes(tuple(persons)), PERSONS),
    st.builds(
        lambda words: Says(tuple(words)), st.lists(WORDS, max_size=2, unique_by=lambda word: word.norm)
    ),
)
STEPS = st.one_of(CHANGES, st.builds(Receives, st.integers(0, 20), st.integers(1, 150)))


@dataclass(frozen=True)
class Receipt:
    """What the household really received, on which day, by which need."""

    key: tuple[str, str, str]
    need_id: NeedId
    day: date
    pieces: int


@dataclass
class Books:
    """The needs as they are recorded, and as somebody knows them who heard every difference and nothing else."""

    plan: Plan
    today: date = FIRST
    persons: tuple[Person, ...] = (Person(),)
    words: tuple[Overrule, ...] = ()
    rows: list[Asked] = field(default_factory=list)
    heard: dict[NeedId, Need] = field(default_factory=dict)
    receipts: list[Receipt] = field(default_factory=list)

    def take(self, step: Step) -> None:
        match step:
            case Passes(days):
                self.today = max(self.today, self.today + timedelta(days=days))
            case Becomes(persons):
                self.persons = persons
            case Says(words):
                self.words = words
            case Receives(which, percent):
                self._receive(which, percent)

    def lines(self) -> tuple[Derived, ...]:
        return derive(self.persons, self.plan, self.today, self.words)

    def derive(self) -> Difference:
        found = difference(self.lines(), self.rows)
        for need_id in found.gone:
            self.rows = [each for each in self.rows if each.need.need_id != need_id]
            del self.heard[need_id]
        for met in found.met:
            self._put(replace(met, met_on=self.today))
            del self.heard[met.need.need_id]
        for each in (*found.changed, *found.kept_quietly):
            self._put(each)
        for each in found.changed:
            self.heard[each.need.need_id] = each.need
        for line, pieces in found.new:
            need = need_of_line(line, pieces, NeedId(uuid4()))
            self.rows.append(Asked(need, line.period))
            assert need.need_id not in self.heard
            self.heard[need.need_id] = need
        return found

    def open(self) -> list[Asked]:
        return [each for each in self.rows if each.met_on is None]

    def _receive(self, which: int, percent: int) -> None:
        goods = [each for each in self.open() if each.need.kind is NeedKind.GOODS]
        if not goods:
            return
        bag = goods[which % len(goods)]
        left = bag.need.quantity - bag.handed_over
        pieces = max(1, left * percent // 100)
        handed = bag.handed_over + pieces
        self.receipts.append(Receipt(bag.key, bag.need.need_id, self.today, pieces))
        done = handed >= bag.need.quantity
        self._put(replace(bag, handed_over=handed, met_on=self.today if done else None))
        if done:
            del self.heard[bag.need.need_id]

    def _put(self, row: Asked) -> None:
        self.rows = [row if each.need.need_id == row.need.need_id else each for each in self.rows]


def as_asked(rows: Sequence[Asked]) -> set[tuple[object, ...]]:
    """Everything of the needs but their ids."""
    return {(replace(each.need, need_id=NOBODY), each.period) for each in rows}


@settings(max_examples=400)
@given(st.integers(7, 90), st.lists(CHANGES, max_size=10))
def test_step_by_step_and_in_one_go_leave_the_same_open_needs(horizon: int, steps: list[Step]) -> None:
    slow, fast = Books(Plan(FIRST, horizon)), Books(Plan(FIRST, horizon))
    slow.derive()
    for step in steps:
        slow.take(step)
        slow.derive()
        fast.take(step)
    fast.derive()
    slow.derive()
    assert as_asked(slow.open()) == as_asked(fast.open())
    assert len(slow.open()) == len(fast.open())


@settings(max_examples=400)
@given(st.integers(7, 90), st.lists(STEPS, max_size=14))
def test_the_sum_of_the_differences_is_the_state_and_only_the_rest_is_asked_for(
    horizon: int, steps: list[Step]
) -> None:
    books = Books(Plan(FIRST, horizon))
    for step in [Passes(0), *steps]:
        books.take(step)
        books.derive()
        assert books.heard == {each.need.need_id: each.need for each in books.open()}
        assert not books.derive(), "what is in step already is told nothing"
        for line in books.lines():
            if line.norm.kind is NeedKind.GOODS:
                only_the_rest(books, line)
        assert {each.key for each in books.open()} <= {line.key for line in books.lines() if line.quantity}


def only_the_rest(books: Books, line: Derived) -> None:
    """What is still to come is what the line says less what the household really received for it."""
    mine = [each for each in books.open() if each.key == line.key]
    assert len(mine) <= 1
    to_come = sum(each.need.quantity - each.handed_over for each in mine)
    wanted = max(0, line.quantity - really_received(books, line))
    if wanted + sum(each.handed_over for each in mine) <= MOST_PIECES:
        assert to_come == wanted, line


def really_received(books: Books, line: Derived) -> int:
    """For a span: in it. What is needed once counts for as long as it lasts, from when its need was met."""
    met = {each.need.need_id: each.met_on for each in books.rows}
    mine = [each for each in books.receipts if each.key == line.key]
    if line.period is not None:
        days = books.plan.days_of(line.norm)
        return sum(each.pieces for each in mine if books.plan.span(each.day, days) == line.period)
    return sum(each.pieces for each in mine if (met[each.need_id] or books.today) >= line.counts_from)


@given(PERSONS, st.integers(0, 400))
def test_a_need_that_goes_on_keeps_its_place_in_the_queue(persons: list[Person], days: int) -> None:
    """Nothing received, nothing changed but the date: lines that were asked for stay the same needs."""
    books = Books(Plan(FIRST), persons=tuple(persons))
    books.derive()
    before = {each.key: each.need.need_id for each in books.open()}
    books.take(Passes(days))
    books.derive()
    after = {each.key: each.need.need_id for each in books.open()}
    assert {key: before[key] for key in before.keys() & after.keys()} == {
        key: after[key] for key in before.keys() & after.keys()
    }
