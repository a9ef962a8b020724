"""A command happens once, however often it is sent: its answer is kept with its effect."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from google.protobuf.message import Message

from services.chassis import discretion, errors
from services.chassis.call import Call
from services.chassis.metrics import Metrics
from services.chassis.work import Work, WorkFactory

LONGEST_KEY = 200
PURGE = "idempotency-purge"
KEEP = timedelta(days=7)

W = TypeVar("W", bound=Work)

# What is foreign is as if absent, so MISSING may mean "no longer yours".
_FORBIDDEN = frozenset({errors.Kind.DENIED, errors.Kind.UNAUTHENTICATED, errors.Kind.MISSING})

_REMEMBER = """
INSERT INTO idempotency (principal, key, fingerprint, answer, created_at, subjects)
SELECT principal, key, fingerprint, answer, created_at, string_to_array(subjects, ',')::uuid[]
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::timestamptz[], $6::text[])
     AS new (principal, key, fingerprint, answer, created_at, subjects)
"""
_KNOWN = """
SELECT principal, key FROM idempotency JOIN unnest($1::text[], $2::text[]) AS came (principal, key)
USING (principal, key)
"""
# Rare, and over a week's commands: no index that each of them would pay for.
_FORGET = "UPDATE idempotency SET answer = '', fingerprint = '' WHERE subjects && $1::uuid[]"
_PURGE = """
DELETE FROM idempotency
WHERE created_at < $1 AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS prefix WHERE starts_with(key, prefix))
"""
_PURGE_THOSE = "DELETE FROM idempotency WHERE created_at < $1 AND starts_with(key, $2)"


@dataclass(frozen=True, slots=True)
class Command:
    """A request by the key its client made; the key is the client's own, so it is scoped to the principal.

    `fingerprint` tells two requests apart; it is kept, so where requests hold personal words it is keyed.
    """

    principal: str
    key: str
    fingerprint: bytes

    def __post_init__(self) -> None:
        if not self.key:
            raise errors.invalid("idempotency-key-missing", "A command needs a key that its client made.")
        if len(self.key) > LONGEST_KEY or not self.key.isprintable():
            raise errors.invalid(
                "idempotency-key-malformed", f"A key has at most {LONGEST_KEY} printable characters."
            )

    @property
    def which(self) -> tuple[str, str]:
        return self.principal, self.key

    @classmethod
    def of(cls, call: Call, request: Message, secret: bytes = b"", principal: str = "") -> Command:
        """What a door was asked. With a `secret`, nobody who reads the table can try names against it."""
        said = call.method.encode() + b"\0" + request.SerializeToString(deterministic=True)
        fingerprint = hmac.digest(secret, said, hashlib.sha256)
        return cls(principal or call.principal.subject, call.idempotency_key, fingerprint)


async def once(
    works: WorkFactory[W],
    command: Command,
    act: Callable[[W], Awaitable[bytes]],
    metrics: Metrics | None = None,
) -> bytes:
    """The answer of `act`, or the answer it gave when the same command came before.

    The command is acted on first and remembered in the same commit: if its key is taken, nothing was
    committed and the stored answer is the answer. So a new command, which is nearly every one, costs no
    extra round trip, and of two that come at the same time one waits for the other. A repeated command may
    also fail on what it did itself the first time; then, too, the stored answer is the answer, unless the
    caller is no longer allowed to have it.

    Raises AidError (conflict, "idempotency-key-reused") when the key was used for something else.
    """

    async def acted(work: W) -> bytes:
        answer = await act(work)
        remember(work, command, answer)
        return answer

    try:
        return await works.run(acted)
    except Exception as failure:
        shown = errors.of(failure)
        if shown is not None and shown.kind in _FORBIDDEN:
            raise
        answer = await _stored(works, command)
        if answer is None:
            raise
    if metrics is not None and not discretion.hushed():
        metrics.idempotent_answers_total.inc()
    return answer


def remember(work: Work, command: Command, answer: bytes) -> None:
    """Keep the answer with what the work does. Whoever acts on several commands in one work says so after each:
    what is collected in `work.subjects` is of the last one. If a key is taken, nothing of the work is committed."""
    subjects = ",".join(map(str, sorted(work.subjects)))
    work.collect(_REMEMBER, command.principal, command.key, command.fingerprint, answer, work.now, subjects)
    work.subjects = set()


async def known(work: Work, commands: Sequence[Command]) -> frozenset[tuple[str, str]]:
    """By principal and key: which of these came before. Whoever acts on many in one work leaves those out."""
    principals, keys = [each.principal for each in commands], [each.key for each in commands]
    return frozenset((row["principal"], row["key"]) for row in await work.peek(_KNOWN, principals, keys))


async def _stored(works: WorkFactory[W], command: Command) -> bytes | None:
    async with works.database.lend() as connection:
        row = await connection.fetchrow(
            "SELECT fingerprint, answer FROM idempotency WHERE principal = $1 AND key = $2",
            command.principal, command.key,
        )  # fmt: skip
    if row is None:
        return None
    if row["fingerprint"] != command.fingerprint:
        raise errors.conflict("idempotency-key-reused", "This key was used for another command.")
    answer: bytes = row["answer"]
    return answer


def forget(work: Work, subjects: Sequence[UUID]) -> None:
    """Forget what commands about these persons said and were answered.

    Their keys stay taken until they are purged: an entry that a phone sends again must not bring anybody back.
    It is refused as another command's key, because nothing is left of the command that it was.
    """
    work.write(_FORGET, list(subjects))


async def purge(work: Work, longer: Mapping[str, timedelta]) -> None:
    """Forget answers older than KEEP, domain time; those whose keys begin so only when they are as old as it says."""
    work.write(_PURGE, work.now - KEEP, list(longer))
    for prefix, kept_for in longer.items():
        work.write(_PURGE_THOSE, work.now - kept_for, prefix)
