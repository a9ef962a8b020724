"""What a household needs, line by line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum

from services.intake.domain.ids import NeedId
from services.intake.domain.refusal import invalid, refused

MOST_NEEDS = 50
MOST_NIGHTS = 90
MOST_PIECES = 2_000
MOST_CONSTRAINTS = 10
FARTHEST = timedelta(days=366)
_ITEM = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
# Clothes by letter, by height in cm (EN 13402-3, in steps of 6) or as toddlers' years; shoes as EU sizes. Nothing
# else: a size leaves intake, so no word of somebody's own may pass as one.
_SIZE = re.compile(
    r"x{0,2}s|m|x{0,3}l|[2-5]t|eu-(?:1[5-9]|[2-4][0-9]|50)"
    r"|5[06]|62|68|74|8[06]|92|98|104|11[06]|122|128|134|14[06]|152|158|164|17[06]|182|188"
)


class NeedKind(Enum):
    LODGING = "lodging"
    FOOD = "food"
    GOODS = "goods"
    HOUSING = "housing"
    SERVICES = "services"
    JOB = "job"


class Urgency(Enum):
    TONIGHT = "tonight"
    SOON = "soon"
    PLANNED = "planned"


SERVICES = frozenset(
    {
        *("benefits", "childcare", "counselling", "education", "health-care", "id-documents", "interpreting"),
        *("language-course", "legal-aid", "moving", "school-enrolment", "transport"),
    }
)
"""Which service a need of that kind may name. The words travel, so the list is closed."""

_HOME = (
    *("ground-floor", "lift", "near-hospital", "near-school", "near-transit", "near-work", "quiet"),
    *("smoke-free", "step-free-bath", "women-only"),
)
CONSTRAINTS: dict[NeedKind, tuple[str, ...]] = {
    NeedKind.LODGING: (*_HOME, "crib", "private-room"),
    NeedKind.FOOD: (
        *("gluten-free", "halal", "kosher", "lactose-free", "no-nuts", "ready-to-eat", "soft", "vegan"),
        "vegetarian",
    ),
    NeedKind.GOODS: ("fragrance-free", "latex-free", "new-only", "washable"),
    NeedKind.HOUSING: (*_HOME, "furnished", "garden"),
    NeedKind.SERVICES: ("child-may-come", "evenings", "female-staff", "interpreter", "online", "step-free"),
    NeedKind.JOB: (
        *("day-shift", "full-time", "near-school", "near-transit", "no-lifting", "online", "part-time"),
        *("seasonal", "seated", "training"),
    ),
}
"""What a need may have to be like, by kind: closed lists, because the words leave intake."""


@dataclass(frozen=True, slots=True)
class NeedRequest:
    """A need as an agency says it. No id: intake makes one. No date: from today."""

    need_id: NeedId | None
    kind: NeedKind
    item_id: str
    quantity: int
    from_date: date | None
    nights: int
    urgency: Urgency
    size: str = ""
    latest_date: date | None = None
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A recorded need.

    Goods: `item_id`, `quantity` (pieces in all, also those received already) and `size`. Lodging and food:
    `from_date` and `nights`. Services: `item_id` says which. All but goods have a first day, and everything may
    have a `latest_date`, after which it helps no more (lodging and food: on which they begin at the latest).
    `norm` names what it follows from and is empty when somebody reported it; it stays in intake.
    """

    need_id: NeedId
    kind: NeedKind
    item_id: str
    quantity: int
    from_date: date | None
    nights: int
    urgency: Urgency
    size: str = ""
    latest_date: date | None = None
    constraints: tuple[str, ...] = ()
    norm: str = ""


def need_of(request: NeedRequest, need_id: NeedId, today: date, where: str = "need") -> Need:
    """The need to record. A first night that has passed reads as tonight: nobody can sleep in the past."""
    constraints = _constraints(request, where)
    read = _goods if request.kind is NeedKind.GOODS else _dated
    need = read(request, need_id, today, where)
    latest = _latest(request, need.from_date or today, today, where)
    if latest is None and not constraints:
        return need
    return replace(need, latest_date=latest, constraints=constraints)


def changed_need(before: Need, request: NeedRequest, today: date) -> Need:
    """The need as it is to be now; what it asks for at all stays the same."""
    if before.norm:
        raise refused("need-derived", "It follows from a norm; overrule that instead.")
    if (request.kind, request.item_id) != (before.kind, before.item_id):
        raise refused(
            "need-of-another-kind", "Kind and item of a need stay; take it back and report another."
        )
    return need_of(request, before.need_id, today)


def _dated(request: NeedRequest, need_id: NeedId, today: date, where: str) -> Need:
    by_the_night = request.kind in (NeedKind.LODGING, NeedKind.FOOD)
    named = request.kind is NeedKind.SERVICES
    if request.quantity or request.size or (request.item_id and not named):
        raise invalid("need-fields-mixed", "Only goods have an item, a size and a quantity.", field=where)
    if named and request.item_id not in SERVICES:
        raise invalid(
            "service-unknown", "A service is one of the contract's words.", field=f"{where}.item_id"
        )
    if by_the_night and not 1 <= request.nights <= MOST_NIGHTS:
        raise invalid(
            "nights-out-of-range", f"1 to {MOST_NIGHTS} nights can be asked for.", field=f"{where}.nights"
        )
    if request.nights and not by_the_night:
        raise invalid("need-fields-mixed", "Only lodging and food are counted in nights.", field=where)
    first = max(request.from_date or today, today)
    if first > today + FARTHEST:
        raise invalid("date-too-far", "At most a year ahead can be asked for.", field=f"{where}.from_date")
    return Need(need_id, request.kind, request.item_id, 0, first, request.nights, request.urgency)


def _goods(request: NeedRequest, need_id: NeedId, today: date, where: str) -> Need:
    if request.nights or request.from_date is not None:
        raise invalid("need-fields-mixed", "Goods have no nights and no first day.", field=where)
    if len(request.item_id) > 64 or not _ITEM.fullmatch(request.item_id):
        raise invalid("item-malformed", "An item is lower-case words with dashes.", field=f"{where}.item_id")
    if not 1 <= request.quantity <= MOST_PIECES:
        raise invalid(
            "quantity-out-of-range", f"1 to {MOST_PIECES} pieces can be asked for.", field=f"{where}.quantity"
        )
    if request.size and not _SIZE.fullmatch(request.size):
        raise invalid("size-unknown", "This is no size that the contract knows.", field=f"{where}.size")
    return Need(
        need_id, request.kind, request.item_id, request.quantity, None, 0, request.urgency, request.size
    )


def _latest(request: NeedRequest, first: date, today: date, where: str) -> date | None:
    """One that has passed reads as the first day: the need is still there."""
    latest, field = request.latest_date, f"{where}.latest_date"
    if latest is None:
        return None
    if latest > today + FARTHEST:
        raise invalid("date-too-far", "At most a year ahead can be asked for.", field=field)
    if request.from_date is not None and latest < request.from_date:
        raise invalid("window-reversed", "The latest day lies before the first.", field=field)
    return max(latest, first)


def _constraints(request: NeedRequest, where: str) -> tuple[str, ...]:
    words: Sequence[str] = request.constraints
    known = CONSTRAINTS[request.kind]
    if len(words) > MOST_CONSTRAINTS:
        raise invalid(
            "too-many-constraints", f"At most {MOST_CONSTRAINTS} words fit.", field=f"{where}.constraints"
        )
    if not set(words) <= set(known):
        raise invalid(
            "constraint-unknown", "A constraint is a word of this kind's list.", field=f"{where}.constraints"
        )
    return tuple(sorted(set(words)))
