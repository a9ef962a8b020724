"""Judge a run: everything that is wrong with what the network left behind, given what its clients know."""

from __future__ import annotations

from tests.support.chaos import check_commands, check_goods, check_idle, check_log, check_places
from tests.support.chaos.evidence import Evidence
from tests.support.chaos.violations import Check, Violation
from tests.support.history import History

CHECKS: tuple[Check, ...] = (
    *check_log.CHECKS,
    *check_commands.CHECKS,
    *check_places.CHECKS,
    *check_goods.CHECKS,
    *check_idle.CHECKS,
)


def check(history: History, evidence: Evidence) -> list[Violation]:
    """Empty when all is well."""
    return [violation for judge in CHECKS for violation in judge(history, evidence)]
