"""The contract's words and the domain's, one to one; both doors, the topics and the clients use these."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.timestamp_pb2 import Timestamp

from services.intake.domain.agencies import AgencyType
from services.intake.domain.household import AgeBand, Facts
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.outcomes import Unmatched, WouldChange

K = TypeVar("K")
V = TypeVar("V")

KIND = {
    NeedKind.LODGING: common.NEED_KIND_LODGING,
    NeedKind.FOOD: common.NEED_KIND_FOOD,
    NeedKind.GOODS: common.NEED_KIND_GOODS,
}
URGENCY = {
    Urgency.TONIGHT: common.URGENCY_TONIGHT,
    Urgency.SOON: common.URGENCY_SOON,
    Urgency.PLANNED: common.URGENCY_PLANNED,
}
UNMATCHED = {
    Unmatched.NO_ELIGIBLE_PLACE: common.UNMATCHED_REASON_NO_ELIGIBLE_PLACE,
    Unmatched.ALL_FULL: common.UNMATCHED_REASON_ALL_FULL,
    Unmatched.NO_STOCK: common.UNMATCHED_REASON_NO_STOCK,
}
WOULD_CHANGE = {
    WouldChange.AREA: common.WOULD_CHANGE_AREA,
    WouldChange.FEWER_NIGHTS: common.WOULD_CHANGE_FEWER_NIGHTS,
    WouldChange.PETS: common.WOULD_CHANGE_PETS,
}
AGE_BAND = {
    AgeBand.INFANT: intake.AGE_BAND_INFANT,
    AgeBand.CHILD: intake.AGE_BAND_CHILD,
    AgeBand.ADULT: intake.AGE_BAND_ADULT,
}
AGENCY_TYPE = {
    AgencyType.SHELTER: intake.AGENCY_TYPE_SHELTER,
    AgencyType.OUTREACH: intake.AGENCY_TYPE_OUTREACH,
    AgencyType.POLICE: intake.AGENCY_TYPE_POLICE,
    AgencyType.VICTIM_SERVICE_PROVIDER: intake.AGENCY_TYPE_VICTIM_SERVICE_PROVIDER,
    AgencyType.HOSPITAL: intake.AGENCY_TYPE_HOSPITAL,
    AgencyType.FOOD_BANK: intake.AGENCY_TYPE_FOOD_BANK,
    AgencyType.HUB: intake.AGENCY_TYPE_HUB,
    AgencyType.IMPORTED: intake.AGENCY_TYPE_IMPORTED,
}


def reverse(words: Mapping[K, V]) -> dict[V, K]:
    return {theirs: ours for ours, theirs in words.items()}


OUR_UNMATCHED = reverse(UNMATCHED)
OUR_WOULD_CHANGE = reverse(WOULD_CHANGE)


def need_message(need: Need) -> common.Need:
    return common.Need(
        need_id=str(need.need_id),
        kind=KIND[need.kind],
        item_id=need.item_id,
        quantity=need.quantity,
        from_date=iso(need.from_date),
        nights=need.nights,
        urgency=URGENCY[need.urgency],
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
    )


def iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message
