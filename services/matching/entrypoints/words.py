"""What the contract says, in the words of the domain."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import matching_pb2 as matching

from services.chassis.ids import parsed
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId
from services.matching.domain.needs import PLACE_KINDS, UNSERVED_KINDS, Kind, Need, Urgency
from services.matching.domain.offers import Unit
from services.matching.domain.refusal import invalid

KINDS = {
    common.NEED_KIND_LODGING: Kind.LODGING,
    common.NEED_KIND_FOOD: Kind.FOOD,
    common.NEED_KIND_GOODS: Kind.GOODS,
    common.NEED_KIND_HOUSING: Kind.HOUSING,
    common.NEED_KIND_SERVICES: Kind.SERVICES,
    common.NEED_KIND_JOB: Kind.JOB,
}
URGENCIES = {
    common.URGENCY_UNSPECIFIED: Urgency.SOON,
    common.URGENCY_TONIGHT: Urgency.TONIGHT,
    common.URGENCY_SOON: Urgency.SOON,
    common.URGENCY_PLANNED: Urgency.PLANNED,
}
UNITS = {
    matching.UNIT_BED: Unit.BED,
    matching.UNIT_ROOM: Unit.ROOM,
    matching.UNIT_PORTION: Unit.PORTION,
}
OUR_KINDS = {word: number for number, word in KINDS.items()}
OUR_UNITS = {word: number for number, word in UNITS.items()}
LONGEST_NEED_NIGHTS = 366


def uuid(text: str, field: str) -> UUID:
    """A UUID; the refusal names the field, never its value."""
    try:
        return parsed(text)
    except ValueError:
        raise invalid(f"{field}-invalid", f"The {field} is a UUID.") from None


def day(text: str, field: str) -> date:
    """An ISO date; the refusal names the field, never its value."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid(f"{field}-invalid", f"The {field} is an ISO date.") from None


def facts(message: common.Facts) -> Facts:
    if min(message.adults, message.children, message.infants) < 0:
        raise invalid("facts-invalid", "Persons are counted from 0.")
    return Facts(
        adults=message.adults,
        children=message.children,
        infants=message.infants,
        newborn_week=message.newborn_space_from_week,
        wheelchair=message.wheelchair,
        pets=message.pets,
        unsheltered=message.unsheltered,
        confidential=message.confidential,
        area=message.area,
        revision=message.revision,
        avoid=frozenset(str(uuid(each, "avoid")) for each in message.avoid),
        one_place=uuid(message.one_place.key, "one-place") if message.one_place.key else None,
        one_place_revision=message.one_place.revision,
    )


def need(case_id: CaseId, message: common.Need) -> Need:
    """Raises Refusal `need-kind-unknown`, `need-invalid`, `need-id-invalid` or `from-date-invalid`."""
    kind = KINDS.get(message.kind)
    if kind is None:
        raise invalid("need-kind-unknown", "This is no kind of need that is known here.")
    goods = kind is Kind.GOODS
    counted = message.quantity > 0 and bool(message.item_id)
    dated = 1 <= message.nights <= LONGEST_NEED_NIGHTS or kind in UNSERVED_KINDS
    if not (counted if goods else dated):
        raise invalid(
            "need-invalid", "Goods have an item and a quantity; places have a first night and nights."
        )
    return Need(
        need_id=NeedId(uuid(message.need_id, "need-id")),
        case_id=case_id,
        kind=kind,
        urgency=URGENCIES.get(message.urgency, Urgency.SOON),
        item_id=message.item_id if goods or kind is Kind.SERVICES else "",
        quantity=message.quantity if goods else 0,
        from_date=None if goods else day(message.from_date, "from-date"),
        nights=message.nights if kind in PLACE_KINDS else 0,
        size=message.size if goods else "",
        latest_date=day(message.latest_date, "latest-date") if message.latest_date else None,
        constraints=tuple(message.constraints),
    )
