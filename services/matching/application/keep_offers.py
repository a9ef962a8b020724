"""Make offers and their capacity known; what becomes free goes to who waits for it."""

from __future__ import annotations

from datetime import date, timedelta

from services.matching.application.ports import MatchingWork
from services.matching.application.views import Viewer
from services.matching.domain.ids import OfferId
from services.matching.domain.offers import MAX_NIGHTS, Offer, check_capacity
from services.matching.domain.refusal import invalid, missing, refused


async def put_offer(work: MatchingWork, viewer: Viewer, offer: Offer) -> None:
    """A new offer, or other terms for a known one. What is held or taken stays held and taken, also when the
    capacity is lowered below it: then nothing more is held until there is room.

    Raises Refusal: `not-found` when the offer is somebody else's, `offer-kind-changed`, `must-be-confidential`,
    and what `Offer.check` raises.
    """
    offer.check()
    if viewer.agency in work.terms.victim_service_providers and not offer.confidential:
        raise refused("must-be-confidential", "Every place of a victim service provider is confidential.")
    await work.places.lock()
    known = await work.offers.get(offer.offer_id)
    if known is not None:
        if not viewer.sees(known):
            raise missing()
        check_same_use(known, offer)
    work.offers.put(offer, work.now)
    if known is not None and known.capacity != offer.capacity:
        work.places.change_default(offer.offer_id, offer.capacity, work.today)
    work.agenda.free(offer.offer_id)


def check_same_use(known: Offer, offer: Offer) -> None:
    """Raise Refusal when held units would not be what they were, or people in hiding would be shown."""
    if (known.kind, known.unit) != (offer.kind, offer.unit):
        raise refused("offer-kind-changed", "Kind and unit of an offer stay; make another offer.")
    if known.confidential and not offer.confidential:
        raise refused("offer-was-confidential", "A confidential place stays one; make another offer.")


async def set_capacity(
    work: MatchingWork, viewer: Viewer, offer_id: OfferId, from_date: date, nights: int, capacity: int
) -> None:
    """Raises Refusal: `not-found`, `nights-out-of-range`, `capacity-out-of-range`."""
    check_capacity(capacity)
    if not 1 <= nights <= MAX_NIGHTS:
        raise invalid("nights-out-of-range", f"Capacity is set for 1 to {MAX_NIGHTS} nights.")
    await work.places.lock()
    offer = await work.offers.get(offer_id)
    if offer is None or not viewer.sees(offer):
        raise missing()
    work.places.set_capacity(offer_id, from_date, from_date + timedelta(days=nights), capacity)
    work.offers.confirm(offer_id, work.now)
    work.agenda.free(offer_id)
