"""Households as the network knows them, with the question that is open for each: where do they sleep?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.intake.domain.hmis_import import (
    Confidentiality,
    Enrolment,
    Household,
    HouseholdType,
    LivingSituation,
    LodgingNeed,
    Person,
    Placement,
    Pregnancy,
    ReferralMade,
    Relationship,
)

from .capacity import Berth, Guests
from .keys import Keys
from .records import HealthRecord, ProjectRecord
from .report import Tally
from .tables import Stay

ADULT = 18
"""Years of age."""


@dataclass(frozen=True, slots=True)
class Open:
    """A household's open enrolments in one project: the one that says where it sleeps."""

    project: ProjectRecord
    stays: tuple[Stay, ...]

    @property
    def since(self) -> date:
        return min(stay.row.entered for stay in self.stays)

    def moved_in(self, as_of: date) -> date | None:
        days = [stay.row.moved_in for stay in self.stays if stay.row.moved_in and stay.row.moved_in <= as_of]
        return min(days, default=None)

    def person_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(stay.row.person_id for stay in self.stays))


class Households:
    """Answers about the households of one export, as of its last day."""

    def __init__(self, projects: Mapping[str, ProjectRecord], as_of: date, safety_known: bool) -> None:
        self._projects, self._as_of, self._safety_known = projects, as_of, safety_known

    def is_open(self, stay: Stay) -> bool:
        """Begun, and not over by the export's last day: who leaves on that day does not sleep there that night."""
        over = stay.exit is not None and stay.exit.exited <= self._as_of
        return stay.row.entered <= self._as_of and not over

    def open(self, stays: Iterable[Stay]) -> Open | None:
        """None when every enrolment is over. Of several projects, one with beds counts before one without,
        and of those the one entered last; a household sleeps in one place."""
        projects: dict[str, list[Stay]] = {}
        for stay in stays:
            if self.is_open(stay):
                projects.setdefault(stay.row.project_id, []).append(stay)
        candidates = [Open(self._projects[key], tuple(open_)) for key, open_ in projects.items()]
        return max(
            candidates, key=lambda each: (each.project.residential, each.since, each.project.id), default=None
        )

    def type_of(self, stays: Sequence[Stay]) -> HouseholdType:
        """By age on the export's last day; without a birth date, the head's child counts as a child."""
        ages = {self._is_child(stay) for stay in stays}
        if ages == {True}:
            return HouseholdType.ONLY_CHILDREN
        return HouseholdType.ADULTS_AND_CHILDREN if True in ages else HouseholdType.WITHOUT_CHILDREN

    def guests(self, found: Open) -> Guests:
        """The household as occupants of a project's beds."""
        household, beds = found.stays[0].row.household, len(found.person_ids())
        return Guests(household, found.project.id, self.type_of(found.stays), beds, found.since)

    def confidentiality(self, stays: Sequence[Stay]) -> Confidentiality | None:
        own = [row for stay in stays for row in stay.health]
        if any(row.fleeing for row in own):
            return Confidentiality.FLEEING
        if any(row.survivor for row in own):
            return Confidentiality.SURVIVOR
        if any(stay.hides for stay in stays):
            return Confidentiality.RECORDED_ELSEWHERE
        return None if self._safety_known else Confidentiality.NOT_RECORDED

    def note(self, stays: Sequence[Stay], found: Open | None, tally: Tally) -> None:
        """Count what a reader of the report should know of a household although it refuses nothing."""
        heads = {stay.row.person_id for stay in stays if stay.row.relationship is Relationship.SELF}
        tally.note("no-head", not heads)
        tally.note("several-heads", len(heads) > 1)
        tally.note("household-id-blank", stays[0].row.household.startswith("single:"))
        tally.note("not-begun", sum(stay.row.entered > self._as_of for stay in stays))
        tally.note(
            "exit-after-end",
            sum(stay.exit is not None and stay.exit.exited > self._as_of for stay in stays),
        )
        tally.note("several-projects", len({s.row.project_id for s in stays if self.is_open(s)}) > 1)
        tally.note(
            "confidential-by-another-household",
            self.confidentiality(stays) is Confidentiality.RECORDED_ELSEWHERE,
        )
        tally.note("awaiting-move-in", found is not None and self.awaiting_move_in(found))

    def awaiting_move_in(self, found: Open) -> bool:
        project = found.project
        return project.residential and project.project_type.permanent and found.moved_in(self._as_of) is None

    def _is_child(self, stay: Stay) -> bool:
        born = stay.client.birth_date
        if born is None:
            return stay.row.relationship is Relationship.CHILD
        return _age(born, self._as_of) < ADULT


