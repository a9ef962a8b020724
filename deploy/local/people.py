"""Make the ready-made agencies and users known to intake, so that whoever holds one's token can work at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx

from deploy.local.errors import StackError
from deploy.local.identity import Issuer
from deploy.local.paths import write_private
from deploy.local.users import Users

PATIENCE = 20.0  # seconds for one call


def registrations(users: Users) -> Iterator[tuple[str, dict[str, str]]]:
    """Path and body of each call at intake's HTTP door, in the order in which they are made."""
    for agency in users.agencies.values():
        kind = f"AGENCY_TYPE_{agency.type.upper()}"
        yield "/v1/agencies", {"agencyId": agency.id, "name": agency.name, "type": kind}
    for user in users.users.values():
        yield "/v1/workers", {"worker": user.subject, "agencyId": user.agency}


async def register(intake: str, issuer: Issuer, users: Users, said: Path) -> str:
    """Through the public door at that address, as the operator; in words, who is known now.

    What was said to this stack's intake is kept in the file `said` and not said again, or a worker whom an operator has
    moved since would be moved back. The key of each command is made of what it says: where the file is lacking,
    intake recognises the command for as long as it remembers it.
    """
    before = _before(said)
    commands = {_key(path, body): (path, body) for path, body in registrations(users)}
    headers = {"Authorization": f"Bearer {issuer.token('operator')}"}
    async with httpx.AsyncClient(
        base_url=intake, headers=headers, timeout=PATIENCE, trust_env=False
    ) as client:
        for key, (path, body) in commands.items():
            if key not in before:
                await _say(client, path, body, key)
    write_private(said, "\n".join(commands).encode())
    return f"{len(users.agencies)} agencies and {len(users.users)} users of users.yaml are known to intake"


async def _say(client: httpx.AsyncClient, path: str, body: dict[str, str], key: str) -> None:
    try:
        answer = await client.post(path, json=body, headers={"Idempotency-Key": f"ready-made-{key}"})
    except httpx.TransportError as error:
        raise StackError(f"{_cannot(body)}: intake does not answer: {error!r}") from error
    if answer.is_error:
        raise StackError(f"{_cannot(body)}: intake answers {answer.status_code}: {answer.text.strip()}")


def _before(said: Path) -> set[str]:
    return set(said.read_text().split()) if said.exists() else set()


def _key(path: str, body: dict[str, str]) -> str:
    return hashlib.sha256(f"{path} {json.dumps(body)}".encode()).hexdigest()[:32]


def _cannot(body: dict[str, str]) -> str:
    return f"{body.get('name') or body.get('worker')} of users.yaml cannot be registered"
