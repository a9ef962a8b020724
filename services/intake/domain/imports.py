"""A household of another system's export: what an import says of it, and how two imports of it are
compared."""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from services.intake.domain.followups import HOMELESS, NEWS
from services.intake.domain.household import MOST_PERSONS, Household
from services.intake.domain.needs import Need, NeedKind, NeedRequest
from services.intake.domain.refusal import invalid

LONGEST_KEY = 200
# HUD 4.20.2 and 4.20.D.
_EVENTS = range(1, 19)
_RESULTS = range(1, 4)


class ImportOutcome(Enum):
    CREATED = "created"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ImportedExit:
    """Members who left a project on one day for one destination (HUD 3.12; 99: not collected)."""

    entered_on: date
    exited_on: date
    destination: int
    persons: int

    @property
    def to_the_street(self) -> bool:
        """Also to a shelter: they are homeless still."""
        return self.destination in HOMELESS


@dataclass(frozen=True, slots=True)
class ImportedReferral:
    """An event of coordinated entry (HUD 4.20.2) and its result (4.20.D), if one is known."""

    on: date
    event: int
    result: int | None
    result_on: date | None


@dataclass(frozen=True, slots=True)
class ImportedHistory:
    """What an export tells of a household's past. `situation` is where a worker last found that it sleeps
    (HUD 4.12), and when."""

    exits: tuple[ImportedExit, ...] = ()
    referrals: tuple[ImportedReferral, ...] = ()
    situation: tuple[date, int] | None = None


@dataclass(frozen=True, slots=True)
class ImportedHousehold:
    """`source_key` names it in its system for ever; `person_source_keys` are in the order of the persons.

    `content` is everything the export says of it, as bytes: equal bytes mean that nothing is new.
    """

    source_key: str = field(repr=False)
    agency_source_key: str
    household: Household
    needs: tuple[NeedRequest, ...]
    person_source_keys: tuple[str, ...] = field(repr=False)
    opened_on: date
    closed: bool
    content: bytes = field(repr=False)
    history: ImportedHistory = field(default=ImportedHistory(), repr=False)


def last_exit(row: ImportedHousehold) -> ImportedExit | None:
    """Where a household went that has left; None while it is there, or when nobody said."""
    exits = row.history.exits if row.closed else ()
    return max(exits, key=lambda left: (left.exited_on, left.to_the_street), default=None)


def returned(left: ImportedExit, today: date) -> bool:
    """Whether this exit means that they have nowhere to sleep now. What lies back is history."""
    return left.to_the_street and today - NEWS <= left.exited_on <= today


def checked_import(row: ImportedHousehold) -> ImportedHousehold:
    """The row, if it can be told apart from others and told again."""
    if not 1 <= len(row.source_key) <= LONGEST_KEY:
        raise invalid(
            "source-key-missing", "A household is named by a key of its source.", field="source_key"
        )
    if row.person_source_keys and len(row.person_source_keys) != len(row.household.persons):
        raise invalid("person-keys-mismatch", "Each person has one key.", field="person_source_keys")
    if len(set(row.person_source_keys)) < len(row.person_source_keys):
        raise invalid("person-twice", "A person is in a household once.", field="person_source_keys")
    _check_history(row.history)
    return row


def _check_history(history: ImportedHistory) -> None:
    for left in history.exits:
        if not 1 <= left.persons <= MOST_PERSONS or left.exited_on < left.entered_on:
            raise invalid(
                "exit-impossible",
                "Between one and all members leave, and not before they came.",
                field="exits",
            )
    if len({(left.exited_on, left.destination) for left in history.exits}) < len(history.exits):
        raise invalid("exit-twice", "Who left on one day for one destination left once.", field="exits")
    for made in history.referrals:
        if made.event not in _EVENTS or (made.result is not None and made.result not in _RESULTS):
            raise invalid("event-unknown", "Not a code of HUD 4.20.", field="referrals")


def mark(request: NeedRequest) -> bytes:
    """Tells whether an export asked for just this before: what was met or taken back is not reported anew."""
    said = f"{request.kind.value}|{request.item_id}|{request.quantity}|{request.from_date}|{request.nights}"
    return hashlib.sha256(said.encode()).digest()[:16]


def what(need: Need | NeedRequest) -> tuple[NeedKind, str]:
    """What it asks for. One open need for it is enough, whatever dates a later export gives."""
    return need.kind, need.item_id
