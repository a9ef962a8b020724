"""The contract's words and the domain's, one to one: the enumerations have the same names."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.timestamp_pb2 import Timestamp

from services.intake.domain.agencies import AgencyType
from services.intake.domain.household import AgeBand
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.outcomes import Unmatched, WouldChange

K = TypeVar("K")
V = TypeVar("V")

KIND = {word: common.NeedKind.Value(f"NEED_KIND_{word.name}") for word in NeedKind}
URGENCY = {word: common.Urgency.Value(f"URGENCY_{word.name}") for word in Urgency}
UNMATCHED = {word: common.UnmatchedReason.Value(f"UNMATCHED_REASON_{word.name}") for word in Unmatched}
WOULD_CHANGE = {word: common.WouldChange.Value(f"WOULD_CHANGE_{word.name}") for word in WouldChange}
AGE_BAND = {word: intake.AgeBand.Value(f"AGE_BAND_{word.name}") for word in AgeBand}
AGENCY_TYPE = {word: intake.AgencyType.Value(f"AGENCY_TYPE_{word.name}") for word in AgencyType}


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
        size=need.size,
        latest_date=iso(need.latest_date),
        constraints=need.constraints,
    )


def iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message
