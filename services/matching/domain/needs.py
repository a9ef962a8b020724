"""What households need, how it stands, and who comes first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId, OfferId


class Kind(StrEnum):
    """What a need asks for. Homes, services and jobs are asked for, and matched to nothing yet."""

    LODGING = "lodging"
    FOOD = "food"
    GOODS = "goods"
    HOUSING = "housing"
    SERVICES = "services"
    JOB = "job"


# Held night by night; and those that no matcher here knows how to find.
PLACE_KINDS = frozenset({Kind.LODGING, Kind.FOOD})
UNSERVED_KINDS = frozenset({Kind.HOUSING, Kind.SERVICES, Kind.JOB})


class Urgency(StrEnum):
    """How soon a need must be met."""

    TONIGHT = "tonight"
    SOON = "soon"
    PLANNED = "planned"


class NeedState(StrEnum):
    """`waiting` until a place is held (`referred`) and taken (`placed`); goods wait until they are met."""

    WAITING = "waiting"
    REFERRED = "referred"
    PLACED = "placed"
    CLOSED = "closed"


class Reason(StrEnum):
    """Why nothing was found."""

    NO_ELIGIBLE_PLACE = "no-eligible-place"
    ALL_FULL = "all-full"
    NO_STOCK = "no-stock"


class WouldChange(StrEnum):
    """The single recorded fact that would have led to a place."""

    AREA = "area"
    FEWER_NIGHTS = "fewer-nights"
    PETS = "pets"


@dataclass(frozen=True, slots=True)
class Need:
    """One line of what a household needs, as intake reported it.

    Lodging and food: `from_date` and `nights` (days), and a `latest_date` on which they may begin, if it is not
    the first day only. Goods: `item_id`, `quantity` (pieces, those received already included) and `size`.
    `constraints` are the contract's words; those that no offer says anything about are kept and rule nothing.
    """

    need_id: NeedId
    case_id: CaseId
    kind: Kind
    urgency: Urgency
    item_id: str = ""
    quantity: int = 0
    from_date: date | None = None
    nights: int = 0
    size: str = ""
    latest_date: date | None = None
    constraints: tuple[str, ...] = ()


class Tier(IntEnum):
    """Who comes first; within a tier, who has waited longest."""

    NEWBORN_OUTSIDE = 1
    HIDING = 2
    CHILDREN = 3
    OUTSIDE = 4
    OTHERS = 5


@dataclass(frozen=True, slots=True, order=True)
class Priority:
    """The place in the queue: lower comes first. The last part only makes the order total."""

    tier: Tier
    waiting_since: datetime
    need_id: NeedId

    def parts(self, now: datetime) -> tuple[tuple[str, int], ...]:
        """The parts that decide, for people: the tier, then the whole days of waiting."""
        return (self.tier.name.lower().replace("_", "-"), int(self.tier)), (
            "days-waiting",
            (now - self.waiting_since).days,
        )


def tier(facts: Facts, today: date) -> Tier:
    """The tier that the recorded facts give on that day."""
    if facts.unsheltered and (facts.infants > 0 or facts.expects_newborn_by(today)):
        return Tier.NEWBORN_OUTSIDE
    if facts.confidential:
        return Tier.HIDING
    if facts.children + facts.infants > 0 or facts.expects_newborn_by(today):
        return Tier.CHILDREN
    return Tier.OUTSIDE if facts.unsheltered else Tier.OTHERS


@dataclass(frozen=True, slots=True)
class WaitingNeed:
    """A need for which a place is sought.

    `excluded` are offers that this household declined, or whose provider rejected it. `told` is what was last
    said about why nothing was found, so that it is said again only when it changes.
    """

    need: Need
    facts: Facts
    priority: Priority
    arrival_code: str = ""
    excluded: frozenset[OfferId] = frozenset()
    told: Unmatched | None = None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Why nothing was found, and the single fact that would change it, if one would."""

    reason: Reason
    would_change: WouldChange | None = None
