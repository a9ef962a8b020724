"""Backups of the stack's databases, and their way back.

The vault and the keys that open it are never in one file. A vault backup holds every database without the schema
`keystore`, and may be kept as long as anybody likes: of whoever was erased since it holds nothing that a key still
opens. A backup of the key store is for the day when a disk dies; it is kept apart and deleted after some days, and
with it the last copy of the keys of whoever was erased meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.local.artifacts import postgres_programs
from deploy.local.errors import StackError
from deploy.local.postgres import SUPERUSER, Cluster

KEEP_KEYS = timedelta(days=3)
KEYSTORE = "keystore"
WITHOUT_KEYS = (f"--exclude-schema={KEYSTORE}",)
KEYS_ALONE = (f"--schema={KEYSTORE}",)
# What a command said can be tried against its fingerprint, and nobody sends it again to a restored database of
# last week: the rows of this table are in no backup.
NOT_KEPT = ("--exclude-table-data=public.idempotency",)
_STAMP = "%Y%m%dT%H%M%SZ"
_VAULTS, _KEYS, _MANIFEST = "vault", "keys", "manifest.json"
_APPLIED = "SELECT count(*) FROM migration"

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a vault backup holds: by database, how many migrations it had seen."""

    taken_at: str
    migrations: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        file = folder / _MANIFEST
        if not file.exists():
            raise StackError(f"{folder} is no backup: it has no {_MANIFEST}")
        return cls(**json.loads(file.read_text()))


async def backup(
    databases: Sequence[tuple[Cluster, str]], into: Path, now: datetime, keep_keys: timedelta, say: Say
) -> Path:
    """One database of each cluster into one new folder, the key store into another place; the folder.

    Old backups of the key store are deleted first, also when this then fails.
    """
    for gone in expire(into, now - keep_keys):
        say(f"deleted {gone.name}: it was older than {keep_keys.days} days")
    folder = _private(into / _VAULTS) / now.astimezone(UTC).strftime(_STAMP)
    _private(folder)
    migrations = {}
    for cluster, database in databases:
        migrations[cluster.service] = await _backup(cluster, database, folder, into, say)
    (folder / _MANIFEST).write_text(json.dumps(asdict(Manifest(now.isoformat(), migrations))))
    return folder


def expire(into: Path, before: datetime) -> list[Path]:
    """Delete the backups of the key store that were made earlier; which."""
    old = [file for file in sorted((into / _KEYS).glob("*.dump")) if _taken(file) < before]
    for file in old:
        file.unlink()
    return old


async def _backup(cluster: Cluster, database: str, folder: Path, into: Path, say: Say) -> int:
    """Vault and keys of one moment."""
    target = folder / f"{cluster.service}.dump"
    async with _moment(cluster, database) as (snapshot, migrations, has_keys):
        without = WITHOUT_KEYS if has_keys else ()
        dump(cluster, database, target, (*without, *NOT_KEPT, f"--snapshot={snapshot}"))
        say(f"{target.relative_to(into)}  {target.stat().st_size:,} bytes")
        if has_keys:
            keys = _private(into / _KEYS) / f"{folder.name}.dump"
            dump(cluster, database, keys, (*KEYS_ALONE, f"--snapshot={snapshot}"))
            say(f"{keys.relative_to(into)}  {keys.stat().st_size:,} bytes, deleted after some days")
    if has_keys:
        await _sweep(cluster, database)
    return migrations


@asynccontextmanager
async def _moment(cluster: Cluster, database: str) -> AsyncIterator[tuple[str, int, bool]]:
    """A snapshot that several dumps can share, the migrations that it has seen, and whether it has keys."""
    connection = await cluster.superuser(database)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield (
                await connection.fetchval("SELECT pg_export_snapshot()"),
                await connection.fetchval(_APPLIED),
                await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", KEYSTORE),
            )
    finally:
        await connection.close()


async def _sweep(cluster: Cluster, database: str) -> None:
    """A key that was deleted stays in its table's file until that is vacuumed."""
    connection = await cluster.superuser(database)
    try:
        for table in await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1", KEYSTORE
        ):
            await connection.execute(f'VACUUM {KEYSTORE}."{table["tablename"]}"')
    finally:
        await connection.close()


async def restore(
    cluster: Cluster, database: str, folder: Path, keys: Path | None, scratch: Path, say: Say
) -> None:
    """The database as the backup has it. Nobody may use it meanwhile.

    Keys are those that are there now, so that whoever was erased since stays erased; those of the file `keys` only
    where the key store was lost, too. Raises StackError, and changes nothing, when they do not fit each other.
    """
    source = folder / f"{cluster.service}.dump"
    if not source.exists():
        raise StackError(f"{folder} holds no backup of {cluster.service}")
    wanted = Manifest.read(folder).migrations[cluster.service]
    current = None if keys is not None else await _present_keys(cluster, database, wanted, scratch)
    try:
        await _empty(cluster, database)
        load(cluster, database, source)
        for each in filter(None, (keys, current)):
            load(cluster, database, each)
    except StackError as error:
        kept = "" if current is None else f"; the keys that were there are in {current}"
        raise StackError(f"{cluster.service} is not restored{kept}: {error}") from error
    if current is not None:
        current.unlink()
    say(f"{cluster.service} is as it was at {folder.name}")


async def _present_keys(cluster: Cluster, database: str, wanted: int, scratch: Path) -> Path | None:
    """The key store that is there, in a private file for as long as its database is replaced."""
    async with _moment(cluster, database) as (snapshot, migrations, has_keys):
        if not has_keys:
            return None
        if migrations != wanted:
            raise StackError(
                f"the backup of {cluster.service} has seen {wanted} migrations, its database {migrations}: restore"
                " it with the version that made it, or name a backup of the keys of the same time"
            )
        file = _private(scratch) / f"{cluster.service}.{os.getpid()}.keys"
        dump(cluster, database, file, (*KEYS_ALONE, f"--snapshot={snapshot}"))
        return file


async def _empty(cluster: Cluster, database: str) -> None:
    connection = await cluster.superuser()
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    finally:
        await connection.close()
    await cluster.create_database(database)


def dump(cluster: Cluster, database: str, file: Path, options: Sequence[str] = ()) -> None:
    """What of the database the options choose, in a file that only we can read."""
    file.touch(mode=0o600)
    _postgres(cluster, ["pg_dump", "--format=custom", f"--file={file}", *options, database])


def load(cluster: Cluster, database: str, file: Path) -> None:
    """What the file has, into a database that has none of it; all of it or nothing."""
    _postgres(cluster, ["pg_restore", "--single-transaction", f"--dbname={database}", str(file)])


def _postgres(cluster: Cluster, command: Sequence[str]) -> None:
    program, *arguments = command
    done = subprocess.run(
        [str(postgres_programs() / program), *arguments],
        env={
            "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": SUPERUSER,
            "PGPASSWORD": cluster.password(SUPERUSER), "PGSSLMODE": "disable", "LC_ALL": "C",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise StackError(f"{program} failed: {done.stderr.strip()}")


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _taken(file: Path) -> datetime:
    return datetime.strptime(file.stem, _STAMP).replace(tzinfo=UTC)


def newest(into: Path) -> Path:
    """The folder of the newest vault backup."""
    found: Iterator[Path] = (into / _VAULTS).glob("*")
    folders = sorted(folder for folder in found if (folder / _MANIFEST).exists())
    if not folders:
        raise StackError(f"there is no backup in {into}")
    return folders[-1]
