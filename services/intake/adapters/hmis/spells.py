"""How a case reads as HMIS enrolments: who was with which project, from when to when, and where they went."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from services.intake.application.exports_ports import ExportedCase


@dataclass(frozen=True, slots=True)
class Spell:
    """One member's time with the agency. `housed`: in one of its beds. No `destination`: nothing was said."""

    member: int
    housed: bool
    entered: date
    exited: date | None = None
    destination: int | None = None


def spells_of(exported: ExportedCase) -> list[Spell]:
    """At least one of each member, the first of all on the day on which the case began."""
    members = range(len(exported.household.persons))
    began = exported.case.opened_at.date()
    over = list(_over(exported, len(members)))
    if exported.case.closed_at is None:
        return over + list(_open(exported, members, began, over))
    gone = {spell.member for spell in over}
    ended = max((spell.exited for spell in over if spell.exited), default=exported.case.closed_at.date())
    entered = min(began, ended)
    if not any(spell.entered == began for spell in over) and len(gone) == len(members):
        return [*over, Spell(0, False, entered, ended)]
    return over + [Spell(each, False, entered, ended) for each in members if each not in gone]


def _over(exported: ExportedCase, many: int) -> Iterator[Spell]:
    """Which of them left which time is not kept: each outcome takes the next ones in turn."""
    member = 0
    for left in exported.told.history.exits:
        for _ in range(min(left.persons, many)):
            yield Spell(member, False, left.entered_on, left.exited_on, left.destination)
            member = (member + 1) % many


def _open(exported: ExportedCase, members: range, began: date, over: list[Spell]) -> Iterator[Spell]:
    """In a bed since the stay began; without a stay, or before it, with the agency since the case began."""
    since = exported.told.stays_since
    told = any(spell.entered == began for spell in over)
    for member in members:
        if since is not None:
            yield Spell(member, True, max(since, began))
        if since is None or (since > began and not told):
            yield Spell(member, False, began)
