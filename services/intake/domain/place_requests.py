"""A place for people who never enter: a victim service provider asks for one without saying for whom."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from services.intake.domain.agencies import AgencyType, Viewer
from services.intake.domain.household import MOST_PERSONS, Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.needs import MOST_NIGHTS, Need, NeedKind, NeedRequest, Urgency, need_of
from services.intake.domain.refusal import denied, invalid

_AREA = re.compile(r"[a-z][a-z0-9-]{1,39}")
SHORTEST_KEY = 16
FORGOTTEN_AFTER = timedelta(days=2)
# How long matching may still speak of a request that is over.
REMEMBERED_BY_MATCHING = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PlaceWanted:
    """The constraints of one placement; no `from_date`: from tonight."""

    adults: int
    children: int
    infants: int
    nights: int
    from_date: date | None
    wheelchair: bool
    pets: bool
    area: str


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """`request_id` is what matching knows as a case."""

    request_id: CaseId
    need: Need
    facts: Facts
    arrival_code: ArrivalCode


def may_request(viewer: Viewer) -> None:
    if viewer.agency is None:
        raise denied("agency-unknown", "The caller's agency is not registered here.")
    if viewer.agency.type is not AgencyType.VICTIM_SERVICE_PROVIDER:
        raise denied("not-a-victim-service-provider", "Other agencies open a case.")


def checked_key(key: str) -> None:
    """Who knows the key knows the request: it must not be guessed."""
    if len(key) < SHORTEST_KEY:
        raise invalid(
            "idempotency-key-too-short", f"A place request's key has {SHORTEST_KEY} characters or more."
        )


def facts_of(wanted: PlaceWanted) -> Facts:
    """What matching learns: a household in hiding, so that the place is arranged by the hub."""
    heads = (wanted.adults, wanted.children, wanted.infants)
    if min(heads) < 0 or not 1 <= sum(heads) <= MOST_PERSONS:
        raise invalid("head-count-impossible", f"A place is for 1 to {MOST_PERSONS} persons.", field="adults")
    if wanted.area and not _AREA.fullmatch(wanted.area):
        raise invalid("area-invalid", "An area is a word of letters, digits and hyphens.", field="area")
    return Facts(
        adults=wanted.adults,
        children=wanted.children,
        infants=wanted.infants,
        newborn_space_from_week="",
        wheelchair=wanted.wheelchair,
        pets=wanted.pets,
        unsheltered=False,
        confidential=True,
        area=wanted.area,
        revision=1,
    )


def lodging_of(wanted: PlaceWanted, need_id: NeedId, today: date) -> Need:
    request = NeedRequest(
        need_id=need_id,
        kind=NeedKind.LODGING,
        item_id="",
        quantity=0,
        from_date=wanted.from_date,
        nights=wanted.nights,
        urgency=Urgency.TONIGHT,
    )
    return need_of(request, need_id, today)


def last_night(need: Need, today: date) -> date:
    """Of those that were asked for."""
    return (need.from_date or today) + timedelta(days=need.nights - 1)


def forgotten_at(last_night: date, zone: tzinfo) -> datetime:
    """A day after the morning that follows the last night."""
    return datetime.combine(last_night + FORGOTTEN_AFTER, time(0), zone)


def remembered_for(more_until: date, remembered_until: datetime, today: date, zone: tzinfo) -> datetime:
    """Until when a request is remembered whose place is asked for until that night. Raises Refusal where no place is
    given for so long. Whether the night is later than the last one is known to matching alone."""
    if more_until < today:
        raise invalid("last-night-not-later", "An extension ends later than the stay.", field="last_night")
    known = remembered_until.astimezone(zone).date() - FORGOTTEN_AFTER
    if (more_until - max(known, today)).days > MOST_NIGHTS:
        raise invalid("nights-out-of-range", f"At most {MOST_NIGHTS} nights are added.", field="last_night")
    return max(remembered_until, forgotten_at(more_until, zone))
