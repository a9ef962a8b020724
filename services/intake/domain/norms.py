"""What follows from a household: published figures, and the pieces and days that they come to.

A pure function of persons, plan and day. Goods are asked for by spans of days (`Plan`), and how old somebody is counts
in the middle of a span: what is asked for changes with a span, with the household, or with a week in which a birth
comes near, and on no other day. So no day on which it changes is a birthday, and none a due date.

Not derived, on purpose: infant formula (Sphere 2018, Food security and nutrition 4.1: never handed out in general, only
to a child who was assessed to need it) and menstrual materials (the region records no sex; they are reported).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.intake.domain.household import AFTER_THE_DUE_DATE, BEFORE_THE_DUE_DATE, AgeBand, Person
from services.intake.domain.ids import WorkerName
from services.intake.domain.needs import MOST_PIECES, NeedKind
from services.intake.domain.refusal import invalid

HORIZON_DAYS = 30
SHORTEST_HORIZON, LONGEST_HORIZON = 7, 90
FOOD_DAYS = 7
LONGEST_REASON = 1_000

_WEEK = timedelta(days=7)
_EVER = 200 * 366
_NEWBORN = 28
_TWO_YEARS, _THREE_YEARS = 730, 1_096
# Of somebody whose birth date nobody knows.
_AGES = {AgeBand.INFANT: 365, AgeBand.CHILD: 10 * 365, AgeBand.ADULT: 30 * 365}


@dataclass(frozen=True, slots=True)
class Stage:
    """What serves somebody from that age in days until before the other."""

    from_days: int
    until_days: int
    item_id: str
    size: str = ""

    def serves(self, age: int) -> bool:
        return self.from_days <= age < self.until_days


@dataclass(frozen=True, slots=True)
class Norm:
    """A published figure: `pieces` for one person, for `days` days; 0 days: once, and one lasts `lasts` days.

    `newborn`: also for a child that is about to be born. `first_supply`: once, for a newborn's days until the first
    whole span of its own.
    """

    name: str
    says: str
    source: str
    kind: NeedKind
    pieces: int
    days: int
    stages: tuple[Stage, ...]
    lasts: int = 0
    newborn: bool = False
    first_supply: bool = False

    @property
    def once(self) -> bool:
        return not self.days or self.first_supply

    def items(self) -> frozenset[str]:
        return frozenset(stage.item_id for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Overrule:
    """A worker's word against a norm: so many pieces, 0 for none. No `item_id`: every item of the norm."""

    norm: str
    item_id: str
    quantity: int
    reason: str = field(repr=False)
    overruled_by: WorkerName
    overruled_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """From which day on a household's needs are derived, and for how many days at a time."""

    since: date
    horizon_days: int = HORIZON_DAYS

    def days_of(self, norm: Norm) -> int:
        return min(FOOD_DAYS, self.horizon_days) if norm.kind is NeedKind.FOOD else self.horizon_days

    def span(self, day: date, days: int) -> date:
        """The first day of the span of so many days that the day lies in."""
        return self.since + timedelta(days=max(0, (day - self.since).days // days * days))


@dataclass(frozen=True, slots=True)
class Derived:
    """What follows from the household: `quantity` pieces, for food days; 0 where a worker said that none are needed.

    `period` is the first day of the span that it is for, None when it is needed once; then what was received since
    `counts_from` counts.
    """

    norm: Norm
    item_id: str
    size: str
    quantity: int
    period: date | None
    counts_from: date
    latest_date: date | None = None
    overrule: Overrule | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.norm.name, self.item_id, self.size


_DISTRIBUTE_AID = "Distribute Aid, needs met per item (aggregated public information, citing SPHERE)"
_GROWTH = "WHO Child Growth Standards 2006, medians of girls and boys"
_HOUSEHOLD_ITEMS = "Sphere Handbook 2018, Shelter and settlement, standard 4 (household items)"
_HYGIENE_ITEMS = "Sphere Handbook 2018, WASH, hygiene promotion standard 1.2 (hygiene items)"

NORMS: Mapping[str, Norm] = {
    norm.name: norm
    for norm in (
        Norm(
            "food",
            "A portion for each person on each day; a portion is one person's food for a day, 2,100 kcal.",
            "Sphere Handbook 2018, Food security and nutrition, standard 6.1 (2,100 kcal per person and day)",
            NeedKind.FOOD,
            pieces=1,
            days=1,
            stages=(Stage(0, _EVER, ""),),
        ),
        Norm(
            "newborn-kit",
            "One for each newborn, ready before the birth.",
            "Sphere Handbook 2018, Health, standard 2.3.2 (Minimum Initial Service Package: newborn supplies)",
            NeedKind.GOODS,
            pieces=1,
            days=0,
            lasts=120,
            newborn=True,
            stages=(Stage(0, _NEWBORN, "newborn-kit"),),
        ),
        Norm(
            "newborn-diapers",
            "150 diapers for a newborn's month, from the birth until the first span of days of its own.",
            f"{_DISTRIBUTE_AID}: diaper newborn, 150 for 1 person and month",
            NeedKind.GOODS,
            pieces=150,
            days=30,
            lasts=120,
            newborn=True,
            first_supply=True,
            stages=(Stage(0, _NEWBORN, "diapers-newborn"),),
        ),
        Norm(
            "diapers",
            "150 diapers a month for each child from four weeks to three years, in the size of its age.",
            f"{_DISTRIBUTE_AID}: diapers sizes 1 to 4, 150 for 1 person and month; sizes: makers' weight bands"
            f" (1: 8-14 lb, 2: 12-18 lb, 3: 16-28 lb, 4: 22-37 lb) at the weight of the age, {_GROWTH}",
            NeedKind.GOODS,
            pieces=150,
            days=30,
            stages=(
                Stage(_NEWBORN, 92, "diapers-size-1"),
                Stage(92, 183, "diapers-size-2"),
                Stage(183, 548, "diapers-size-3"),
                Stage(548, _THREE_YEARS, "diapers-size-4"),
            ),
        ),
        Norm(
            "baby-blanket",
            "A blanket of its own for each child under two, ready before the birth.",
            f"{_DISTRIBUTE_AID}: baby blanket, 1 for 1 person",
            NeedKind.GOODS,
            pieces=1,
            days=0,
            lasts=_TWO_YEARS,
            newborn=True,
            stages=(Stage(0, _TWO_YEARS, "baby-blanket"),),
        ),
        Norm(
            "crib-sheet",
            "A fitted sheet for each child under two, ready before the birth.",
            f"{_DISTRIBUTE_AID}: crib sheet, 1 for 1 person",
            NeedKind.GOODS,
            pieces=1,
            days=0,
            lasts=_TWO_YEARS,
            newborn=True,
            stages=(Stage(0, _TWO_YEARS, "crib-sheet"),),
        ),
        Norm(
            "blanket",
            "A blanket for each person of two years and more.",
            f"{_HOUSEHOLD_ITEMS}: bedding for each person; {_DISTRIBUTE_AID}: blanket, 1 for 1 person",
            NeedKind.GOODS,
            pieces=1,
            days=0,
            lasts=_TWO_YEARS,
            stages=(Stage(_TWO_YEARS, _EVER, "blanket"),),
        ),
        Norm(
            "clothes",
            "Two full sets of clothes in the right size for each child under four, whose size follows from its age.",
            f"{_HOUSEHOLD_ITEMS}: at least two full sets of clothing per person; sizes: EN 13402-3, the next one"
            f" above the length of the age, {_GROWTH}",
            NeedKind.GOODS,
            pieces=2,
            days=0,
            lasts=366,
            newborn=True,
            stages=(
                Stage(0, 46, "clothes-newborn", "56"),
                Stage(46, 110, "clothes-newborn", "62"),
                Stage(110, 211, "clothes-infant", "68"),
                Stage(211, 341, "clothes-infant", "74"),
                Stage(341, 502, "clothes-infant", "80"),
                Stage(502, 688, "clothes-infant", "86"),
                Stage(688, 943, "clothes-toddler", "92"),
                Stage(943, 1_217, "clothes-toddler", "98"),
                Stage(1_217, 1_461, "clothes-toddler", "104"),
            ),
        ),
        Norm(
            "soap",
            "250 g of soap to wash with a month for each person: five bars of 100 g for two months.",
            f"{_HYGIENE_ITEMS}: 250 g of bathing soap per person and month",
            NeedKind.GOODS,
            pieces=5,
            days=60,
            stages=(Stage(0, _EVER, "soap-bar"),),
        ),
        Norm(
            "laundry-soap",
            "200 g of laundry soap a month for each person: one bar.",
            f"{_HYGIENE_ITEMS}: 200 g of laundry soap per person and month",
            NeedKind.GOODS,
            pieces=1,
            days=30,
            stages=(Stage(0, _EVER, "laundry-soap"),),
        ),
    )
}
"""What follows from whom, and who says so; items are those of logistics' catalogue."""


def checked_plan(since: date, horizon_days: int) -> Plan:
    if not SHORTEST_HORIZON <= horizon_days <= LONGEST_HORIZON:
        raise invalid(
            "horizon-out-of-range",
            f"Needs are derived for {SHORTEST_HORIZON} to {LONGEST_HORIZON} days at a time.",
            field="horizon_days",
        )
    return Plan(since, horizon_days)


def checked_overrule(overrule: Overrule) -> Overrule:
    """The word, if there is such a norm and the word says something."""
    check_word(overrule.norm, overrule.item_id)
    if not 0 <= overrule.quantity <= MOST_PIECES:
        raise invalid("quantity-out-of-range", f"1 to {MOST_PIECES} pieces can be said.", field="quantity")
    if not overrule.reason.strip() or len(overrule.reason) > LONGEST_REASON:
        raise invalid("reason-missing", f"A reason has 1 to {LONGEST_REASON} characters.", field="reason")
    return overrule


def check_word(norm: str, item_id: str) -> None:
    """Refused unless there is such a norm, with such an item."""
    known = NORMS.get(norm)
    if known is None:
        raise invalid("norm-unknown", "There is no norm of that name.", field="norm")
    if item_id and item_id not in known.items():
        raise invalid("item-not-of-the-norm", "The norm says nothing of that item.", field="item_id")


def derive(
    persons: Sequence[Person], plan: Plan, today: date, overrules: Iterable[Overrule] = ()
) -> tuple[Derived, ...]:
    """What the household needs on that day, in the order of the norms."""
    said = {(word.norm, word.item_id): word for word in overrules}
    found = (each for norm in NORMS.values() for each in _of_norm(norm, persons, plan, today))
    return tuple(_overruled(each, said) for each in found)


def comes_forward_on(due: date) -> date:
    """The day on which a newborn's needs are asked for: the Monday of the week that lies 14 days before the due date.

    The week is what others are told anyway; the day itself would tell them the due date.
    """
    return _monday(due - BEFORE_THE_DUE_DATE)


def next_day(persons: Iterable[Person], plan: Plan, today: date) -> date:
    """The next day on which something else may follow from the same household."""
    spans = {plan.days_of(norm) for norm in NORMS.values() if not norm.once}
    days = [plan.span(today, days) + timedelta(days=days) for days in spans]
    for person in persons:
        if person.due_date is not None:
            days += [comes_forward_on(person.due_date), _plan_ends_on(person.due_date)]
    return min(day for day in days if day > today)


def _of_norm(norm: Norm, persons: Sequence[Person], plan: Plan, today: date) -> list[Derived]:
    days = plan.days_of(norm)
    start = plan.span(today, days)
    middle = start + timedelta(days=days // 2)
    ages = [_age(person, middle) for person in persons]
    due = [person.due_date for person in persons if _planned(person.due_date, today)] if norm.newborn else []
    ages += [0] * len(due)
    found: dict[tuple[str, str], int] = {}
    for stage in norm.stages:
        served = sum(stage.serves(age) for age in ages)
        if served:
            key = stage.item_id, stage.size
            found[key] = found.get(key, 0) + served
    latest = _by_when(norm, start, days, [day for day in due if day is not None])
    return [
        Derived(
            norm=norm,
            item_id=item_id,
            size=size,
            quantity=min(MOST_PIECES, _quantity(norm, served, plan, days)),
            period=None if norm.once else start,
            counts_from=start - timedelta(days=norm.lasts) if norm.once else start,
            latest_date=latest,
        )
        for (item_id, size), served in found.items()
    ]


def _quantity(norm: Norm, persons: int, plan: Plan, days: int) -> int:
    """Whole pieces, rounded up. Food is counted in days: how many eat, matching knows."""
    if norm.kind is NeedKind.FOOD:
        return days
    if norm.first_supply:
        # A child is counted by the other norm from the first span in whose middle it is no newborn any more.
        return persons * -(-norm.pieces * (_NEWBORN + plan.horizon_days // 2) // norm.days)
    if norm.once:
        return persons * norm.pieces
    return -(-persons * norm.pieces * days // norm.days)


def _by_when(norm: Norm, start: date, days: int, due: Sequence[date]) -> date | None:
    """By when it helps: what is for a span, in it; a newborn's, before the birth, said by the week as ever."""
    if norm.kind is NeedKind.FOOD:
        return None
    if not norm.once:
        return start + timedelta(days=days - 1)
    return comes_forward_on(min(due)) + timedelta(days=13) if due else None


def _overruled(derived: Derived, said: Mapping[tuple[str, str], Overrule]) -> Derived:
    """The word about the item before the one about the whole norm."""
    name = derived.norm.name
    word = said.get((name, derived.item_id)) or said.get((name, ""))
    return derived if word is None else replace(derived, quantity=word.quantity, overrule=word)


def _age(person: Person, day: date) -> int:
    """Days; of a child who is born after that day none."""
    if person.birth_date is None:
        return _AGES[person.age_band or AgeBand.ADULT]
    return max(0, (day - person.birth_date).days)


def _planned(due: date | None, today: date) -> bool:
    return due is not None and comes_forward_on(due) <= today < _plan_ends_on(due)


def _plan_ends_on(due: date) -> date:
    return _monday(due + AFTER_THE_DUE_DATE) + _WEEK


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
