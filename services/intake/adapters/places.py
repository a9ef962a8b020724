"""Place requests in PostgreSQL. Their rows belong to nobody: one is found by its secret, its code or its id."""

import base64
import hashlib
import hmac
from datetime import datetime
from uuid import UUID

import asyncpg

from services.chassis.work import Work
from services.intake.adapters.secrets import Secrets
from services.intake.application.places_ports import PLACE_OVER, KnownPlace, PlaceNames
from services.intake.domain.events import CaseSnapshot
from services.intake.domain.household import Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId
from services.intake.domain.needs import Need, NeedKind, Urgency
from services.intake.domain.place_requests import PlaceRequest

_KNOWN = "SELECT fingerprint, arrival_code FROM place_request WHERE request_id = $1"
_KEEP = """
INSERT INTO place_request
    (request_id, token_hash, fingerprint, arrival_code, need_id, adults, children, infants, wheelchair, pets,
     area, from_date, nights)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (request_id) DO NOTHING RETURNING request_id
"""
_NAMED = "SELECT request_id, arrival_code FROM place_request WHERE token_hash = $1"
_BY_CODE = "SELECT request_id FROM place_request WHERE arrival_code = $1"
_FORGET = """
UPDATE place_request
SET token_hash = NULL, fingerprint = NULL, arrival_code = NULL, need_id = NULL, adults = NULL, children = NULL,
    infants = NULL, wheelchair = NULL, pets = NULL, area = NULL, from_date = NULL, nights = NULL
WHERE request_id = $1 AND token_hash IS NOT NULL RETURNING request_id
"""
# What was granted is promised by the timer that forgets the request, and stands nowhere else.
_REMEMBERED = "SELECT due_at FROM timer WHERE kind = $1 AND subject = $2"
_LESS = "UPDATE timer SET due_at = $3 WHERE kind = $1 AND subject = $2 AND payload = $4"
_DROP = "DELETE FROM place_request WHERE request_id = $1"
SNAPSHOT = "SELECT * FROM place_request WHERE request_id = $1"
KEYS = "SELECT request_id FROM place_request ORDER BY request_id"


class PostgresPlaces:
    def __init__(self, work: Work, secrets: Secrets) -> None:
        self._work = work
        self._secret = secrets.arrival

    def names(self, worker: str, key: str) -> PlaceNames:
        said = f"{len(worker)}:{worker}:{key}"
        return PlaceNames(
            request_id=CaseId(UUID(bytes=self._derived("place", said)[:16], version=4)),
            need_id=NeedId(UUID(bytes=self._derived("place need", said)[:16], version=4)),
            token=base64.urlsafe_b64encode(self._derived("place token", said)).decode().rstrip("="),
        )

    async def known(self, request_id: CaseId) -> KnownPlace | None:
        rows = await self._work.peek(_KNOWN, request_id)
        if not rows:
            return None
        code = rows[0]["arrival_code"]
        return KnownPlace(rows[0]["fingerprint"], None if code is None else ArrivalCode(code))

    async def keep(self, request: PlaceRequest, token: str, fingerprint: bytes) -> bool:
        need, facts = request.need, request.facts
        new = await self._work.connection.fetchval(
            _KEEP, request.request_id, _hash(token), fingerprint, request.arrival_code, need.need_id,
            facts.adults, facts.children, facts.infants, facts.wheelchair, facts.pets, facts.area,
            need.from_date, need.nights,
        )  # fmt: skip
        return new is not None

    async def by_token(self, token: str) -> tuple[CaseId, ArrivalCode] | None:
        rows = await self._work.peek(_NAMED, _hash(token))
        return (CaseId(rows[0]["request_id"]), ArrivalCode(rows[0]["arrival_code"])) if rows else None

    async def by_code(self, code: ArrivalCode) -> CaseId | None:
        rows = await self._work.peek(_BY_CODE, code)
        return CaseId(rows[0]["request_id"]) if rows else None

    async def remembered_until(self, request_id: CaseId) -> datetime | None:
        rows = await self._work.peek(_REMEMBERED, PLACE_OVER, str(request_id))
        return rows[0]["due_at"] if rows else None

    def remember_less(self, request_id: CaseId, until: datetime, asking: bytes) -> None:
        self._work.write(_LESS, PLACE_OVER, str(request_id), until, asking)

    async def forget(self, request_id: CaseId) -> bool:
        return await self._work.connection.fetchval(_FORGET, request_id) is not None

    def drop(self, request_id: CaseId) -> None:
        self._work.write(_DROP, request_id)

    def _derived(self, what: str, said: str) -> bytes:
        return hmac.digest(self._secret, f"{what}\0{said}".encode(), hashlib.sha256)


def place_snapshot(row: asyncpg.Record) -> CaseSnapshot:
    """The request as matching is told of it; of one that is over, only that it is."""
    over = row["token_hash"] is None
    facts = Facts(
        row["adults"] or 0, row["children"] or 0, row["infants"] or 0, "", bool(row["wheelchair"]),
        bool(row["pets"]), False, True, row["area"] or "", 1,
    )  # fmt: skip
    code = row["arrival_code"]
    return CaseSnapshot(
        case_id=CaseId(row["request_id"]),
        facts=facts,
        open_needs=() if over else (_need(row),),
        arrival_code=None if code is None else ArrivalCode(code),
        closed=over,
    )


def _need(row: asyncpg.Record) -> Need:
    return Need(
        need_id=NeedId(row["need_id"]),
        kind=NeedKind.LODGING,
        item_id="",
        quantity=0,
        from_date=row["from_date"],
        nights=row["nights"],
        urgency=Urgency.TONIGHT,
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
