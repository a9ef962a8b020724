"""Take over the offers of an export, and the places that are taken already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from services.chassis.ids import uuid7
from services.matching.application.keep_offers import check_same_use
from services.matching.application.ports import MatchingWork
from services.matching.application.release import leave
from services.matching.domain.events import OccupancyStarted
from services.matching.domain.ids import CaseId, OccupancyId, OfferId
from services.matching.domain.occupancies import Occupancy
from services.matching.domain.offers import Offer, Unit
from services.matching.domain.refusal import Refusal, invalid

MOST = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one row: created, unchanged, changed, or refused with a reason."""

    source_key: str
    outcome: str
    id: UUID | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TakenPlace:
    """A household that lives in a place of the export, which does not know until when."""

    source_key: str
    offer_source_key: str
    case_id: CaseId
    persons: int
    from_date: date


def check_size(source_id: str, rows: Sequence[object]) -> None:
    if not source_id or not 0 < len(rows) <= MOST:
        raise invalid("import-size", f"An import names its source and has 1 to {MOST} rows.")


async def import_offers(
    work: MatchingWork, source_id: str, offers: Sequence[tuple[str, Offer]]
) -> list[Outcome]:
    """Idempotent by (source, key): the same again changes nothing, other terms replace the old ones."""
    check_size(source_id, offers)
    await work.places.lock()
    known = dict(await work.offers.imported(source_id, [key for key, _ in offers]))
    outcomes = []
    for key, offer in offers:
        try:
            outcomes.append(await _import_offer(work, source_id, key, offer, known))
        except Refusal as refusal:
            outcomes.append(Outcome(key, "refused", reason=refusal.reason))
    return outcomes


async def _import_offer(
    work: MatchingWork, source_id: str, key: str, offer: Offer, known: dict[str, Offer]
) -> Outcome:
    if not key:
        raise invalid("source-key-missing", "A row of an export has a key.")
    offer.check()
    before = known.get(key)
    if before is not None:
        offer = replace(offer, offer_id=before.offer_id, agency=before.agency)
        if offer == before:
            return Outcome(key, "unchanged", offer.offer_id)
        check_same_use(before, offer)
        if before.capacity != offer.capacity:
            work.places.change_default(offer.offer_id, offer.capacity, work.today)
    else:
        offer = replace(offer, offer_id=OfferId(uuid7()), agency="")
    work.offers.put_imported(source_id, key, offer, work.now)
    work.agenda.free(offer.offer_id)
    known[key] = offer
    return Outcome(key, "changed" if before else "created", offer.offer_id)


async def import_occupancies(
    work: MatchingWork, source_id: str, as_of: date, rows: Sequence[TakenPlace]
) -> tuple[list[Outcome], int]:
    """Recorded even above capacity, which then blocks new holds. Also says how many units are above capacity
    on the night of `as_of`, over all offers.
    """
    check_size(source_id, rows)
    await work.places.lock()
    offers = await work.offers.imported(source_id, {row.offer_source_key for row in rows})
    known = dict(await work.occupancies.imported(source_id, [row.source_key for row in rows]))
    outcomes = []
    for row in rows:
        try:
            outcomes.append(await _import_occupancy(work, source_id, as_of, row, offers, known))
        except Refusal as refusal:
            outcomes.append(Outcome(row.source_key, "refused", reason=refusal.reason))
    work.occupancies.tell_again(source_id, [row.source_key for row in rows], as_of)
    await work.places.write_down([offer.offer_id for offer in offers.values()], as_of)
    return outcomes, await work.places.excess(as_of)


async def end_untold(work: MatchingWork, source_id: str, as_of: date) -> int:
    """Places that the source told of before, and not in its whole export of that day, have ended by then.

    What was told as of a later day stays: an older export does not take it back.
    """
    await work.places.lock()
    untold = await work.occupancies.untold(source_id, as_of)
    for occupancy in untold:
        work.concern(occupancy.case_id)
        leave(work, occupancy, max(occupancy.from_date, min(as_of, work.today)))
    return len(untold)


async def _import_occupancy(
    work: MatchingWork,
    source_id: str,
    as_of: date,
    row: TakenPlace,
    offers: Mapping[str, Offer],
    known: dict[str, Occupancy],
) -> Outcome:
    offer = offers.get(row.offer_source_key)
    if offer is None:
        raise invalid("offer-unknown", "The export has no such offer.")
    if not row.source_key or row.persons < 1 or row.from_date > as_of:
        raise invalid(
            "occupancy-malformed", "An occupancy has a key and persons, and began before the export."
        )
    units = 1 if offer.unit is Unit.ROOM else row.persons
    before = known.get(row.source_key)
    if before is None:
        occupancy = Occupancy(
            OccupancyId(uuid7()), offer.offer_id, row.case_id, None, units, row.from_date, until=None
        )
        work.occupancies.start(occupancy, (source_id, row.source_key))
        work.say(OccupancyStarted(row.case_id, None, None, row.from_date, None))
    else:
        occupancy = replace(before, offer_id=offer.offer_id, units=units, from_date=row.from_date)
        if occupancy == before or before.ended:
            return Outcome(row.source_key, "unchanged", before.occupancy_id)
        work.places.release_standing(before.offer_id, before.from_date, None, before.units)
        work.agenda.free(before.offer_id)
        work.occupancies.save(occupancy)
    work.places.take_over(occupancy.offer_id, min(occupancy.from_date, work.today), units)
    known[row.source_key] = occupancy
    return Outcome(row.source_key, "changed" if before else "created", occupancy.occupancy_id)
