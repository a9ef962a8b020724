"""Rows of the database as objects of the domain."""

from __future__ import annotations

from asyncpg import Record

from services.matching.application.views import StandingNeed
from services.matching.domain.household import Facts
from services.matching.domain.ids import CaseId, NeedId, OccupancyId, OfferId, ReferralId
from services.matching.domain.needs import (
    Kind,
    Need,
    NeedState,
    Priority,
    Reason,
    Tier,
    Unmatched,
    Urgency,
    WaitingNeed,
    WouldChange,
)
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.offers import Offer, Rules, Unit
from services.matching.domain.places import Place
from services.matching.domain.referrals import Referral, ReferralState

# The columns that `facts` reads, of `household AS h`.
FACTS_COLUMNS = """
    h.adults, h.children, h.infants, h.newborn_week, h.wheelchair, h.pets, h.unsheltered, h.confidential,
    h.area, h.revision, h.avoid, h.one_place, h.one_place_revision
"""
# The columns that `standing_need` reads, of `need AS n JOIN household AS h`.
NEED_COLUMNS = """
    n.need_id, n.case_id, n.kind, n.urgency, n.item_id, n.quantity, n.from_date, n.nights, n.size, n.latest_date,
    n.constraints, n.state, n.tier,
    n.waiting_since, n.reason, n.would_change, n.rests_until, n.excluded,
    h.adults, h.children, h.infants, h.newborn_week, h.wheelchair, h.pets, h.unsheltered, h.confidential,
    h.area, h.revision, h.arrival_code, h.avoid, h.one_place, h.one_place_revision
"""
# The columns that `offer` reads, of `offer AS o`.
OFFER_COLUMNS = """
    o.offer_id, o.agency, o.kind AS offer_kind, o.name, o.contact, o.area AS offer_area, o.unit, o.capacity,
    o.max_nights, o.max_persons, o.children AS takes_children, o.without_children,
    o.wheelchair AS takes_wheelchair, o.pets AS takes_pets, o.confidential AS offer_confidential
"""
# The columns that `referral` reads, of `referral AS r`.
REFERRAL_COLUMNS = """
    r.referral_id, r.case_id, r.need_id, r.offer_id, r.state, r.from_date, r.nights, r.units, r.head_count,
    r.place_handle, r.arrival_code, r.expires_at, r.client_said_yes, r.provider_said_yes, r.occupied,
    r.one_place, r.shares,
    (SELECT place.confidential FROM offer AS place WHERE place.offer_id = r.offer_id) AS hidden
"""


def facts(row: Record) -> Facts:
    return Facts(
        adults=row["adults"],
        children=row["children"],
        infants=row["infants"],
        newborn_week=row["newborn_week"],
        wheelchair=row["wheelchair"],
        pets=row["pets"],
        unsheltered=row["unsheltered"],
        confidential=row["confidential"],
        area=row["area"],
        revision=row["revision"],
        avoid=frozenset(row["avoid"]),
        one_place=row["one_place"],
        one_place_revision=row["one_place_revision"],
    )


def standing_need(row: Record) -> StandingNeed:
    need_id = NeedId(row["need_id"])
    need = Need(
        need_id=need_id,
        case_id=CaseId(row["case_id"]),
        kind=Kind(row["kind"]),
        urgency=Urgency(row["urgency"]),
        item_id=row["item_id"],
        quantity=row["quantity"],
        from_date=row["from_date"],
        nights=row["nights"],
        size=row["size"],
        latest_date=row["latest_date"],
        constraints=tuple(row["constraints"]),
    )
    waiting = WaitingNeed(
        need=need,
        facts=facts(row),
        priority=Priority(Tier(row["tier"]), row["waiting_since"], need_id),
        arrival_code=row["arrival_code"],
        excluded=frozenset(OfferId(each) for each in row["excluded"]),
        told=unmatched(row),
    )
    return StandingNeed(waiting, NeedState(row["state"]), row["rests_until"])


def unmatched(row: Record) -> Unmatched | None:
    if row["reason"] is None:
        return None
    would_change = row["would_change"]
    return Unmatched(Reason(row["reason"]), WouldChange(would_change) if would_change else None)


def offer(row: Record) -> Offer:
    return Offer(
        offer_id=OfferId(row["offer_id"]),
        agency=row["agency"],
        kind=Kind(row["offer_kind"]),
        name=row["name"],
        contact=row["contact"],
        area=row["offer_area"],
        unit=Unit(row["unit"]),
        capacity=row["capacity"],
        max_nights=row["max_nights"],
        rules=Rules(
            max_persons=row["max_persons"],
            children=row["takes_children"],
            without_children=row["without_children"],
            wheelchair=row["takes_wheelchair"],
            pets=row["takes_pets"],
        ),
        confidential=row["offer_confidential"],
    )


def place(row: Record) -> Place:
    """An offer (`OFFER_COLUMNS`) with `standing`, and the `nights` that are written down with what is `free` on them."""
    return Place(offer(row), row["standing"], dict(zip(row["nights"] or (), row["free"] or (), strict=True)))


def referral(row: Record) -> Referral:
    return Referral(
        referral_id=ReferralId(row["referral_id"]),
        case_id=CaseId(row["case_id"]),
        need_id=NeedId(row["need_id"]),
        offer_id=OfferId(row["offer_id"]),
        state=ReferralState(row["state"]),
        from_date=row["from_date"],
        nights=row["nights"],
        units=row["units"],
        head_count=row["head_count"],
        place_handle=row["place_handle"],
        arrival_code=row["arrival_code"],
        expires_at=row["expires_at"],
        client_said_yes=row["client_said_yes"],
        provider_said_yes=row["provider_said_yes"],
        occupied=row["occupied"],
        hidden=row["hidden"],
        one_place=row["one_place"],
        shares=None if row["shares"] is None else ReferralId(row["shares"]),
    )


def occupancy(row: Record) -> Occupancy:
    return Occupancy(
        occupancy_id=OccupancyId(row["occupancy_id"]),
        offer_id=OfferId(row["offer_id"]),
        case_id=CaseId(row["case_id"]),
        referral_id=None if row["referral_id"] is None else ReferralId(row["referral_id"]),
        units=row["units"],
        from_date=row["from_date"],
        until=row["until_date"],
        ended=row["ended"],
    )
