"""Which households are taken, whole, and which lines fall with those that are not."""

from dataclasses import dataclass

from . import files
from .register import VICTIM_SERVICE_PROVIDER
from .report import Tally
from .tables import Cause, Stay, Tables


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`taken` are the households in the order in which the export first names them."""

    taken: dict[str, list[Stay]]
    refused: int
    persons: int


def judge(tables: Tables, tally: Tally) -> Verdicts:
    """A household is the atomic unit: one refused line, and none of its lines is taken."""
    households: dict[str, list[Stay]] = {}
    for stay in tables.stays.rows.values():
        households.setdefault(stay.row.household, []).append(stay)
    taken = {key: stays for key, stays in households.items() if key not in tables.spoilt}
    for key, cause in tables.spoilt.items():
        for stay in households.get(key, ()):
            _refuse(stay, cause, tables, tally)
    persons = {stay.row.person_id for stays in taken.values() for stay in stays}
    _refuse_clients_left_over(tables, persons, tally)
    return Verdicts(taken, len(tables.spoilt), len(persons))


def _refuse(stay: Stay, cause: Cause, tables: Tables, tally: Tally) -> None:
    """Line by line, so that the report can be worked through in the source's own system."""
    whole = f"its household is refused whole for {cause.file}, line {cause.line} ({cause.reason})"
    lines = [
        (files.ENROLLMENT.name, stay.row.line),
        *((files.HEALTH_AND_DV.name, health.line) for health in stay.health),
        *((files.CURRENT_LIVING_SITUATION.name, living.line) for living in stay.living),
    ]
    if stay.exit is not None:
        lines.append((files.EXIT.name, stay.exit.line))
    for file, line in lines:
        tally.refuse_line(file, line, "household-refused", whole)
    tables.lost.setdefault(stay.row.person_id, "household-refused")


_WHY_LEFT_OVER = {
    VICTIM_SERVICE_PROVIDER: "it appears only with a victim service provider",
    "household-refused": "it appears only in refused households",
    "no-enrolment": "it appears in no household",
}


def _refuse_clients_left_over(tables: Tables, taken: set[str], tally: Tally) -> None:
    """A person enters with a household or not at all."""
    for person_id, client in tables.clients.rows.items():
        if person_id not in taken:
            reason = tables.lost.get(person_id, "no-enrolment")
            tally.refuse_line(files.CLIENT.name, client.line, reason, _WHY_LEFT_OVER[reason])
