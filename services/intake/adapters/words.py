"""The domain's words in the contract's, as they travel: the enumerations have the same names."""

from datetime import date

from aid.common.v1 import common_pb2 as common

from services.intake.domain.household import Facts, OnePlace
from services.intake.domain.needs import Need, NeedKind, Urgency

KIND = {word: common.NeedKind.Value(f"NEED_KIND_{word.name}") for word in NeedKind}
URGENCY = {word: common.Urgency.Value(f"URGENCY_{word.name}") for word in Urgency}


def need_message(need: Need) -> common.Need:
    return common.Need(
        need_id=str(need.need_id),
        kind=KIND[need.kind],
        item_id=need.item_id,
        quantity=need.quantity,
        from_date=iso(need.from_date),
        nights=need.nights,
        urgency=URGENCY[need.urgency],
        size=need.size,
        latest_date=iso(need.latest_date),
        constraints=need.constraints,
    )


def facts_message(facts: Facts) -> common.Facts:
    return common.Facts(
        adults=facts.adults,
        children=facts.children,
        infants=facts.infants,
        newborn_space_from_week=facts.newborn_space_from_week,
        wheelchair=facts.wheelchair,
        pets=facts.pets,
        unsheltered=facts.unsheltered,
        confidential=facts.confidential,
        area=facts.area,
        revision=facts.revision,
        avoid=sorted(facts.avoid),
        one_place=None if facts.one_place is None else _one_place(facts.one_place),
    )


def _one_place(one_place: OnePlace) -> common.OnePlace:
    return common.OnePlace(key=str(one_place.key or ""), revision=one_place.revision)


def iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()
