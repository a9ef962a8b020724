"""Between the messages of the door and the words of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aid.common.v1 import common_pb2 as common
from aid.matching.v1 import matching_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from services.matching.application.describe_arrival import Guest
from services.matching.application.import_capacity import Outcome, TakenPlace
from services.matching.application.terms import Shown
from services.matching.application.views import DeskEntry, Listed
from services.matching.domain.ids import CaseId, OfferId
from services.matching.domain.needs import Unmatched
from services.matching.domain.offers import Offer, Rules
from services.matching.domain.referrals import ReferralState
from services.matching.domain.refusal import invalid
from services.matching.entrypoints.words import KINDS, OUR_KINDS, OUR_UNITS, UNITS, day, uuid

_NOBODY = OfferId(uuid("00000000-0000-0000-0000-000000000000", "offer-id"))


def offer(message: pb.Offer, agency: str) -> Offer:
    return _offer(message, OfferId(uuid(message.offer_id, "offer-id")), agency)


def imported_offer(message: pb.ImportedOffer) -> tuple[str, Offer]:
    """Its id is made here; nobody's agency speaks for it yet."""
    return message.source_key, _offer(message.offer, _NOBODY, "")


def _offer(message: pb.Offer, offer_id: OfferId, agency: str) -> Offer:
    kind, unit = KINDS.get(message.kind), UNITS.get(message.unit)
    if kind is None or unit is None:
        raise invalid("offer-kind", "An offer has a kind and a unit.")
    rules = message.rules
    return Offer(
        offer_id=offer_id,
        agency=agency,
        kind=kind,
        name=message.name,
        contact=message.contact,
        area=message.area,
        unit=unit,
        capacity=message.capacity,
        max_nights=message.max_nights,
        rules=Rules(
            max_persons=rules.max_persons,
            children=rules.children,
            without_children=rules.without_children,
            wheelchair=rules.wheelchair,
            pets=rules.pets,
        ),
        confidential=message.confidential,
    )


def taken_place(message: pb.ImportedOccupancy) -> TakenPlace:
    return TakenPlace(
        source_key=message.source_key,
        offer_source_key=message.offer_source_key,
        case_id=CaseId(uuid(message.case_id, "case-id")),
        persons=message.persons,
        from_date=day(message.from_date, "from-date"),
    )


def referral_state(text: str) -> str:
    if text and text not in ReferralState.__members__.values():
        raise invalid("state-invalid", "A referral has one of six states.")
    return text


def offer_message(of: Offer) -> pb.Offer:
    rules = of.rules
    return pb.Offer(
        offer_id=str(of.offer_id),
        kind=OUR_KINDS[of.kind],
        name=of.name,
        contact=of.contact,
        area=of.area,
        unit=OUR_UNITS[of.unit],
        capacity=of.capacity,
        max_nights=of.max_nights,
        rules=pb.Rules(
            max_persons=rules.max_persons,
            children=rules.children,
            without_children=rules.without_children,
            wheelchair=rules.wheelchair,
            pets=rules.pets,
        ),
        confidential=of.confidential,
    )


def listed_message(listed: Listed) -> pb.OfferView:
    return pb.OfferView(
        offer=offer_message(listed.offer),
        nights=[
            pb.OfferNight(night=each.night.isoformat(), capacity=each.capacity, taken=each.taken)
            for each in listed.nights
        ],
        capacity_set_at=timestamp(listed.capacity_set_at),
    )


def referral_message(shown: Shown) -> pb.ReferralView:
    referral = shown.referral
    return pb.ReferralView(
        referral_id=str(referral.referral_id),
        state=referral.state,
        place=shown.place,
        contact=shown.contact,
        from_date=referral.from_date.isoformat(),
        nights=referral.nights,
        expires_at=timestamp(referral.expires_at),
        head_count=referral.head_count,
        arrival_code=referral.arrival_code,
        units=referral.units,
    )


def named_place(place: Offer) -> pb.NamedPlace:
    return pb.NamedPlace(
        offer_id=str(place.offer_id), provider_id=place.agency, name=place.name, area=place.area
    )


def guest(expected: Guest) -> pb.Guest:
    return pb.Guest(
        given_name=expected.given_name, family_name=expected.family_name, age_band=expected.age_band
    )


def desk_message(entry: DeskEntry) -> pb.HubDeskEntry:
    return pb.HubDeskEntry(
        arrival_code=entry.arrival_code,
        head_count=entry.head_count,
        referral=None if entry.referral is None else referral_message(entry.referral),
        none=None if entry.none is None else unmatched(entry.none),
        from_date=entry.from_date.isoformat(),
        nights=entry.nights,
    )


def unmatched(found: Unmatched) -> pb.Unmatched:
    change = found.would_change
    return pb.Unmatched(
        # The contract has the domain's words, by name.
        reason=common.UnmatchedReason.Value(f"UNMATCHED_REASON_{found.reason.name}"),
        would_change=common.WouldChange.Value(f"WOULD_CHANGE_{change.name if change else 'UNSPECIFIED'}"),
    )


def timestamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def results(outcomes: Sequence[Outcome]) -> list[pb.ImportResult]:
    return [
        pb.ImportResult(
            source_key=each.source_key,
            id="" if each.id is None else str(each.id),
            outcome=each.outcome,
            reason=each.reason,
        )
        for each in outcomes
    ]
