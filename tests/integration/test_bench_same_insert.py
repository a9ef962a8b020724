"""The bare server of `make bench-intake` writes what intake writes: as many rows, in the same tables, as the same role."""

import asyncpg

from services.chassis.database import DatabaseSettings
from tests.bench.household import a_case
from tests.bench.same_insert import pool, recorded
from tests.support.stack import RunningStack

_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'keystore')
"""


async def rows(owner: asyncpg.Connection) -> dict[str, int]:
    """Of every table that has any. That the agency was registered is a remembered command, too, and no case's."""
    await owner.execute("DELETE FROM idempotency WHERE subjects = '{}'")
    tables = [row[0] for row in await owner.fetch(_TABLES)]
    found = {table: await owner.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
    return {table: many for table, many in found.items() if many}


async def test_a_bare_case_is_as_many_rows_as_a_case_of_intake(stack: RunningStack) -> None:
    database = await stack.database("intake")
    settings = DatabaseSettings(
        dsn=database.dsn,
        password_file=database.password_file,
        owner_dsn=database.owner_dsn,
        owner_password_file=database.owner_password_file,
    )
    same = await recorded(settings, a_case())
    owner = await asyncpg.connect(database.owner_dsn, password=database.owner_password)
    of_intake = await rows(owner)
    assert of_intake["public.case_file"] == 1
    assert of_intake["public.person"] == 2
    assert of_intake["public.outbox"] == 3
    async with await pool(settings) as sessions:
        for _ in range(2):
            await sessions.fetchval(same.sql, *same.another())
    now = await rows(owner)
    await owner.close()
    written = {table for table in now if now[table] != of_intake.get(table)}
    assert {table: now[table] for table in written} == {table: 3 * of_intake[table] for table in written}
    # All but what a case finds there: what is known of the region, its agency and its secrets.
    assert set(now) - written == {
        "public.agency",
        "public.lineage",
        "public.migration",
        "keystore.agency_key",
        "keystore.secret",
    }
