"""Migrations on a real PostgreSQL: once, in order, never edited; and only by the owner."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from services.chassis.database import DatabaseSettings
from services.chassis.migrate import MigrationError, migrate
from tests.support.stack import RunningStack


@pytest.fixture
async def settings(stack: RunningStack) -> DatabaseSettings:
    fresh = await stack.database("intake")
    return DatabaseSettings(
        dsn=fresh.dsn, password_file=fresh.password_file,
        owner_dsn=fresh.owner_dsn, owner_password_file=fresh.owner_password_file,
    )  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `grown` with one migration; its migrations folder."""
    folder = tmp_path / "grown" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "grown" / "__init__.py").touch()
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n integer);")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "grown", raising=False)
    return folder


async def _count(settings: DatabaseSettings) -> int:
    connection = await asyncpg.connect(settings.dsn, password=settings.password())
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM migration WHERE package = 'grown'")
        return count
    finally:
        await connection.close()


async def test_each_file_is_applied_once(settings: DatabaseSettings, package: Path) -> None:
    await migrate(settings, "services.chassis", "grown")
    (package / "0002_second.sql").write_text("ALTER TABLE first ADD COLUMN m integer;")
    await asyncio.gather(*(migrate(settings, "services.chassis", "grown") for _ in range(4)))
    assert await _count(settings) == 2


async def test_an_edited_file_is_refused(settings: DatabaseSettings, package: Path) -> None:
    await migrate(settings, "grown")
    (package / "0001_first.sql").write_text("CREATE TABLE first (n bigint);")
    with pytest.raises(MigrationError, match="edited"):
        await migrate(settings, "grown")


async def test_a_missing_file_is_refused(settings: DatabaseSettings, package: Path) -> None:
    await migrate(settings, "grown")
    (package / "0001_first.sql").unlink()
    with pytest.raises(MigrationError, match="gone"):
        await migrate(settings, "grown")


async def test_a_hole_in_the_numbers_is_refused(settings: DatabaseSettings, package: Path) -> None:
    (package / "0003_third.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match="numbered"):
        await migrate(settings, "grown")


async def test_a_file_that_fails_leaves_nothing(settings: DatabaseSettings, package: Path) -> None:
    (package / "0002_second.sql").write_text("CREATE TABLE second (n integer); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(settings, "grown")
    assert await _count(settings) == 1


async def test_the_application_cannot_change_the_schema(settings: DatabaseSettings, package: Path) -> None:
    await migrate(settings, "grown")
    connection = await asyncpg.connect(settings.dsn, password=settings.password())
    try:
        await connection.execute("INSERT INTO first (n) VALUES (1)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DROP TABLE first")
    finally:
        await connection.close()
