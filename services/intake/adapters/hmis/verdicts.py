"""Which households are taken, whole, and which lines fall with those that are not."""

from dataclasses import dataclass

from . import files
from .register import VICTIM_SERVICE_PROVIDER
from .report import Tally
from .store import Store
from .tables import HEALTH, LIVING

_SPOILT = "SELECT id, file, line, reason FROM household WHERE reason IS NOT NULL ORDER BY id"
_FALLEN = "SELECT id, client, line, exit_line FROM enrolment WHERE household = ? AND standing"
_HANGING = "SELECT kind, line FROM hanging WHERE enrolment = ? AND kind IN (?, ?)"
_LEFT_OVER = "SELECT line, lost FROM client WHERE standing AND NOT taken ORDER BY id"
_TAKEN = """
UPDATE client SET taken = 1
WHERE id IN (SELECT client FROM enrolment JOIN household ON household.id = household
             WHERE reason IS NULL AND standing)
"""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How many households are taken and refused, and how many persons are in those that are taken."""

    taken: int
    refused: int
    persons: int


def judge(store: Store, tally: Tally) -> Verdicts:
    """A household is the atomic unit: one refused line, and none of its lines is taken."""
    for household, file, line, reason in store.each(_SPOILT):
        _refuse(store, household, f"for {file}, line {line} ({reason})", tally)
    store.do(_TAKEN)
    for line, lost in store.each(_LEFT_OVER):
        reason = lost or "no-enrolment"
        tally.refuse_line(files.CLIENT.name, line, reason, _WHY_LEFT_OVER[reason])
    return Verdicts(
        _count(store, "household WHERE reason IS NULL"),
        _count(store, "household WHERE reason IS NOT NULL"),
        _count(store, "client WHERE taken"),
    )


def _refuse(store: Store, household: int, cause: str, tally: Tally) -> None:
    """Line by line, so that the report can be worked through in the source's own system."""
    whole = f"its household is refused whole {cause}"
    names = {HEALTH: files.HEALTH_AND_DV.name, LIVING: files.CURRENT_LIVING_SITUATION.name}
    for enrolment, client, line, exit_line in store.rows(_FALLEN, household):
        lines = [(files.ENROLLMENT.name, line)]
        lines += [(names[kind], at) for kind, at in store.rows(_HANGING, enrolment, HEALTH, LIVING)]
        if exit_line is not None:
            lines.append((files.EXIT.name, exit_line))
        for file, at in lines:
            tally.refuse_line(file, at, "household-refused", whole)
        store.do("UPDATE client SET lost = coalesce(lost, 'household-refused') WHERE id = ?", client)


def _count(store: Store, what: str) -> int:
    return int(store.one(f"SELECT count(*) FROM {what}")[0])


# A person enters with a household or not at all.
_WHY_LEFT_OVER = {
    VICTIM_SERVICE_PROVIDER: "it appears only with a victim service provider",
    "household-refused": "it appears only in refused households",
    "no-enrolment": "it appears in no household",
}
