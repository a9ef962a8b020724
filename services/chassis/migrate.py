"""Bring a database to the code's schema: numbered SQL files, each applied once, never edited afterwards."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

import asyncpg

from services.chassis import logs
from services.chassis.database import DatabaseSettings

_log = logs.logger("migrate")

# Any number will do, as long as every process takes the same one.
_LOCK = 7_320_114_003

_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    package    text        NOT NULL,
    number     integer     NOT NULL,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package, number)
)
"""


class MigrationError(Exception):
    """The files and the database disagree about the past."""


@dataclass(frozen=True, slots=True)
class Migration:
    package: str
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(package: str) -> list[Migration]:
    """The package's migrations in order; numbers start at 1 and have no hole."""
    found = []
    for file in resources.files(package).joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append(Migration(package, int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{package}: migrations are not numbered 1, 2, 3…")
    return found


async def migrate(settings: DatabaseSettings, *packages: str) -> None:
    """Apply what is missing, as the owner, one process at a time.

    Raises MigrationError when a file was edited or taken away after it had been applied.
    """
    connection = await asyncpg.connect(
        settings.owner_dsn, password=settings.owner_password(), timeout=settings.connect_timeout_s
    )
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        for package in packages:
            await _apply(connection, package, read(package))
    finally:
        await connection.close()


async def _apply(
    connection: asyncpg.Connection[asyncpg.Record], package: str, migrations: list[Migration]
) -> None:
    rows = await connection.fetch(
        "SELECT number, name, checksum FROM migration WHERE package = $1 ORDER BY number", package
    )
    if len(rows) > len(migrations):
        raise MigrationError(f"{package}: migration {len(migrations) + 1} was applied, but its file is gone")
    for row, migration in zip(rows, migrations, strict=False):
        if row["number"] != migration.number or row["checksum"] != migration.checksum:
            raise MigrationError(f"{package}: migration {row['number']} was edited after it had been applied")
    for migration in migrations[len(rows) :]:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO migration (package, number, name, checksum) VALUES ($1, $2, $3, $4)",
                package, migration.number, migration.name, migration.checksum,
            )  # fmt: skip
        _log.info("migrated", package=package, number=migration.number, name=migration.name)
