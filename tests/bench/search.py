"""An agency with 100,000 persons: how long until its search is warm, how long one search takes, and who is found.

The persons are made up and written through the vault, sealed each with a key of their own. A search is measured at the
method that both doors call: it reads what changed, looks up the names, opens who is shown, and logs the reading.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psutil
import uvloop
from aid.intake.v1 import search_pb2 as messages
from rich.console import Console
from rich.table import Table

from services.chassis.call import Principal
from services.chassis.ids import uuid7
from services.intake.application.household_changed import known_persons
from services.intake.application.ports import IntakeWork, KnownHousehold, NewCase
from services.intake.domain.household import Household, Person, facts_of
from services.intake.domain.ids import AgencyId, CaseId, HouseholdId, WorkerName
from services.intake.domain.search import words_of
from tests.support.intake import AGENCIES, NOON, OUTREACH, Intake, opened_intake
from tests.support.names import Asked, People, Slips
from tests.support.stack import RunningStack, running, temporary_state

WARM_S, P99_MS, RECALL, PRECISION = 15.0, 50.0, 0.95, 0.9
BATCH = 100
FOR_ONE_WORKER = 50  # searches; a worker's pace has a limit
STRANGERS = "nobody of the agency"


@dataclass(slots=True)
class Found:
    """What came back for the questions of one kind."""

    asked: int = 0
    right: int = 0
    shown: int = 0
    shown_right: int = 0

    @property
    def recall(self) -> float:
        return self.right / self.asked

    @property
    def precision(self) -> float:
        return self.shown_right / self.shown if self.shown else 1.0


@dataclass(slots=True)
class Figures:
    """Seconds and bytes, and what was found, by kind of question."""

    persons: int = 0
    written_s: float = 0.0
    warm_s: float = 0.0
    warm_cpu_s: float = 0.0
    bytes: int = 0
    searches_cpu_s: float = 0.0
    searches: list[float] = field(default_factory=list)
    found: defaultdict[str, Found] = field(default_factory=lambda: defaultdict(Found))

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.searches, n=100)[98] * 1000

    def total(self) -> Found:
        """All that is asked for somebody of the agency or for nobody; who is nobody cannot be found."""
        whole = Found()
        for kind, each in self.found.items():
            whole.asked += 0 if kind == STRANGERS else each.asked
            whole.right += each.right
            whole.shown += each.shown
            whole.shown_right += each.shown_right
        return whole

    def good(self) -> bool:
        total = self.total()
        enough = total.recall >= RECALL and total.precision >= PRECISION
        return enough and self.warm_s < WARM_S and self.p99_ms < P99_MS


async def write_down(intake: Intake, households: Iterable[Household]) -> int:
    """Cases of one agency, so many in each unit of work; the number of their persons."""
    rest = iter(households)
    written = 0
    while batch := list(islice(rest, BATCH)):

        async def act(work: IntakeWork, batch: list[Household] = batch) -> None:
            await work.one_places.look(batch)
            for household in batch:
                await work.cases.open(_case(household))

        await intake.application.works.run(act)
        written += sum(len(each.persons) for each in batch)
    return written


def _case(household: Household) -> NewCase:
    facts = facts_of(household, NOON.date(), revision=1)
    return NewCase(
        case_id=CaseId(uuid7()),
        household_id=HouseholdId(uuid7()),
        agency_id=AgencyId(uuid.UUID(AGENCIES["outreach"])),
        opened_by=WorkerName("outreach"),
        opened_at=NOON,
        known=KnownHousehold(household, known_persons(household), facts),
        arrival_code=None,
        needs=(),
        assigned=False,
    )


async def find(intake: Intake, asked: Asked, worker: Principal = OUTREACH) -> list[messages.FoundPerson]:
    born = "" if asked.birth_date is None else asked.birth_date.isoformat()
    request = messages.FindPersonsRequest(name=asked.name, birth_date=born)
    return list((await intake.ask("FindPersons", request, worker)).persons)


def judge(found: Found, asked: Asked, shown: list[messages.FoundPerson]) -> None:
    """Right is whoever is called as the one who was meant, in whatever way that is spelt; the one is among them."""
    found.asked += 1
    found.shown += len(shown)
    if asked.meant is None:
        return
    right = [each for each in shown if _is_called(each, asked.meant)]
    found.shown_right += len(right)
    year = asked.meant.birth_date.year if asked.meant.birth_date else 0
    found.right += any(each.birth_year == year for each in right)


def _is_called(shown: messages.FoundPerson, meant: Person) -> bool:
    return words_of(f"{shown.given_name} {shown.family_name}") == words_of(
        f"{meant.given_name} {meant.family_name}"
    )


def questions(persons: list[Person], others: list[Person], count: int) -> Iterator[Asked]:
    """Of every kind as many, in an order that mixes them."""
    chosen, slips = random.Random(7), Slips(11)
    asked = [each for person in chosen.sample(persons, count) for each in slips.asked(person)]
    known = Counter(words_of(f"{each.given_name} {each.family_name}") for each in persons)
    for person in others:
        name = f"{person.given_name} {person.family_name}"
        if words_of(name) not in known:
            asked.append(Asked(STRANGERS, name, person.birth_date, None))
    chosen.shuffle(asked)
    yield from asked


async def measure(stack: RunningStack, folder: Path, persons: int, count: int, console: Console) -> Figures:
    figures = Figures()
    people = People(seed=3)
    households = list(people.households(persons))
    async with opened_intake(stack, folder) as intake:
        begin = time.perf_counter()
        figures.persons = await write_down(intake, households)
        figures.written_s = time.perf_counter() - begin
        rate = figures.persons / figures.written_s
        console.print(
            f"{figures.persons:,} persons written through the vault in {figures.written_s:.0f} s ({rate:,.0f}/s)"
        )
        known = [person for household in households for person in household.persons]
        asked = list(questions(known, strangers(count), count))
        gc.collect()
        before = psutil.Process().memory_info().rss
        begin, cpu = time.perf_counter(), time.process_time()
        await find(intake, asked[0])
        figures.warm_s, figures.warm_cpu_s = time.perf_counter() - begin, time.process_time() - cpu
        gc.collect()
        figures.bytes = psutil.Process().memory_info().rss - before
        cpu = time.process_time()
        for n, each in enumerate(asked):
            worker = Principal(f"worker-{n // FOR_ONE_WORKER}", OUTREACH.agency, OUTREACH.roles)
            begin = time.perf_counter()
            shown = await find(intake, each, worker)
            figures.searches.append(time.perf_counter() - begin)
            judge(figures.found[each.kind], each, shown)
        figures.searches_cpu_s = time.process_time() - cpu
    show(figures, console)
    return figures


def strangers(count: int) -> list[Person]:
    """People of another town, whose names are made in the same way."""
    return [each for household in People(seed=5).households(count) for each in household.persons]


def show(figures: Figures, console: Console) -> None:
    """The processor's time beside the clock's: on a machine that others use, too, only the first is ours."""
    console.print(
        f"warm-up {figures.warm_s:.1f} s (goal < {WARM_S:.0f} s; {figures.warm_cpu_s:.1f} s of this process), "
        f"{figures.bytes / 2**20:.0f} MiB more in memory"
    )
    p50 = statistics.median(figures.searches) * 1000
    own = figures.searches_cpu_s / len(figures.searches) * 1000
    console.print(
        f"{len(figures.searches):,} searches: p50 {p50:.1f} ms, p99 {figures.p99_ms:.1f} ms "
        f"(goal < {P99_MS:.0f} ms; {own:.1f} ms each of this process); load of the machine {os.getloadavg()[0]:.1f}"
    )
    table = Table(title="who is found")
    for heading in ("asked with", "asked", "recall", "precision", "shown"):
        table.add_column(heading, justify="left" if heading == "asked with" else "right")
    for kind, each in sorted(figures.found.items()):
        recall = "" if kind == STRANGERS else f"{each.recall:.3f}"
        precision = "" if kind == STRANGERS else f"{each.precision:.3f}"
        table.add_row(kind, str(each.asked), recall, precision, f"{each.shown / each.asked:.2f} each")
    total = figures.total()
    table.add_row(
        f"all (goals >= {RECALL}, >= {PRECISION})",
        str(total.asked),
        f"{total.recall:.3f}",
        f"{total.precision:.3f}",
        "",
    )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=300, help="questions of each kind")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=110)
    with (
        temporary_state() as state,
        tempfile.TemporaryDirectory() as folder,
        running(state, "--only", "postgres") as stack,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measure(stack, Path(folder), arguments.persons, arguments.count, console))
    sys.exit(not figures.good())


if __name__ == "__main__":
    main()
