"""Households that move through a region's projects as a published simulation configuration says.

The configuration (populations with their projects, household templates, transitions with timing and destinations)
is read at run time; how it is played is ours: a household enters a population by its weight, stays there for a
drawn time, leaves the region or goes on to the next population, until the export's last day.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from services.intake.adapters.hmis.codes import LIVING_SITUATION_BEFORE_2024, PRIOR_LIVING_SITUATION

SPAN = timedelta(days=3 * 365)
"""Households enter the region within this time before the export's last day."""


@dataclass(frozen=True, slots=True)
class Place:
    id: str
    organization: str
    name: str
    type: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Member:
    age: int
    relationship: int
    sex: int
    veteran: bool


@dataclass(frozen=True, slots=True)
class Spell:
    """A household's time in one project."""

    place: Place
    came_from: int
    entered: date
    exited: date | None
    destination: int | None
    moved_in: date | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A weighted draw."""

    what: list[Any]
    weights: list[float]

    @classmethod
    def of(cls, weights: Mapping[Any, float]) -> "Choice":
        return cls(list(weights), list(accumulate(weights.values())))

    def draw(self, dice: random.Random) -> Any:
        return dice.choices(self.what, cum_weights=self.weights)[0]


@dataclass(slots=True)
class Population:
    place: Place
    templates: Choice
    leaves: float
    came_from: Choice
    steps: list[dict[str, Any]] = field(default_factory=list)
    step: Choice | None = None


class Simulation:
    """One region. The same seed gives the same households."""

    def __init__(self, config: Path, as_of: date, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        self._as_of = as_of
        said = json.loads(config.read_text())
        self.places = list(_places(said["organizations"]))
        by_name = {place.name: place for place in self.places}
        [track] = [each for each in said["tracks"] if each["type"] == "primary"]
        self._templates = track["household_templates"]
        self._health = track["enrollment_config"]["health_and_dv"]
        self._move_in = track["enrollment_config"]["ph_move_in"]
        self._populations: dict[str, Population] = {}
        for each in track["populations"]:
            codes = {int(code): weight for code, weight in each["prior_living_situation"]["weights"].items()}
            self._populations[each["name"]] = Population(
                by_name[each["project_ref"]],
                Choice.of(each["household_templates"]),
                each["exit_point"],
                Choice.of(codes),
            )
        for step in track["transitions"]:
            self._populations[step["from"]].steps.append(step)
        for population in self._populations.values():
            if population.steps:
                weights = [step["weight"] for step in population.steps]
                population.step = Choice(population.steps, list(accumulate(weights)))
        self._entries = Choice.of({each["name"]: each["entry_point"] for each in track["populations"]})

    def households(self) -> Iterator[tuple[list[Member], list[Spell]]]:
        """Without end."""
        while True:
            name = self._entries.draw(self._dice)
            template = self._populations[name].templates.draw(self._dice)
            yield self._members(self._templates[template]), list(self._spells(name))

    def survivor(self) -> tuple[bool, bool]:
        """Whether somebody is a survivor of violence, and whether they are fleeing now."""
        survivor = self._dice.random() < self._health["dv_survivor_probability"]
        return survivor, survivor and self._dice.random() < self._health["currently_fleeing_probability"]

    def _members(self, template: dict[str, Any]) -> list[Member]:
        head = template["hoh"]
        sex = int(self._dice.random() >= head.get("gender", {}).get("woman", 0.5))
        veteran = self._dice.random() < head.get("veteran_probability", 0)
        members = [Member(self._number(head["age"]), 1, sex, veteran)]
        for kind in template.get("members", ()):
            for _ in range(self._number(kind["count"])):
                child = self._number(kind["age"])
                members.append(Member(child, kind["relationship"], self._dice.randrange(2), False))
        return members

    def _spells(self, name: str) -> Iterator[Spell]:
        population = self._populations[name]
        came_from = population.came_from.draw(self._dice)
        entered = self._as_of - timedelta(days=self._dice.randrange(SPAN.days))
        while True:
            step = population.step.draw(self._dice) if population.step else None
            if step is None:
                yield self._spell(population.place, came_from, entered, None, None)
                return
            left = entered + timedelta(days=max(self._number(step["timing"]), 1))
            destination = int(Choice.of(step["exit_destinations"]).draw(self._dice))
            # Some steps of the published files still name destinations by their codes of FY2022.
            destination = LIVING_SITUATION_BEFORE_2024.get(destination, destination)
            leaves = self._dice.random() < population.leaves
            ended = left <= self._as_of
            yield self._spell(
                population.place, came_from, entered, left if ended else None, destination if ended else None
            )
            entered = left + timedelta(days=self._number(step["gap_before_entry"]))
            if leaves or not ended or entered > self._as_of:
                return
            population, came_from = self._populations[step["to"]], 116 if destination == 17 else destination
            if came_from not in PRIOR_LIVING_SITUATION:
                came_from = 99

    def _spell(
        self, place: Place, came_from: int, entered: date, exited: date | None, destination: int | None
    ) -> Spell:
        moved_in = None
        if place.type in {3, 9, 10, 13} and self._dice.random() < self._move_in["probability"]:
            moved_in = entered + timedelta(days=self._number(self._move_in["delay_days"]))
            if moved_in > min(self._as_of, exited or self._as_of):
                moved_in = None
        return Spell(place, came_from, entered, exited, destination, moved_in)

    def _number(self, said: dict[str, Any]) -> int:
        match said["distribution"]:
            case "normal":
                drawn = self._dice.gauss(said["mean"], said["stddev"])
            case "uniform":
                drawn = self._dice.randint(int(said["min"]), int(said["max"]))
            case "poisson":
                drawn = sum(self._dice.random() < said["lambda"] / 20 for _ in range(20))
            case other:
                raise ValueError(f"no distribution is named {other}")
        return int(min(max(drawn, said.get("min", 0)), said.get("max", 100_000)))


def _places(organizations: list[dict[str, Any]]) -> Iterator[Place]:
    number = 0
    for place, organization in enumerate(organizations, start=1):
        for project in organization["projects"]:
            number += 1
            yield Place(
                f"P{number}",
                f"O{place}",
                project["name"],
                project["project_type"],
                project.get("capacity", 0),
            )
