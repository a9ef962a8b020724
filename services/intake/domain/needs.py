"""What a household needs, line by line."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from services.intake.domain.ids import NeedId
from services.intake.domain.refusal import invalid

MOST_NEEDS = 50
MOST_NIGHTS = 90
MOST_PIECES = 2_000
FARTHEST = timedelta(days=366)
_ITEM = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class NeedKind(Enum):
    LODGING = "lodging"
    FOOD = "food"
    GOODS = "goods"


class Urgency(Enum):
    TONIGHT = "tonight"
    SOON = "soon"
    PLANNED = "planned"


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


@dataclass(frozen=True, slots=True)
class Need:
    """A recorded need: `item_id` and `quantity` for goods, `from_date` and `nights` for lodging and food."""

    need_id: NeedId
    kind: NeedKind
    item_id: str
    quantity: int
    from_date: date | None
    nights: int
    urgency: Urgency


def need_of(request: NeedRequest, need_id: NeedId, today: date, where: str = "need") -> Need:
    """The need to record. A first night that has passed reads as tonight: nobody can sleep in the past."""
    if request.kind is NeedKind.GOODS:
        return _goods(request, need_id, where)
    if request.item_id or request.quantity:
        raise invalid("need-fields-mixed", "Only goods have an item and a quantity.", field=where)
    if not 1 <= request.nights <= MOST_NIGHTS:
        raise invalid(
            "nights-out-of-range", f"1 to {MOST_NIGHTS} nights can be asked for.", field=f"{where}.nights"
        )
    first = max(request.from_date or today, today)
    if first > today + FARTHEST:
        raise invalid("date-too-far", "At most a year ahead can be asked for.", field=f"{where}.from_date")
    return Need(need_id, request.kind, "", 0, first, request.nights, request.urgency)


def _goods(request: NeedRequest, need_id: NeedId, where: str) -> Need:
    if request.nights or request.from_date is not None:
        raise invalid("need-fields-mixed", "Goods have no nights and no first day.", field=where)
    if len(request.item_id) > 64 or not _ITEM.fullmatch(request.item_id):
        raise invalid("item-malformed", "An item is lower-case words with dashes.", field=f"{where}.item_id")
    if not 1 <= request.quantity <= MOST_PIECES:
        raise invalid(
            "quantity-out-of-range", f"1 to {MOST_PIECES} pieces can be asked for.", field=f"{where}.quantity"
        )
    return Need(need_id, request.kind, request.item_id, request.quantity, None, 0, request.urgency)
