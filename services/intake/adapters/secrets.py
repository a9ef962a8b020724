"""The service's own secrets: made at its first start, sealed, the same ever after."""

import os
from dataclasses import dataclass, field

from services.chassis.database import Database
from services.chassis.keyring import Keyring

_FIND = "SELECT wrapped, sealed FROM keystore.secret WHERE name = $1"
# Of two processes that start at the same time the first one's secret stays.
_KEEP = """
INSERT INTO keystore.secret (name, wrapped, sealed, created_at) VALUES ($1, $2, $3, now())
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Secrets:
    """`arrival` is behind arrival codes, `digest` behind the digests of imported households, `one_place` behind
    what tells that two entries are one household."""

    arrival: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    one_place: bytes = field(repr=False)


async def secrets_of(database: Database, keyring: Keyring) -> Secrets:
    return Secrets(
        arrival=await _secret(database, keyring, "arrival-code"),
        digest=await _secret(database, keyring, "import-digest"),
        one_place=await _secret(database, keyring, "one-place"),
    )


async def _secret(database: Database, keyring: Keyring, name: str) -> bytes:
    context = f"secret:{name}"
    async with database.transaction() as connection:
        row = await connection.fetchrow(_FIND, name)
        if row is None:
            key, wrapped = await keyring.new_agency_key(context)
            await connection.execute(_KEEP, name, wrapped, key.seal(os.urandom(32), context))
            row = await connection.fetchrow(_FIND, name)
    if row is None:
        raise LookupError("a secret that was just kept is gone")
    return (await keyring.agency_key(context, row["wrapped"])).open(row["sealed"], context)