class Builder:
    """Makes one Household at a time, so that only the one in hand is held twice."""

    def __init__(self, households: Households, as_of: date, keys: Keys) -> None:
        self._households, self._as_of, self._keys = households, as_of, keys

    def build(self, number: int, stays: list[Stay], berth: Berth) -> Household:
        """`berth` is where it is counted, if it lies in a project's beds."""
        found = self._households.open(stays)
        return Household(
            number=number,
            source_key=self._keys.household(stays[0].row.household),
            household_type=self._households.type_of(found.stays if found else stays),
            persons=tuple(self._persons(stays)),
            enrolments=tuple(self._enrolment(stay) for stay in stays),
            confidentiality=self._households.confidentiality(stays),
            lodging=None if found is None else self._lodging(found, berth),
            referrals=tuple(_referrals(stays)),
            found=_found(stays, self._as_of),
        )

    def _lodging(self, found: Open, berth: Berth) -> Placement | LodgingNeed:
        project_key = self._keys.project(found.project.id)
        person_keys = tuple(self._keys.person(person_id) for person_id in found.person_ids())
        if not found.project.residential:
            return LodgingNeed(project_key, person_keys, found.since, _sleeping(found.stays, self._as_of))
        return Placement(
            project_key=project_key,
            offer_key=berth.offer_key,
            person_keys=person_keys,
            beds=len(person_keys),
            over_by=berth.over_by,
            entered=found.since,
            moved_in=found.moved_in(self._as_of),
            awaiting_move_in=self._households.awaiting_move_in(found),
        )

    def _persons(self, stays: list[Stay]) -> Iterator[Person]:
        """Each person once, as its latest enrolment in the household has it, in the order of the file."""
        latest: dict[str, Stay] = {}
        for stay in stays:
            known = latest.get(stay.row.person_id)
            if known is None or known.row.entered <= stay.row.entered:
                latest[stay.row.person_id] = stay
        for person_id, stay in latest.items():
            health = [row for each in stays if each.row.person_id == person_id for row in each.health]
            yield self._person(stay, health)

    def _person(self, stay: Stay, health: list[HealthRecord]) -> Person:
        client = stay.client
        first, middle, last, suffix = client.names
        return Person(
            source_key=self._keys.person(stay.row.person_id),
            first_name=first,
            middle_name=middle,
            last_name=last,
            name_suffix=suffix,
            ssn=client.ssn,
            birth_date=client.birth_date,
            birth_date_approximate=client.birth_date_approximate,
            sex=client.sex,
            relationship=stay.row.relationship,
            veteran=client.veteran,
            survivor=any(row.survivor for row in health),
            fleeing=any(row.fleeing for row in health),
            pregnancy=_pregnancy(health),
        )

    def _enrolment(self, stay: Stay) -> Enrolment:
        return Enrolment(
            source_key=self._keys.enrolment(stay.row.id),
            person_key=self._keys.person(stay.row.person_id),
            project_key=self._keys.project(stay.row.project_id),
            entered=stay.row.entered,
            exited=stay.exit.exited if stay.exit else None,
            moved_in=stay.row.moved_in,
            came_from=stay.row.came_from,
            destination=stay.exit.destination if stay.exit else None,
        )


def _pregnancy(health: list[HealthRecord]) -> Pregnancy | None:
    """What was recorded last decides; a row without an answer does not take back an earlier one."""
    answered = [row for row in health if row.pregnant is not None]
    last = max(answered, key=lambda row: (row.recorded_on, row.line), default=None)
    return Pregnancy(last.recorded_on, last.due) if last is not None and last.pregnant else None


def _found(stays: Sequence[Stay], as_of: date) -> tuple[date, LivingSituation] | None:
    """What a worker recorded last by the export's end."""
    recorded = [row for stay in stays for row in stay.living if row.recorded_on <= as_of]
    last = max(recorded, key=lambda row: (row.recorded_on, row.line), default=None)
    return None if last is None else (last.recorded_on, last.situation)


def _sleeping(stays: Sequence[Stay], as_of: date) -> LivingSituation | None:
    """Where a worker found that it sleeps; without that, where the first of them came from."""
    found = _found(stays, as_of)
    if found is not None:
        return found[1]
    return next((stay.row.came_from for stay in stays if stay.row.came_from is not None), None)


def _referrals(stays: Sequence[Stay]) -> Iterator[ReferralMade]:
    """What coordinated entry did for the household, each event once however many members it names."""
    events = [row for stay in stays for row in stay.events]
    made = {(row.on, row.event, row.result, row.result_on): None for row in events}
    for on, event, result, result_on in sorted(made, key=lambda each: (each[0], each[1])):
        yield ReferralMade(on, event, result, result_on)


def _age(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
