"""Take donors' promises, never more in all than a line wants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.chassis.ids import random_id
from services.logistics.application.ports import Made, NewPledge, Publication, Work
from services.logistics.domain import pledges
from services.logistics.domain.appeal import shares
from services.logistics.domain.ids import LineId, Packs, PledgeId
from services.logistics.domain.pledges import Admitted, Ask
from services.logistics.domain.refusal import Refusal, not_found, refused

EXPIRY = "pledges-expire"


async def admit_pledges(
    work: Work, line_id: LineId, asks: Sequence[Ask], patience: timedelta
) -> list[Admitted | Refusal]:
    """Answers in the order of `asks`, all of one line. A key that came before gets the pledge it made before.

    The line is locked first, so of two callers with one key one finds what the other made.
    """
    publication = await work.lines.publication(line_id)
    if publication is None:
        return [not_found() for _ in asks]
    made = dict(await work.pledges.made_with({ask.key_hash for ask in asks}))
    fresh = {ask.key_hash: ask for ask in asks if ask.key_hash not in made}
    made |= await _make(work, publication, list(fresh.values()), pledges.send_by(work.now, patience))
    return [_answer(ask, made.get(ask.key_hash), publication) for ask in asks]


async def _make(
    work: Work, publication: Publication, asks: Sequence[Ask], send_by: datetime
) -> dict[bytes, Made]:
    """Promises for those who get any pack; the others get none."""
    line, warehouse_id = publication.line, publication.warehouse_id
    if warehouse_id is None:
        return {}
    granted = shares(line.open, [ask.packs for ask in asks])
    news = []
    for ask, packs in zip(asks, granted, strict=True):
        if packs:
            pledge_id = PledgeId(random_id())
            secret_hash = pledges.hashed(ask.secret(pledge_id))
            news.append(
                NewPledge(
                    pledge_id,
                    line.line_id,
                    packs,
                    ask.packs,
                    send_by,
                    warehouse_id,
                    ask.key_hash,
                    secret_hash,
                )
            )
    if news:
        work.lines.pledge(line.line_id, Packs(sum(new.packs for new in news)))
        work.pledges.add(news)
        # One timer for all that end together: a crowd costs no more than one donor.
        await work.arm(EXPIRY, f"{line.line_id}/{send_by.isoformat()}", send_by)
    return {new.key_hash: Made(new.pledge_id, new.line_id, new.asked, new.packs, new.send_by) for new in news}


def _answer(ask: Ask, made: Made | None, publication: Publication) -> Admitted | Refusal:
    if made is None:
        if publication.warehouse_id is None:
            return refused("nowhere-to-send", "No warehouse takes parcels now; please look again later.")
        return publication.line.closed_to_pledges()
    if (made.line_id, made.asked) != (ask.line_id, ask.packs):
        return Refusal("conflict", "idempotency-key-reused", "This key was used for another pledge.")
    return Admitted(made.pledge_id, ask.secret(made.pledge_id), made.packs, made.send_by)
