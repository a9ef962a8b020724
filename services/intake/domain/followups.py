"""What a clock asks of a worker: follow-ups after a placement, and questions that must not lapse in silence."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from uuid import UUID

from services.intake.domain.ids import AgencyId, ArrivalCode, CaseId
from services.intake.domain.refusal import invalid

FOLLOW_UP_DAYS = (30, 90, 180)
# A placement that is heard of late (an import, a service that was away) still gets what fell due this long ago.
HEARD_LATE = timedelta(days=7)
# HUD 3.917, 4.12 and 3.12: where a household lives, or went.
HOMELESS = frozenset({101, 116, 118})
OUTSIDE = 116
_INSTITUTIONS = {204, 205, 206, 207, 215, 225}
_TEMPORARY = {302, 312, 313, 314, 327, 329, 332, 335, 336}
PERMANENT = frozenset({410, 411, 421, 422, 423, 426, 435})
_UNKNOWN = {8, 9, 17, 24, 30, 37, 99}
SITUATIONS = HOMELESS | _INSTITUTIONS | _TEMPORARY | PERMANENT | _UNKNOWN
# HUD 4.11: no, yes, doesn't know, prefers not to answer, not collected.
YES_NO = frozenset({0, 1, 8, 9, 99})
OLDEST_SITUATION = timedelta(days=366)
# A return to the street that lies back farther than this is history.
NEWS = timedelta(days=7)
# Whoever was found outside this long ago at most is outside tonight, whatever stay is known.
FOUND_LATELY = timedelta(days=1)


class TaskKind(Enum):
    FOLLOW_UP = "follow-up"
    ASK_AGAIN = "ask-again"
    """Whether somebody still looks for them."""
    ASK_FOR_BIRTH = "ask-for-birth"
    """A due date has passed and no birth is recorded."""
    RENEW_CONSENT = "renew-consent"
    """The consent to the search ends soon."""


class TaskOutcome(Enum):
    REACHED = "reached"
    NOT_REACHED = "not-reached"
    DECLINED = "declined"
    ANSWERED = "answered"
    OVERTAKEN = "overtaken"
    """By itself: what was asked is known by now."""


@dataclass(frozen=True, slots=True)
class Task:
    """Open until it is done, however late. `about`: for a follow-up "<first night>:<days>". `hub_code`: by which the
    hub knows a household in hiding that nobody is assigned to."""

    task_id: UUID
    case_id: CaseId
    agency_id: AgencyId
    kind: TaskKind
    about: str
    due_on: date
    asked: int
    raised_at: datetime
    done_at: datetime | None = None
    outcome: TaskOutcome | None = None
    code: int | None = None
    note: str = field(default="", repr=False)
    hub_code: ArrivalCode | None = None

    @property
    def days(self) -> int:
        """For a follow-up: how many days after the placement."""
        return int(self.about.partition(":")[2]) if self.kind is TaskKind.FOLLOW_UP else 0


def follow_ups_of(placed_on: date, today: date) -> list[tuple[str, date]]:
    """The follow-ups of a placement that are still of use, by their names, each with its day."""
    each = [(f"{placed_on}:{days}", placed_on + timedelta(days=days)) for days in FOLLOW_UP_DAYS]
    return [(about, day) for about, day in each if day >= today - HEARD_LATE]


def checked_situation(code: int, field_name: str = "living_situation") -> int:
    if code not in SITUATIONS:
        raise invalid("living-situation-unknown", "Not a code of HUD 3.917, 4.12 or 3.12.", field=field_name)
    return code


def leads_somewhere(latest: tuple[date, int] | None, night: date) -> bool:
    """Whether a worker said, about that time, where the household lives or went, and it is not the street."""
    if latest is None:
        return False
    on_date, code = latest
    known = code not in HOMELESS and code not in _UNKNOWN - {24}
    return known and on_date >= night - HEARD_LATE
